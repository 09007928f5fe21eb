"""Cells as executions: admitted, recorded, run, and their ends stored."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from functools import partial

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import TeleclaudeError
from teleclaude.events import ExecutionInputRequested
from teleclaude.model import CancelledState, CellSpec, Ending, Execution, Principal, QueuedState, Session
from teleclaude.python import RunningCell
from teleclaude.service.executions.keeper import Keeper
from teleclaude.service.executions.live import LiveExecution
from teleclaude.service.ids import new_id
from teleclaude.service.python.sessions import Interpreter
from teleclaude.service.python.transcript import Tee
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.executions import ExecutionView

log = structlog.get_logger(__name__)


class Cells:
    """The engine for cells, beside the one for commands."""

    def __init__(self, *, keeper: Keeper, tasks: TaskRegistry, clock: Clock) -> None:
        self._keeper = keeper
        self._tasks = tasks
        self._clock = clock

    async def start(
        self, principal: Principal, session: Session, interpreter: Interpreter, spec: CellSpec, tags: tuple[str, ...]
    ) -> LiveExecution:
        """Record and run it, or queue it. Raises what ``PythonSession.admit`` does; then nothing is recorded."""
        async with interpreter.admission:
            interpreter.engine.admit(spec)
            execution = Execution(
                id=new_id("E", self._clock),
                computer=session.computer,
                spec=spec,
                state=QueuedState(),
                created_at=self._clock.now(),
                owner=principal.name,
                session_id=session.id,
                tags=tags,
            )
            live = await self._keeper.open(execution)
            cell = await self._submit(live, interpreter, spec)
        self._keeper.attach(live, cell)
        self._tasks.spawn(self._follow(live, cell, interpreter), name=live.id, owner=interpreter.cells)
        return live

    async def wait(self, live: LiveExecution, wait_ms: int) -> ExecutionView:
        """What it is after ``wait_ms``, or as soon as it has ended."""
        if wait_ms:
            with suppress(TimeoutError):
                async with asyncio.timeout(wait_ms / 1000):
                    await live.ended.wait()
        if live.ended.is_set():
            return ExecutionView.of(live.execution)
        return ExecutionView.of(replace(live.execution, streams=self._keeper.view_totals(live)))

    async def _submit(self, live: LiveExecution, interpreter: Interpreter, spec: CellSpec) -> RunningCell:
        try:
            return interpreter.engine.submit(
                live.id,
                spec,
                {name: Tee(sink, interpreter.transcript) for name, sink in live.sinks.items()},
                changed=partial(self._keeper.changed, live),
                asks=partial(self._asked, live),
            )
        except TeleclaudeError:
            # The session was closed while the cell was being recorded.
            await self._keeper.finish(live, CancelledState(Ending(completed_at=self._clock.now())), {})
            raise

    async def _follow(self, live: LiveExecution, cell: RunningCell, interpreter: Interpreter) -> None:
        outcome = await cell.wait()
        interpreter.used()
        await interpreter.transcript.show(outcome)
        await self._keeper.finish(live, outcome, cell.totals)

    def _asked(self, live: LiveExecution, prompt: str) -> None:
        self._keeper.note(live, ExecutionInputRequested(prompt=prompt))
