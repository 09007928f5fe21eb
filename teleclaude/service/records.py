"""State and its facts, durable together and then told: the only way the service changes a session's record."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from teleclaude.bus import Bus
from teleclaude.clock import Clock
from teleclaude.errors import ConflictError
from teleclaude.events import Event, Fact, SessionCreated, SessionDeleted
from teleclaude.model import Session
from teleclaude.store import Database, events, sessions

T = TypeVar("T")


class Records:
    """Writes sessions and events in one transaction, then lets the bus know."""

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    async def insert(self, session: Session) -> None:
        """Raises ``ConflictError`` when a live session of this computer has the name."""
        fact = SessionCreated(name=session.name, kind=session.kind.value)

        def write(connection: sqlite3.Connection) -> list[Event]:
            sessions.insert(connection, session)
            return [self._append(connection, fact, session.id)]

        self._bus.publish(await self._database.write(write))

    async def save(self, session: Session, *facts: Fact) -> None:
        """Store ``session`` and ``facts`` about it; both or neither."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            sessions.save(connection, session)
            return [self._append(connection, fact, session.id) for fact in facts]

        self._bus.publish(await self._database.write(write))

    async def note(self, *facts: Fact, session_id: str | None = None) -> None:
        """Store facts that change no session."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            return [self._append(connection, fact, session_id) for fact in facts]

        self._bus.publish(await self._database.write(write))

    async def together(self, work: Callable[[sqlite3.Connection], object], *facts: Fact, session_id: str) -> None:
        """Run ``work`` and store facts about the session; both or neither."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            work(connection)
            return [self._append(connection, fact, session_id) for fact in facts]

        self._bus.publish(await self._database.write(write))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        return await self._database.read(work)

    async def delete(self, session_id: str, *, silent: bool = False) -> None:
        """Drop the record; ``silent`` for one that never came to be."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            sessions.delete(connection, session_id)
            return [] if silent else [self._append(connection, SessionDeleted(), session_id)]

        self._bus.publish(await self._database.write(write, frees=True))

    async def save_ended(self, session: Session, fact: Fact) -> None:
        """As ``save``, for a session that has ended and still has. Raises ``ConflictError`` when it has not."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            _require_ended(connection, session.id, "session.save")
            sessions.save(connection, session)
            return [self._append(connection, fact, session.id)]

        self._bus.publish(await self._database.write(write))

    async def delete_ended(self, session_id: str) -> None:
        """Drop the record of an ended session. Raises ``ConflictError`` for one that is alive."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            _require_ended(connection, session_id, "session.purge")
            sessions.delete(connection, session_id)
            return [self._append(connection, SessionDeleted(), session_id)]

        self._bus.publish(await self._database.write(write, frees=True))

    def save_soon(self, session: Session) -> None:
        """Store ``session`` in order with all other writes, without waiting for the disk."""
        self._database.write_soon(lambda connection: sessions.save(connection, session), synced=False)

    async def get(self, session_id: str) -> Session | None:
        return await self._database.read(lambda connection: sessions.get(connection, session_id))

    async def find(self, computer: str, name: str) -> Session | None:
        """The live session of that name, else the newest ended one."""
        return await self._database.read(lambda connection: sessions.find_by_name(connection, computer, name))

    async def select(
        self, *, state: str | None = None, kind: str | None = None, tag: str | None = None
    ) -> list[Session]:
        """Newest first; None does not filter."""
        return await self._database.read(
            lambda connection: sessions.select(connection, state=state, kind=kind, tag=tag)
        )

    async def live(self) -> list[Session]:
        return await self._database.read(sessions.all_live)

    async def ended_before(self, moment: datetime) -> list[Session]:
        return await self._database.read(lambda connection: sessions.ended_before(connection, moment))

    async def trim_events(self) -> int:
        """Drop the oldest events beyond what is kept; answers how many."""
        return await self._database.write(events.trim, frees=True)

    def _append(self, connection: sqlite3.Connection, fact: Fact, session_id: str | None) -> Event:
        return events.append(connection, fact, at=self._clock.now(), session_id=session_id)


def _require_ended(connection: sqlite3.Connection, session_id: str, operation: str) -> None:
    stored = sessions.get(connection, session_id)
    if stored is not None and stored.is_live:
        raise ConflictError(f"session {stored.name} is alive; close it first", operation=operation)
