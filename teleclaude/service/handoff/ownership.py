"""The durable rows of who owns what, in memory as on disk."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from teleclaude.clock import Clock
from teleclaude.events import Fact
from teleclaude.model import HandedOff, Session
from teleclaude.model.handoff import Claim, Row
from teleclaude.service.records import Records
from teleclaude.store import handoffs, sessions
from teleclaude.store.handoffs import Ownership

Extra = Callable[[sqlite3.Connection], object]


class Ownerships:
    """Rows of sessions that were ever handed over, by id; every other session is owned by whoever has it."""

    def __init__(self, computer: str, records: Records, clock: Clock) -> None:
        self.computer = computer
        self._records = records
        self._clock = clock
        self._rows: dict[str, Ownership] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def load(self) -> None:
        self._rows = await self._records.read(handoffs.load)

    def __iter__(self) -> Iterator[tuple[str, Ownership]]:
        return iter(list(self._rows.items()))

    @property
    def any_elsewhere(self) -> bool:
        """Whether any session that was here is another computer's."""
        return bool(self._rows)

    def known(self, session_id: str) -> Ownership | None:
        return self._rows.get(session_id)

    def of(self, session_id: str, session: Session | None) -> Ownership:
        """What is on record, or follows from ``session``, the local record where there is one."""
        known = self._rows.get(session_id)
        if known is not None:
            return known
        if session is None:
            return Ownership(Row(self.computer))
        if isinstance(session.state, HandedOff):
            return Ownership(Row(self.computer, Claim(session.state.epoch, session.state.computer)))
        return Ownership(Row(self.computer, Claim(session.epoch, self.computer)))

    @asynccontextmanager
    async def turn(self, session_id: str) -> AsyncIterator[None]:
        """One change of a session's row after the other."""
        lock = self._turns.setdefault(session_id, asyncio.Lock())
        async with lock:
            yield

    async def write(
        self,
        session_id: str,
        ownership: Ownership,
        *facts: Fact,
        session: Session | None = None,
        is_new: bool = False,
        extra: Extra | None = None,
    ) -> None:
        """Make it durable, with the session's own record and facts about it; all or nothing."""
        now = self._clock.now().timestamp()

        def work(connection: sqlite3.Connection) -> None:
            if session is not None:
                (sessions.insert if is_new else sessions.save)(connection, session)
            handoffs.save(connection, session_id, ownership, now=now)
            if extra is not None:
                extra(connection)

        await self._records.together(work, *facts, session_id=session_id)
        self._rows[session_id] = ownership

    async def forget_old(self) -> None:
        """Drop the rows of sessions that are settled and elsewhere, where there are too many."""
        surplus = len(self._rows) - handoffs.KEEP
        if surplus <= 0:
            return
        settled = [
            session_id
            for session_id, ownership in self._rows.items()
            if not (ownership.row.owns or ownership.row.released or ownership.row.tell or ownership.pending)
        ][:surplus]

        def work(connection: sqlite3.Connection) -> None:
            for session_id in settled:
                handoffs.delete(connection, session_id)

        await self._records.together(work, session_id="")
        for session_id in settled:
            del self._rows[session_id]
