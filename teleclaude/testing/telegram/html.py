"""``parse_mode=HTML`` as Telegram reads it."""

from __future__ import annotations

import re
from dataclasses import dataclass

from teleclaude.testing.telegram.refusal import ApiError, bad_request
from teleclaude.testing.telegram.text import Entity, check_url, outer_first, units

_TAGS = {
    "b": "bold", "strong": "bold", "i": "italic", "em": "italic", "u": "underline", "ins": "underline",
    "s": "strikethrough", "strike": "strikethrough", "del": "strikethrough", "tg-spoiler": "spoiler",
    "code": "code", "pre": "pre", "a": "text_link", "blockquote": "blockquote", "tg-emoji": "custom_emoji",
    "span": "spoiler",
}  # fmt: skip
_NAMED = {"lt": "<", "gt": ">", "amp": "&", "quot": '"'}
_REFERENCE = re.compile(r"&(?:#(?P<dec>[0-9]{1,7})|#x(?P<hex>[0-9A-Fa-f]{1,6})|(?P<name>lt|gt|amp|quot));?")
_TAG = re.compile(r"<(?P<end>/?)(?P<name>[A-Za-z][A-Za-z0-9-]*)(?P<rest>[^<>]*)>")
_ATTRIBUTE = re.compile(r"""([A-Za-z][A-Za-z0-9-]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?""")


@dataclass(frozen=True, slots=True)
class _Open:
    name: str
    offset: int
    attributes: dict[str, str]


def parse_html(source: str) -> tuple[str, list[Entity]]:
    """Text and entities; raises ``ApiError`` in Telegram's words."""
    out: list[str] = []
    length = 0
    stack: list[_Open] = []
    entities: list[Entity] = []
    at = 0
    while at < len(source):
        if source[at] == "<":
            tag = _TAG.match(source, at)
            if tag is None:
                raise _fault(source, at, "Unclosed start tag" if source[at + 1 : at + 2] != "/" else "Unclosed end tag")
            if tag["end"]:
                entities += _closed(source, at, tag["name"].lower(), stack, length)
            else:
                stack.append(_opened(source, at, tag, length))
            at = tag.end()
            continue
        piece, at = _characters(source, at)
        out.append(piece)
        length += units(piece)
    if stack:
        raise bad_request(f"can't parse entities: Can't find end tag corresponding to start tag \"{stack[-1].name}\"")
    return "".join(out), outer_first(entities)


def _characters(source: str, at: int) -> tuple[str, int]:
    if source[at] != "&":
        end = min((place for place in (source.find("<", at), source.find("&", at)) if place >= 0), default=len(source))
        return source[at:end], end
    reference = _REFERENCE.match(source, at)
    if reference is None:
        return "&", at + 1
    if reference["name"]:
        return _NAMED[reference["name"]], reference.end()
    code = int(reference["dec"]) if reference["dec"] else int(reference["hex"], 16)
    valid = 0 < code <= 0x10FFFF and not 0xD800 <= code <= 0xDFFF
    return (chr(code), reference.end()) if valid else ("&", at + 1)


def _opened(source: str, at: int, tag: re.Match[str], offset: int) -> _Open:
    name = tag["name"].lower()
    if name not in _TAGS:
        raise _fault(source, at, f'Unsupported start tag "{name}"')
    attributes = {
        found[1].lower(): found[2] or found[3] or found[4] or "" for found in _ATTRIBUTE.finditer(tag["rest"])
    }
    if name == "span" and attributes.get("class") != "tg-spoiler":
        raise _fault(source, at, 'Tag "span" must have class "tg-spoiler"')
    return _Open(name, offset, attributes)


def _closed(source: str, at: int, name: str, stack: list[_Open], end: int) -> list[Entity]:
    if not stack:
        raise _fault(source, at, "Unexpected end tag")
    begun = stack.pop()
    if begun.name != name:
        text = (
            f'can\'t parse entities: Unmatched end tag at byte offset {_bytes(source, at)}, expected "</{begun.name}>"'
        )
        raise bad_request(f'{text}, found "</{name}>"')
    if end == begun.offset:
        return []
    entity: Entity = {"type": _TAGS[name], "offset": begun.offset, "length": end - begun.offset}
    return [entity] if _finish(entity, begun, stack) else []


def _finish(entity: Entity, begun: _Open, stack: list[_Open]) -> bool:
    """Fill in what the tag's attributes say; False for a tag that marks nothing."""
    match begun.name:
        case "a":
            url = begun.attributes.get("href", "")
            if not url:
                return False
            check_url(url, "entity URL")
            entity["url"] = url
        case "tg-emoji":
            entity["custom_emoji_id"] = begun.attributes.get("emoji-id", "")
        case "blockquote" if "expandable" in begun.attributes:
            entity["type"] = "expandable_blockquote"
        case "code" if stack and stack[-1].name == "pre":
            language = begun.attributes.get("class", "")
            if language.startswith("language-"):
                stack[-1].attributes["language"] = language.removeprefix("language-")
            return False
        case "pre" if "language" in begun.attributes:
            entity["language"] = begun.attributes["language"]
    return True


def _bytes(source: str, at: int) -> int:
    return len(source[:at].encode("utf-8", "surrogatepass"))


def _fault(source: str, at: int, what: str) -> ApiError:
    return bad_request(f"can't parse entities: {what} at byte offset {_bytes(source, at)}")
