"""The Bot API through python-telegram-bot: typed calls out, raw updates in, errors sorted by what to do about them."""

from __future__ import annotations

import json
import re
from http import HTTPStatus
from typing import Any, Self

import httpx
import structlog
import telegram
from telegram.error import BadRequest, ChatMigrated, Conflict, Forbidden, InvalidToken, NetworkError
from telegram.error import TelegramError as ApiError
from telegram.request import HTTPXRequest

from teleclaude_telegram.updates import ALLOWED

log = structlog.get_logger(__name__)

POLL_SECONDS = 25
CALL_SECONDS = 20.0
UNSAID_SECONDS = 5.0
_RETRY_AFTER = re.compile(r"too many requests: retry after (\d{1,6})", re.IGNORECASE)

__all__ = [
    "ApiError",
    "BadRequest",
    "BotApi",
    "ChatMigrated",
    "Conflict",
    "Forbidden",
    "InvalidToken",
    "NetworkError",
    "ToldToWaitError",
    "explain",
    "is_of_the_chat",
    "lacks_rights",
    "never_arrived",
]


class ToldToWaitError(ApiError):
    """Flood control: nothing may be sent for so many ``seconds``."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"told to wait for {seconds:g} s")
        self.seconds = seconds


class _Calls(HTTPXRequest):
    """Reads the answer to a flood itself: the library's own error for it warns of itself wherever it is made."""

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        code, payload = await super().do_request(*args, **kwargs)
        if code == HTTPStatus.TOO_MANY_REQUESTS:
            raise ToldToWaitError(_seconds(payload))
        return code, payload


class _RawPolls(_Calls):
    """Keeps the updates of a poll as they came: one that the library cannot read must not hide the others."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.taken: list[Any] = []

    async def do_request(self, *args: Any, **kwargs: Any) -> tuple[int, bytes]:
        code, payload = await super().do_request(*args, **kwargs)
        if code == 200:
            answer = json.loads(payload)
            result = answer.get("result")
            self.taken = result if isinstance(result, list) else []
            payload = b'{"ok":true,"result":[]}'
        return code, payload


class BotApi:
    """An async context manager; entering makes no call. ``bot`` takes every other call, raises ``ApiError``."""

    def __init__(self, token: str, *, base_url: str, base_file_url: str) -> None:
        options: dict[str, Any] = {}
        if base_url.startswith("http://") and base_file_url.startswith("http://"):
            # Nothing is encrypted, so there are no certificates to read.
            options = {"httpx_kwargs": {"verify": False}}
        self._polls = _RawPolls(
            connection_pool_size=1, read_timeout=POLL_SECONDS + 15, connect_timeout=10, pool_timeout=10, **options
        )
        calls = _Calls(
            connection_pool_size=16,
            read_timeout=CALL_SECONDS,
            write_timeout=CALL_SECONDS,
            connect_timeout=10,
            pool_timeout=10,
            media_write_timeout=120,
            **options,
        )
        self._calls = calls
        self.bot = telegram.Bot(
            token, base_url=base_url, base_file_url=base_file_url, request=calls, get_updates_request=self._polls
        )

    async def __aenter__(self) -> Self:
        await self._polls.initialize()
        await self._calls.initialize()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._polls.shutdown()
        await self._calls.shutdown()

    async def poll(self, offset: int | None, *, seconds: int = POLL_SECONDS) -> list[tuple[int, Any]]:
        """Updates from ``offset`` on, waiting for one. Asking for an offset confirms all below it."""
        self._polls.taken = []
        await self.bot.get_updates(offset=offset, timeout=seconds, limit=100, allowed_updates=list(ALLOWED))
        found = []
        for raw in self._polls.taken:
            update_id = raw.get("update_id") if isinstance(raw, dict) else None
            if isinstance(update_id, int) and not isinstance(update_id, bool):
                found.append((update_id, raw))
            else:
                log.warning("telegram_update_without_id")
        return found


def _seconds(payload: bytes) -> float:
    try:
        return float(json.loads(payload)["parameters"]["retry_after"])
    except (ValueError, KeyError, TypeError):
        return UNSAID_SECONDS


_OF_THE_CHAT = (
    "chat not found",
    "have no rights to send",
    "not enough rights to send text",
    "chat_write_forbidden",
    "chat was deactivated",
)


def is_of_the_chat(error: BadRequest) -> bool:
    """Whether it would have been refused whatever was to be said."""
    return any(sign in str(error).lower() for sign in _OF_THE_CHAT)


def lacks_rights(error: BadRequest) -> bool:
    """Whether the bot may not do that in the chat."""
    return "not enough rights" in str(error).lower()


def retry_after(error: BadRequest) -> float | None:
    """Seconds to wait, where the server says so in words: it may refuse one picture of an album for its rate."""
    found = _RETRY_AFTER.search(str(error))
    return None if found is None else float(found[1])


def never_arrived(error: ApiError) -> bool:
    """Whether the call certainly did nothing: no connection was made."""
    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def explain(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
