"""Texts as Telegram counts, cleans and judges them."""

from __future__ import annotations

import unicodedata
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from teleclaude.testing.telegram.limits import ENTITIES
from teleclaude.testing.telegram.refusal import bad_request

Entity = dict[str, Any]

TYPES = frozenset(
    {
        "mention", "hashtag", "cashtag", "bot_command", "url", "email", "phone_number", "bold", "italic", "underline",
        "strikethrough", "spoiler", "blockquote", "expandable_blockquote", "code", "pre", "text_link", "text_mention",
        "custom_emoji", "date_time",
    }
)  # fmt: skip

_INVISIBLE = frozenset({"Zs", "Zl", "Zp", "Cc", "Cf"})
_SPACED = {code: " " for code in range(32) if code not in (10, 13)} | {13: None}
_SCHEMES = frozenset({"http", "https", "tg", "ton", "tonsite", "mailto", "tel"})


def units(text: str) -> int:
    """Length in UTF-16 code units, in which Telegram measures."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def blank(text: str) -> bool:
    """Whether nobody would see anything: spaces, control and zero-width characters only."""
    return all(unicodedata.category(character) in _INVISIBLE for character in text)


def cleaned(text: str, entities: list[Entity]) -> tuple[str, list[Entity]]:
    """Control characters become spaces, white space around the text goes, and entities move along."""
    text = text.translate(_SPACED)
    left = units(text) - units(text.lstrip())
    text = text.strip()
    end = units(text)
    kept = []
    for entity in entities:
        start = max(entity["offset"] - left, 0)
        stop = min(entity["offset"] + entity["length"] - left, end)
        if stop > start:
            kept.append({**entity, "offset": start, "length": stop - start})
    return text, kept


def check_entities(text: str, entities: object) -> list[Entity]:
    """Raises ``ApiError`` for what is no list of entities that fit ``text``."""
    if not isinstance(entities, list):
        raise bad_request("can't parse entities JSON object")
    for entity in entities:
        _check_entity(text, entity)
    check_count(entities)
    return entities


def outer_first(entities: list[Entity]) -> list[Entity]:
    """Entities in the order of the API. They are given as they ended, so of two on one place the last is the outer."""
    ordered = entities[::-1]
    ordered.sort(key=lambda entity: (entity["offset"], -entity["length"]))
    return ordered


def check_count(entities: list[Entity]) -> None:
    if len(entities) > ENTITIES:
        raise bad_request("ENTITIES_TOO_LONG")


def _check_entity(text: str, entity: object) -> None:
    if not isinstance(entity, dict):
        raise bad_request("can't parse MessageEntity: expected an Object")
    if entity.get("type") not in TYPES:
        raise bad_request("can't parse MessageEntity: Unsupported type specified")
    offset, length = entity.get("offset"), entity.get("length")
    if not _count(offset) or not _count(length) or not length:
        raise bad_request('can\'t parse MessageEntity: Field "offset" or "length" is wrong')
    _check_bounds(text, int(str(offset)), int(str(length)))
    if entity["type"] == "text_link":
        check_url(str(entity.get("url", "")), "entity URL")


def _count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_bounds(text: str, offset: int, length: int) -> None:
    data = text.encode("utf-16-le", "surrogatepass")
    end = len(data) // 2
    where = f"entity beginning at UTF-16 offset {offset}"
    if offset + length > end:
        raise bad_request(f"{where} ends after the end of the text at UTF-16 offset {end}")
    for at, verb in ((offset, "starts"), (offset + length, "ends")):
        if at < end and 0xDC <= data[2 * at + 1] <= 0xDF:
            raise bad_request(f"{where} {verb} in a middle of a UTF-16 symbol")


def check_url(url: str, what: str) -> None:
    """Raises ``ApiError`` for a link that Telegram does not take: no host, an odd protocol, this computer."""
    reason = _fault(url)
    if reason is not None:
        raise bad_request(f"{what} '{url}' is invalid: {reason}")


def _fault(url: str) -> str | None:
    if blank(url):
        return "URL is empty"
    try:
        parts = urlsplit(url if "://" in url or url.startswith(("mailto:", "tel:")) else f"http://{url}")
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return "Wrong port number specified in the URL"
    if parts.scheme.lower() not in _SCHEMES:
        return "Unsupported URL protocol"
    if parts.scheme in ("mailto", "tel", "tg"):
        return None
    if not host:
        return "URL host is empty"
    return "Wrong HTTP URL" if _local(host) else None


def _local(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return "." not in host or host.endswith((".local", ".localhost"))
