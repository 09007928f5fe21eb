"""Executions and their facts, durable together and then told."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from teleclaude.bus import Bus
from teleclaude.clock import Clock
from teleclaude.errors import IndeterminateError, NotFoundError, TeleclaudeError
from teleclaude.events import Event, ExecutionDeleted, Fact
from teleclaude.model import Execution
from teleclaude.store import Database, events, executions

SOON_SECONDS = 0.003
"""How long a change that nobody waits for lingers for the next write, to go to the disk with it: a short command needs
one transaction less.
"""


@dataclass(frozen=True, slots=True)
class _Change:
    """What has become of one execution, and when."""

    execution: Execution
    facts: tuple[Fact, ...]
    at: datetime


class ExecutionRecords:
    """The only way an execution's record changes.

    What is stored here outlives the daemon, but nobody waits for the disk: after a power failure the last moments may
    be missing, as they may of the output and of what the command itself wrote.
    """

    def __init__(self, database: Database, bus: Bus, clock: Clock) -> None:
        self._database = database
        self._bus = bus
        self._clock = clock
        self._soon: list[_Change] = []
        self._timer: asyncio.TimerHandle | None = None

    async def insert(self, execution: Execution, *facts: Fact) -> None:
        self._flush()
        now = self._clock.now()

        def write(connection: sqlite3.Connection) -> list[Event]:
            executions.insert(connection, execution)
            return _append(connection, execution, facts, now)

        self._bus.publish(await self._database.write(write, synced=False))

    async def save(self, execution: Execution, *facts: Fact) -> None:
        """Store it and ``facts`` about it; both or neither. Does nothing when its outcome is stored already."""
        earlier = self._take()
        change = _Change(execution, facts, self._clock.now())

        def write(connection: sqlite3.Connection) -> list[Event]:
            return _apply(connection, [*earlier, change], needed=execution.id)

        try:
            happened = await self._database.write(write, synced=False)
        except IndeterminateError:
            raise  # all of it may still be stored
        except TeleclaudeError:
            if earlier:
                self._write_soon(earlier)
            raise
        self._bus.publish(happened)

    def save_soon(self, execution: Execution, *facts: Fact) -> None:
        """As ``save``, in order with all other changes of executions, without waiting: within ``SOON_SECONDS``, or with
        the next write.
        """
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SOON_SECONDS, self._flush)
        self._soon.append(_Change(execution, facts, self._clock.now()))

    def _flush(self) -> None:
        if changes := self._take():
            self._write_soon(changes)

    def _take(self) -> list[_Change]:
        """What waits, for a write that is made now. What comes later has its own time to wait."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        changes, self._soon = self._soon, []
        return changes

    def _write_soon(self, changes: list[_Change]) -> None:
        self._database.write_soon(lambda connection: _apply(connection, changes), self._bus.publish, synced=False)

    async def delete(self, execution: Execution) -> None:
        self._flush()
        now = self._clock.now()

        def write(connection: sqlite3.Connection) -> list[Event]:
            executions.delete(connection, execution.id)
            return _append(connection, execution, (ExecutionDeleted(),), now)

        self._bus.publish(await self._database.write(write, frees=True))

    def withdraw(self, execution: Execution) -> None:
        """Undo an ``insert`` that failed, and may still be done: after it, without waiting."""
        now = self._clock.now()

        def write(connection: sqlite3.Connection) -> list[Event]:
            was_there = executions.delete(connection, execution.id)
            return _append(connection, execution, (ExecutionDeleted(),), now) if was_there else []

        self._database.write_soon(write, self._bus.publish, synced=False)

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


def _apply(connection: sqlite3.Connection, changes: list[_Change], needed: str | None = None) -> list[Event]:
    """The last state of each execution, and all facts in order.

    Who has ended or been deleted before costs the others nothing; only for the one called ``needed`` the latter is an
    error.
    """
    latest = {change.execution.id: change.execution for change in changes}
    over = set()
    for execution in latest.values():
        try:
            if not executions.save(connection, execution):
                over.add(execution.id)
        except NotFoundError:
            if execution.id == needed:
                raise
            over.add(execution.id)
    found: list[Event] = []
    for change in changes:
        if change.execution.id not in over:
            found += _append(connection, change.execution, change.facts, change.at)
    return found


def _append(connection: sqlite3.Connection, execution: Execution, facts: Iterable[Fact], at: datetime) -> list[Event]:
    return [
        events.append(connection, fact, at=at, session_id=execution.session_id, execution_id=execution.id)
        for fact in facts
    ]
