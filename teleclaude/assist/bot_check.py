"""Looks at a bot and its chat from outside: what Telegram says they are and may."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from teleclaude.assist.botapi import BotApi, BotApiError
from teleclaude.assist.findings import Finding, failure, ok, unknown, warning
from teleclaude.config import Config


def read_token(path: Path) -> str:
    """Raises ``OSError``, and ``ValueError`` for what is no token."""
    token = path.read_text(encoding="utf-8").strip()
    if not plausible(token):
        raise ValueError(f"{path} holds no bot token")
    return token


def plausible(token: str) -> bool:
    """Whether it looks like a token: digits, a colon, and a secret of letters, digits, ``_`` and ``-``."""
    number, _, secret = token.partition(":")
    return number.isascii() and number.isdigit() and len(secret) >= 16 and all(c.isalnum() or c in "_-" for c in secret)


def look_at_bot(config: Config) -> Iterator[Finding]:
    """Of the settings in ``config``, which must have Telegram enabled."""
    telegram = config.telegram
    assert telegram.token_file is not None
    assert telegram.chat_id is not None
    try:
        api = BotApi(read_token(telegram.token_file), telegram.base_url)
    except (OSError, ValueError) as error:
        yield failure("telegram token", str(error))
        return
    try:
        me = api.call("getMe")
    except BotApiError as error:
        yield _trouble("telegram bot", error)
        return
    yield ok("telegram bot", f"@{me.get('username')} answers as bot {me['id']}")
    try:
        webhook = api.call("getWebhookInfo").get("url")
        chat = api.call("getChat", chat_id=telegram.chat_id)
        member = api.call("getChatMember", chat_id=telegram.chat_id, user_id=me["id"])
    except BotApiError as error:
        yield _trouble(f"telegram chat {telegram.chat_id}", error)
        return
    if webhook:
        yield failure("telegram updates", "a webhook is set, so updates go there and cannot be fetched; remove it")
    yield judge_chat(me, chat, member)


def judge_chat(me: dict[str, Any], chat: dict[str, Any], member: dict[str, Any]) -> Finding:
    """Whether topics can be made in this chat by this bot."""
    about = f"telegram chat {chat['id']}"
    if chat["type"] == "private":
        if me.get("has_topics_enabled"):
            return ok(about, "private chat with topics")
        return warning(
            about, "private chat without topics, so one session at a time; BotFather's threaded mode adds them"
        )
    if not chat.get("is_forum"):
        return failure(about, f"the group {chat.get('title')!r} has no topics; turn them on in the group's settings")
    if member.get("status") != "administrator" or not member.get("can_manage_topics"):
        return failure(about, f"@{me.get('username')} may not manage topics; make it administrator with that right")
    lacking = [right for right in ("can_delete_messages", "can_pin_messages") if not member.get(right)]
    if lacking:
        return warning(
            about, f"{chat.get('title')!r}: topics work; without {' and '.join(lacking)} less is tidied away"
        )
    return ok(about, f"the group {chat.get('title')!r} has topics, and @{me.get('username')} may manage them")


def _trouble(about: str, error: BotApiError) -> Finding:
    if error.code == 0:
        return unknown(about, error.description)
    if error.code in (401, 404):
        return failure(about, f"{error.description}: the token is not valid; ask BotFather for the one in force")
    return failure(about, error.description)
