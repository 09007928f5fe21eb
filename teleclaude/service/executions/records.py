"""Executions and their facts, durable together and then told."""

from __future__ import annotations

import sqlite3
from datetime import datetime

from teleclaude.bus import Bus
from teleclaude.clock import Clock
from teleclaude.events import Event, ExecutionDeleted, Fact
from teleclaude.model import Execution
from teleclaude.store import Database, events, executions


class ExecutionRecords:
    """The only way an execution's record changes.

    What is stored here outlives the daemon, but nobody waits for the disk: after a power failure the last moments may
    be missing, as they may of the output and of what the command itself wrote.
    """

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock

    async def insert(self, execution: Execution, *facts: Fact) -> None:
        def write(connection: sqlite3.Connection) -> list[Event]:
            executions.insert(connection, execution)
            return self._append(connection, execution, facts)

        self._bus.publish(await self._database.write(write, synced=False))

    async def save(self, execution: Execution, *facts: Fact) -> None:
        """Store it and ``facts`` about it; both or neither."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            executions.save(connection, execution)
            return self._append(connection, execution, facts)

        self._bus.publish(await self._database.write(write, synced=False))

    def save_soon(self, execution: Execution, *facts: Fact) -> None:
        """As ``save``, in order with all other writes, without waiting."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            executions.save(connection, execution)
            return self._append(connection, execution, facts)

        self._database.write_soon(write, self._bus.publish, synced=False)

    async def delete(self, execution: Execution) -> None:
        def write(connection: sqlite3.Connection) -> list[Event]:
            executions.delete(connection, execution.id)
            return self._append(connection, execution, (ExecutionDeleted(),))

        self._bus.publish(await self._database.write(write, frees=True))

    async def forget(self, execution_id: str) -> None:
        """Drop a row that cannot be read."""
        await self._database.write(lambda connection: executions.delete(connection, execution_id), frees=True)

    async def get(self, execution_id: str) -> Execution | None:
        return await self._database.read(lambda connection: executions.get(connection, execution_id))

    async def select(
        self,
        *,
        status: str | None = None,
        session_id: str | None = None,
        tag: str | None = None,
        limit: int = executions.MAX_LISTED,
    ) -> list[Execution]:
        """Newest first; None does not filter."""
        return await self._database.read(
            lambda connection: executions.select(connection, status=status, session_id=session_id, tag=tag, limit=limit)
        )

    async def live(self) -> list[Execution]:
        return await self._database.read(executions.all_live)

    async def superfluous(self, before: datetime, keep: int) -> list[str]:
        """Ids of ended ones to drop, oldest first."""
        return await self._database.read(lambda connection: executions.superfluous(connection, before, keep))

    async def of_session(self, session_id: str) -> list[str]:
        return await self._database.read(lambda connection: executions.of_session(connection, session_id))

    async def note(self, execution: Execution, *facts: Fact) -> None:
        """Store facts that do not change the record."""

        def write(connection: sqlite3.Connection) -> list[Event]:
            return self._append(connection, execution, facts)

        self._bus.publish(await self._database.write(write))

    def _append(self, connection: sqlite3.Connection, execution: Execution, facts: tuple[Fact, ...]) -> list[Event]:
        now = self._clock.now()
        return [
            events.append(connection, fact, at=now, session_id=execution.session_id, execution_id=execution.id)
            for fact in facts
        ]
