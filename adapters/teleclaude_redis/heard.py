"""The events of another computer, as it wrote them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

import structlog

from teleclaude.errors import GapError, MalformedError, UnavailableError
from teleclaude.events import Event
from teleclaude.wire import jsonio
from teleclaude.wire.events import event_of
from teleclaude_redis.envelope import RefusedError
from teleclaude_redis.events import EVENT
from teleclaude_redis.keyring import KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, explain, redis_errors

log = structlog.get_logger(__name__)

OPERATION = "events.subscribe"
BLOCK_SECONDS = 5.0
SLACK_SECONDS = 2.0
READ_ENTRIES = 100


class EventReader:
    """Entries are numbered as the events are, so that a place in the stream is a number."""

    def __init__(self, computer: str, *, ring: KeyRing, keys: Keys, link: Link) -> None:
        self._computer = computer
        self._key = keys.events(computer)
        self._ring = ring
        self._link = link

    async def start(self, after: int | None) -> int | None:
        """The number to read on from; None where there is nothing yet. Raises ``GapError`` and ``UnavailableError``."""
        with redis_errors(OPERATION):
            if after is None:
                return _number(await self._link.commands.xrevrange(self._key, count=1)) or None
            oldest = _number(await self._link.commands.xrange(self._key, count=1))
        if oldest > after + 1:
            raise GapError(
                f"{self._computer}'s events before {oldest} are not here any more", start=oldest, operation=OPERATION
            )
        return after

    async def read(self, after: int | None, still_there: Callable[[], Awaitable[Any]]) -> AsyncGenerator[Event, None]:
        """Every event above ``after``; ``still_there`` raises when the computer is gone. Raises ``GapError`` for events
        that went before they were read.
        """
        while True:
            entries = await self._wait(after)
            if not entries:
                await still_there()
            for id_, fields in entries:
                seq = _number([(id_, fields)])
                if after is not None and seq > after + 1:
                    raise GapError(
                        f"{self._computer}'s events before {seq} were gone before they were read",
                        start=seq,
                        operation=OPERATION,
                    )
                after = seq
                event = self._event(fields, seq)
                if event is not None:
                    yield event

    async def _wait(self, after: int | None) -> list[Any]:
        client = self._link.waiting_client()
        block = round(BLOCK_SECONDS * 1000)
        try:
            async with asyncio.timeout(BLOCK_SECONDS + SLACK_SECONDS):
                found = await client.xread({self._key: f"{after or 0}-1"}, count=READ_ENTRIES, block=block)
        except (*FAILURES, TimeoutError) as error:
            raise UnavailableError(explain(error), operation=OPERATION) from error
        return found[0][1] if found else []

    def _event(self, fields: dict[bytes, bytes], seq: int) -> Event | None:
        """None for what is not genuine."""
        try:
            envelope = self._ring.open_for_all(fields)
            if envelope.kind != EVENT or envelope.sender != self._computer or envelope.id != str(seq):
                raise RefusedError("mismatch", envelope.sender)
            return event_of(jsonio.loads(envelope.body, operation=OPERATION))
        except RefusedError as refused:
            log.warning("redis_event_refused", computer=self._computer, reason=refused.reason)
        except (MalformedError, KeyError, TypeError, ValueError) as error:
            log.warning("redis_event_refused", computer=self._computer, reason=str(error))
        return None


def _number(entries: list[Any]) -> int:
    """The event's number of the first entry; 0 for none."""
    return int(entries[0][0].partition(b"-")[0]) if entries else 0
