"""A cell's turn on the worker: its pipes, its deadline, and the way it is made to end."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from typing import Any

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import ExitedError
from teleclaude.process.outcome import StopCause
from teleclaude.python.cell import RunningCell
from teleclaude.python.conversation import Answer
from teleclaude.python.messages import Result
from teleclaude.python.output import CellOutput, Late
from teleclaude.python.process import WorkerProcess
from teleclaude.python.settings import PythonSettings

log = structlog.get_logger(__name__)

MAX_LINGERING = 64
"""How many pipes of ended cells may still be held open by what those cells started. Beyond it the oldest is closed."""


class Turns:
    """Gives cells their turn, one at a time. ``owner`` is whose tasks read the pipes."""

    def __init__(self, settings: PythonSettings, tasks: Tasks, owner: str, late: Late) -> None:
        self._settings = settings
        self._tasks = tasks
        self._owner = owner
        self._late = late
        self._lingering: deque[tuple[CellOutput, asyncio.Task[None]]] = deque()

    async def take(self, cell: RunningCell, worker: WorkerProcess, kill: Callable[[], None]) -> None:
        """Run ``cell`` to its outcome. ``kill`` ends the worker where nothing else helps."""
        with ExitStack() as theirs:
            outputs, descriptors = self._open(cell, theirs)
            cell.begin(worker, {name: output for name, (output, _) in outputs.items()})
            timeout = self._settings.input_timeout_ms / 1000 if cell.spec.allow_stdin else None
            answer = await worker.call(
                {"op": "execute", "id": cell.id, "code": cell.spec.code, "input_timeout": timeout}, descriptors
            )
        result = await self._outlast(cell, worker, answer, kill)
        if result is None:
            await worker.wait()
        for output, _ in outputs.values():
            await output.finish(self._settings.drain_ms / 1000)
        self._let_linger(outputs)
        cell.finish(result, died=worker if result is None else None)

    async def end(
        self, answer: asyncio.Future[Answer], worker: WorkerProcess, work: str, kill: Callable[[], None]
    ) -> None:
        """Interrupt ``work`` and wait the grace for its answer; then kill the worker."""
        with suppress(ExitedError):
            await worker.interrupt(work)
        await asyncio.wait([answer], timeout=self._settings.grace_ms / 1000)
        if not answer.done():
            log.warning("worker_killed", worker=worker.id, work=work, grace_ms=self._settings.grace_ms)
            kill()

    async def _outlast(
        self, cell: RunningCell, worker: WorkerProcess, answer: asyncio.Future[Answer], kill: Callable[[], None]
    ) -> Result | None:
        timeout = cell.spec.timeout_ms
        loop = asyncio.get_running_loop()
        timer = None if timeout is None else loop.call_later(timeout / 1000, cell.stop, StopCause.TIMEOUT)
        try:
            waiting: list[asyncio.Future[Any]] = [answer, cell.stopping]
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            if not answer.done():
                await self.end(answer, worker, cell.id, kill)
            result = await answer
        finally:
            if timer is not None:
                timer.cancel()
        return result if isinstance(result, Result) else None

    def _open(
        self, cell: RunningCell, theirs: ExitStack
    ) -> tuple[dict[str, tuple[CellOutput, asyncio.Task[None]]], list[int]]:
        outputs, descriptors = {}, []
        for name in ("stdout", "stderr"):
            reading, writing = os.pipe()
            theirs.callback(os.close, writing)
            os.set_blocking(reading, False)
            cap = self._settings.max_output_bytes
            output = CellOutput(reading, cell.sinks[name], cap, self._late, cell=cell.id, stream=name)
            outputs[name] = output, self._tasks.spawn(output.run(), name=f"read {name} {cell.id}", owner=self._owner)
            descriptors.append(writing)
        return outputs, descriptors

    def _let_linger(self, outputs: Mapping[str, tuple[CellOutput, asyncio.Task[None]]]) -> None:
        self._lingering.extend(outputs.values())
        self._lingering = deque(item for item in self._lingering if not item[0].ended)
        while len(self._lingering) > MAX_LINGERING:
            _, task = self._lingering.popleft()
            log.warning("late_output_cut", owner=self._owner, limit=MAX_LINGERING)
            task.cancel()


async def close_sinks(cell: RunningCell) -> None:
    """For a cell that never had its turn."""
    for name, sink in cell.sinks.items():
        try:
            await sink.close()
        except Exception:
            log.exception("cell_sink_not_closed", execution_id=cell.id, stream=name)
