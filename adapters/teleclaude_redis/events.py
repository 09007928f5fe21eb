"""This computer's events for others. The log on disk is the outbox: what Redis lacks is written once it is back."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
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
FILE_NAME = "redis-events"
NOTE_EVERY = 50

OWNERSHIP = frozenset({"session.created", "session.arrived", "session.kept", "session.handed_off"})
"""Events after which it is known who owns their session."""

WRITER = Principal(name="local", role=Role.OWNER)


class Events:
    """An entry's id is ``<seq>-1``, so that no event is there twice. A file of ``state_dir`` says how far it went."""

    def __init__(self, *, context: AdapterContext, ring: KeyRing, keys: Keys, link: Link) -> None:
        self._context = context
        self._ring = ring
        self._keys = keys
        self._key = keys.events(context.computer)
        self._link = link
        self._file = context.state_dir / FILE_NAME
        self._written: int | None = None
        self._noted: int | None = None
        self._is_new = False

    async def run(self) -> None:
        """For ever."""
        if self._written is None:
            self._written = self._noted = await asyncio.to_thread(_read, self._file)
            self._is_new = self._written is None
        while True:
            try:
                # Followed from the start, also while Redis is away: the log keeps what happens until it can be written.
                async with self._context.hub.follow_events(WRITER, after=self._written) as events:
                    async for event in events:
                        await self._until_written(event)
            except GapError as gap:
                self._written = gap.start - 1
            except TeleclaudeError as error:
                log.warning("redis_events_wait", error=str(error))
            await self._context.clock.sleep(PAUSE_SECONDS)

    async def _until_written(self, event: Event) -> None:
        while True:
            try:
                await self._write(event)
                await self._hint(event)
            except FAILURES as error:
                log.debug("redis_events_wait", error=explain(error))
                await self._note()
                await self._context.clock.sleep(PAUSE_SECONDS)
            else:
                self._written = event.seq
                if event.seq >= (self._noted or 0) + NOTE_EVERY:
                    await self._note()
                return

    async def _note(self) -> None:
        """An event above it may be written once more after a restart; its number makes that harmless."""
        if self._written is not None and self._written != self._noted:
            await asyncio.to_thread(_replace, self._file, self._written)
            self._noted = self._written

    async def aclose(self) -> None:
        await self._note()

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
        if self._is_new:
            await self._forget_another_life(event)
        try:
            await self._link.commands.xadd(self._key, fields, id=f"{event.seq}-1", maxlen=MAX_EVENTS, approximate=True)
        except ResponseError as error:
            if "equal or smaller" not in str(error):
                raise
        await self._link.commands.pexpire(self._key, TTL_MS)

    async def _forget_another_life(self, event: Event) -> None:
        """Numbers began anew with a new state; what is there under this name is of the one before."""
        newest = await self._link.commands.xrevrange(self._key, count=1)
        if newest and int(newest[0][0].partition(b"-")[0]) >= event.seq:
            await self._link.commands.delete(self._key)
        self._is_new = False

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


def _read(path: Path) -> int | None:
    """The number in the file; None where there is none. Blocks."""
    try:
        text = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return None
    return int(text) if text.isdecimal() else None


def _replace(path: Path, number: int) -> None:
    """Blocks."""
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{number}\n")
    fresh.replace(path)
