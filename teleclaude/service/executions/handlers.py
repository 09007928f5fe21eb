"""The execution commands, each one short: find, check, act, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from teleclaude.api import current_connection
from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, DeadlineError, ExitedError, InvalidError
from teleclaude.model import Execution, ExecutionSpec, Lifetime, Principal, QueuedState, StreamTotals
from teleclaude.process import Prepared
from teleclaude.service.access import require_local
from teleclaude.service.executions.commands import Commands
from teleclaude.service.executions.keeper import Keeper
from teleclaude.service.executions.lifetime import Lifetimes, cancel
from teleclaude.service.executions.live import ExecutionTable, LiveExecution, Running
from teleclaude.service.executions.lookup import ExecutionLookup, FoundExecution
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.service.ids import new_id
from teleclaude.service.lookup import Lookup
from teleclaude.service.settings import Settings
from teleclaude.service.specs import check_directory, check_env
from teleclaude.streams import StreamStore
from teleclaude.wire import executions as wire
from teleclaude.wire.base import Command
from teleclaude.wire.executions import ExecutionList, ExecutionView

Handler = Callable[[Principal, Any], Awaitable[Any]]

START_SECONDS = 10.0
"""How long a reply waits for a program to be spawned."""

CONSISTENT_READS = 3
"""How often a list is read anew when an execution ended meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecutionHandlers:
    """Handlers of the execution commands over the parts that do the work."""

    computer: str
    table: ExecutionTable
    lookup: ExecutionLookup
    sessions: Lookup
    records: ExecutionRecords
    streams: StreamStore
    keeper: Keeper
    commands: Commands
    lifetimes: Lifetimes
    settings: Settings
    clock: Clock

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            wire.StartExecution: self.start,
            wire.GetExecution: self.get,
            wire.ListExecutions: self.list,
            wire.DeleteExecution: self.delete,
            wire.ReadRecord: self.record,
            wire.CancelExecution: self.cancel,
            wire.PauseExecution: self.pause,
            wire.ResumeExecution: self.resume,
            wire.InterruptExecution: self.interrupt,
            wire.SignalExecution: self.signal,
            wire.InputExecution: self.input,
            wire.CloseStdinExecution: self.close_stdin,
        }

    async def start(self, principal: Principal, command: wire.StartExecution) -> ExecutionView:
        live = await self.launch(principal, command)
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                if live.withdraw is None:
                    await live.begun.wait()
        await _wait(live, command.wait_ms)
        return self._view(live)

    async def launch(self, principal: Principal, command: wire.StartExecution) -> LiveExecution:
        """Check, record and start it, or queue it."""
        operation = command.operation
        require_local(command.computer, self.computer, operation=operation)
        connection = current_connection()
        if command.lifetime is Lifetime.CONNECTION and connection is None:
            raise InvalidError(
                "this request came by no connection that it could live by; use detached", operation=operation
            )
        execution_id = new_id("E", self.clock)
        spec, prepared = await asyncio.to_thread(self._prepare, principal, command, execution_id)
        execution = Execution(
            id=execution_id,
            computer=self.computer,
            spec=spec,
            state=QueuedState(),
            created_at=self.clock.now(),
            owner=principal.name,
            tags=tuple(dict.fromkeys(command.tags)),
        )
        live = await self.commands.start(execution, prepared)
        if spec.lifetime is Lifetime.CONNECTION and connection is not None:
            self.lifetimes.bind(live, connection)
        return live

    def _prepare(
        self, principal: Principal, command: wire.StartExecution, execution_id: str
    ) -> tuple[ExecutionSpec, Prepared]:
        check_env(command.env, principal, operation=command.operation)
        cwd = check_directory(command.cwd, principal, self.settings.current, operation=command.operation)
        spec = command.spec(cwd)
        return spec, self.commands.prepare(spec, execution_id)

    async def get(self, principal: Principal, command: wire.GetExecution) -> ExecutionView:
        found = await self.lookup.find(principal, command.id, operation=command.operation)
        if found.live is None:
            return self._ended_view(found.stored)
        await _wait(found.live, command.wait_ms)
        return self._view(found.live)

    async def list(self, principal: Principal, command: wire.ListExecutions) -> ExecutionList:
        session_id: str | None = None
        if command.session is not None:
            found = await self.sessions.find(principal, command.session, operation=command.operation)
            session_id = found.session.id
        stored: list[Execution] = []
        for _ in range(CONSISTENT_READS):
            stored = await self.records.select(
                status=command.status, session_id=session_id, tag=command.tag, limit=command.limit
            )
            if all(self.table.find(one.id) is not None for one in stored if one.outcome is None):
                break  # none ended between the read and now, so the list shows one moment
        return ExecutionList(executions=[self._current(execution) for execution in stored])

    async def delete(self, principal: Principal, command: wire.DeleteExecution) -> ExecutionView:
        found = await self.lookup.find(principal, command.id, operation=command.operation)
        if found.live is not None and not found.live.ended.is_set():
            raise ConflictError("it has not ended; cancel it first", operation=command.operation)
        execution = found.execution
        view = self._ended_view(execution)
        await self.drop(execution)
        return view

    async def record(self, principal: Principal, command: wire.ReadRecord) -> wire.RecordView:
        found = await self.lookup.find(principal, command.id, operation=command.operation)
        if found.live is not None and not found.live.ended.is_set():
            raise ConflictError("it has not ended; wait for it with wait_ms", operation=command.operation)
        return wire.RecordView.of(found.execution, self._ended_view(found.execution))

    async def drop(self, execution: Execution) -> None:
        """Remove an ended one with its files."""
        await self.records.delete(execution)
        await self.streams.delete(execution.id)

    async def cancel(self, principal: Principal, command: wire.CancelExecution) -> ExecutionView:
        live = await self._open(principal, command.id, command.operation)
        await cancel(live)
        return self._view(live)

    async def pause(self, principal: Principal, command: wire.PauseExecution) -> ExecutionView:
        return await self._control(principal, command, lambda running: running.pause())

    async def resume(self, principal: Principal, command: wire.ResumeExecution) -> ExecutionView:
        return await self._control(principal, command, lambda running: running.resume())

    async def interrupt(self, principal: Principal, command: wire.InterruptExecution) -> ExecutionView:
        return await self._control(principal, command, lambda running: running.interrupt())

    async def signal(self, principal: Principal, command: wire.SignalExecution) -> ExecutionView:
        return await self._control(principal, command, lambda running: running.signal(command.signal))

    async def input(self, principal: Principal, command: wire.InputExecution) -> ExecutionView:
        data = command.text.encode()
        return await self._control(principal, command, lambda running: running.write_stdin(data))

    async def close_stdin(self, principal: Principal, command: wire.CloseStdinExecution) -> ExecutionView:
        return await self._control(principal, command, lambda running: running.close_stdin())

    async def _control(
        self, principal: Principal, command: wire.Control, act: Callable[[Running], Awaitable[None]]
    ) -> ExecutionView:
        live = await self._open(principal, command.id, command.operation)
        if live.withdraw is not None:
            raise ConflictError("it waits for its turn and does not run yet", operation=command.operation)
        try:
            async with asyncio.timeout(START_SECONDS):
                await live.begun.wait()
        except TimeoutError:
            raise DeadlineError("it is still being started; try again", operation=command.operation) from None
        if live.running is None:
            raise ExitedError(f"execution {command.id} has ended", operation=command.operation)
        await act(live.running)
        return self._view(live)

    async def _open(self, principal: Principal, reference: str, operation: str) -> LiveExecution:
        found: FoundExecution = await self.lookup.find(principal, reference, operation=operation)
        if found.live is None or found.live.ended.is_set():
            raise ExitedError(f"execution {reference} has ended", operation=operation)
        return found.live

    def _current(self, execution: Execution) -> ExecutionView:
        live = self.table.find(execution.id)
        return self._view(live) if live is not None else ExecutionView.of(execution)

    def _view(self, live: LiveExecution) -> ExecutionView:
        if live.ended.is_set():
            return ExecutionView.of(live.execution)
        return ExecutionView.of(replace(live.execution, streams=self.keeper.view_totals(live)))

    def _ended_view(self, execution: Execution) -> ExecutionView:
        """Its oldest bytes may have been dropped since its end."""
        streams = {
            name: _shortened(totals, self.streams.get(execution.id, name).bounds().start) if totals.end else totals
            for name, totals in execution.streams.items()
        }
        return ExecutionView.of(replace(execution, streams=streams))


def _shortened(totals: StreamTotals, start: int) -> StreamTotals:
    return replace(totals, start=min(max(totals.start, start), totals.end))


async def _wait(live: LiveExecution, wait_ms: int) -> None:
    if wait_ms and not live.ended.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_ms / 1000):
                await live.ended.wait()
