"""This computer's events for others. The log on disk is the outbox: what Redis lacks is written once it is back."""

from __future__ import annotations

from typing import Any

import structlog
from redis.exceptions import ResponseError

from teleclaude.api import AdapterContext
from teleclaude.errors import GapError, TeleclaudeError
from teleclaude.events import Event
from teleclaude.model import Principal, Role
from teleclaude.wire import jsonio
from teleclaude.wire.events import event_object
from teleclaude_redis.envelope import EVERYBODY, Envelope
from teleclaude_redis.keyring import KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, explain

log = structlog.get_logger(__name__)

EVENT = "event"
MAX_EVENTS = 1000
TTL_MS = 24 * 3_600_000
OWNER_TTL_MS = 7 * 24 * 3_600_000
PAUSE_SECONDS = 0.5

OWNERSHIP = frozenset({"session.created", "session.arrived", "session.kept", "session.handed_off"})
"""Events after which it is known who owns their session."""

WRITER = Principal(name="local", role=Role.OWNER)


class Events:
    """An entry's id is ``<seq>-1``, so no event is there twice and the stream itself says how far it goes."""

    def __init__(self, *, context: AdapterContext, ring: KeyRing, keys: Keys, link: Link) -> None:
        self._context = context
        self._ring = ring
        self._keys = keys
        self._key = keys.events(context.computer)
        self._link = link
        self._written: int | None = None

    async def run(self) -> None:
        """For ever."""
        while True:
            try:
                after = await self._known()
                await self._write_from(after)
            except FAILURES as error:
                log.debug("redis_events_wait", error=explain(error))
            except GapError as gap:
                self._written = gap.start - 1
            except TeleclaudeError as error:
                log.warning("redis_events_wait", error=str(error))
            await self._context.clock.sleep(PAUSE_SECONDS)

    async def _known(self) -> int | None:
        """The last event that Redis has, or had before it lost everything; None for none ever."""
        newest = await self._link.commands.xrevrange(self._key, count=1)
        if newest:
            return max(int(newest[0][0].partition(b"-")[0]), self._written or 0)
        return self._written

    async def _write_from(self, after: int | None) -> None:
        async with self._context.hub.follow_events(WRITER, after=after) as events:
            async for event in events:
                await self._write(event)

    async def _write(self, event: Event) -> None:
        envelope = Envelope(
            kind=EVENT,
            sender=self._context.computer,
            to=EVERYBODY,
            id=str(event.seq),
            ts=round(self._context.clock.now().timestamp() * 1000),
            body=jsonio.dumps(event_object(event)),
        )
        fields: Any = self._ring.seal_for_all(envelope)
        try:
            await self._link.commands.xadd(self._key, fields, id=f"{event.seq}-1", maxlen=MAX_EVENTS, approximate=True)
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
        self._written = event.seq
        await self._link.commands.pexpire(self._key, TTL_MS)
        await self._hint(event)

    async def _hint(self, event: Event) -> None:
        """Say who owns the session from now on, unless a later owner is known there."""
        if event.session_id is None or event.type not in OWNERSHIP:
            return
        gone = event.type == "session.handed_off"
        owner = str(event.data["computer"]) if gone else self._context.computer
        epoch = event.data.get("epoch", 1)
        key = self._keys.owner(event.session_id)
        known = await self._link.commands.hget(key, "epoch")
        if known is not None and int(known) > int(str(epoch)):
            return
        async with self._link.commands.pipeline(transaction=True) as pipe:
            pipe.hset(key, mapping={"owner": owner, "epoch": str(epoch)})
            pipe.pexpire(key, OWNER_TTL_MS)
            await pipe.execute()
