"""A Python session: one worker after the other, one cell after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Self

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import BusyError, ExitedError, LimitError, TeleclaudeError
from teleclaude.model import CellSpec
from teleclaude.process import Sink
from teleclaude.process.outcome import LeaderExit, StopCause
from teleclaude.process.signals import parse_signal
from teleclaude.python.cell import Asked, Changed, RunningCell
from teleclaude.python.messages import Beat, Told
from teleclaude.python.output import Late
from teleclaude.python.pool import WorkerPool
from teleclaude.python.process import discard
from teleclaude.python.settings import Place, PythonSettings
from teleclaude.python.supervisor import Listener, Supervisor
from teleclaude.python.turn import Turns, close_sinks
from teleclaude.python.variables import Variables, check_size

log = structlog.get_logger(__name__)


class PythonSession:
    """May be made anywhere and is used on one running loop. An async context manager: entering it starts the worker,
    leaving it ends the worker and everything that one started.

    ``late`` takes output that belongs to no running cell: of threads, tasks and children that outlived theirs.
    """

    def __init__(
        self,
        session_id: str,
        place: Place,
        settings: PythonSettings,
        *,
        pool: WorkerPool,
        tasks: Tasks,
        clock: Clock,
        listener: Listener,
        late: Late = discard,
        epoch: int = 1,
    ) -> None:
        self.id = session_id
        self._settings = settings
        self._tasks = tasks
        self._clock = clock
        self._owner = f"python:{session_id}"
        self._turns = Turns(settings, tasks, self._owner, late)
        self._supervisor = Supervisor(
            session_id,
            place,
            settings,
            pool=pool,
            tasks=tasks,
            clock=clock,
            listener=listener,
            late=late,
            epoch=epoch,
            owner=self._owner,
            heard=self._hear,
            is_paused=self._is_paused,
        )
        self._queue: deque[RunningCell] = deque()
        self._current: RunningCell | None = None
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._restarts = 0
        self._closed = False
        self.variables = Variables(
            settings,
            self._supervisor,
            self._turns,
            self._turn,
            is_busy=lambda: self.is_busy,
            replace_killed=self._replace_killed,
        )

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def epoch(self) -> int:
        """Grows with every worker."""
        return self._supervisor.epoch

    @property
    def last_exit(self) -> LeaderExit:
        """How the latest worker ended, once it has."""
        worker = self._supervisor.worker
        return LeaderExit() if worker is None else worker.exit

    @property
    def pid(self) -> int | None:
        worker = self._supervisor.worker
        return None if worker is None else worker.pid

    @property
    def is_busy(self) -> bool:
        return self._current is not None or bool(self._queue) or self._turn.locked()

    @property
    def needs_input(self) -> bool:
        """Whether its cell asks a question."""
        return self._current is not None and self._current.needs_input

    @property
    def is_responsive(self) -> bool:
        return self._supervisor.is_responsive

    async def start(self) -> None:
        """Start the first worker. Raises ``InvalidError`` and ``UnavailableError``; then nothing is left."""
        await self._supervisor.start()
        self._tasks.spawn(self._serve(), name="serve", owner=self._owner)

    def admit(self, spec: CellSpec) -> None:
        """Whether a cell may be submitted now. Raises ``BusyError`` while another cell runs, unless ``spec.queue`` is
        set; ``LimitError`` when too many wait; ``ExitedError`` when there is no worker; ``TooLargeError``.
        """
        self._supervisor.require("execution.start")
        if not spec.queue and self._keeps_waiting():
            raise BusyError("the session is busy; wait for it, or send queue true", operation="execution.start")
        if len(self._queue) >= self._settings.max_queued:
            raise LimitError(f"{len(self._queue)} cells wait already; send it later", operation="execution.start")
        check_size({"op": "execute", "code": spec.code}, "execution.start")

    def submit(
        self,
        cell_id: str,
        spec: CellSpec,
        sinks: Mapping[str, Sink],
        *,
        changed: Changed = lambda state: None,
        asks: Asked = lambda prompt: None,
    ) -> RunningCell:
        """Take a cell that was admitted; from now on it has an outcome, and closes ``sinks`` (``stdout``, ``stderr``).

        Raises ``RuntimeError`` outside a running loop and ``ExitedError`` when the session is closed.
        """
        asyncio.get_running_loop()
        if self._closed:
            raise ExitedError("the session is closed", operation="execution.start")
        cell = RunningCell(cell_id, spec, sinks, clock=self._clock, changed=changed, asks=asks)
        self._queue.append(cell)
        self._wanted.set()
        return cell

    async def signal(self, name: str) -> None:
        """Send a signal to the cell that runs, else to the worker. Raises ``InvalidError`` for an unknown name."""
        sig = parse_signal(name, operation="session.signal")
        worker = self._supervisor.require("session.signal")
        if self._current is not None:
            await self._current.signal(name)
        else:
            worker.signal(sig)

    async def restart(self) -> int:
        """A new worker, whatever the old one does; cells that run or wait are cancelled. Answers the new epoch.

        Raises ``UnavailableError`` when it does not become ready; the session has exited then.
        """
        if self._closed:
            raise ExitedError("the session is closed", operation="session.restart")
        self._stop_all()
        self._restarts += 1
        self._supervisor.kill()
        try:
            async with self._turn:
                await self._supervisor.replace()
        finally:
            self._restarts -= 1
        return self.epoch

    async def aclose(self, grace: float | None = None) -> None:
        """Cancel what runs and end the worker, which may take ``grace`` seconds (``grace_ms``) when it is idle. Where
        the worker has died by itself, that is how its cells end. Does nothing the second time.
        """
        if self._closed:
            return
        if grace is None:
            grace = self._settings.grace_ms / 1000
        self._closed = True
        if not self._supervisor.has_died:
            self._stop_all()
        current = self._current
        await self._supervisor.aclose(0 if current else grace)
        if current is not None:
            await current.wait()
        while self._queue:
            await self._drop(self._queue.popleft())
        await self._tasks.cancel_owner(self._owner, 1.0)

    async def _serve(self) -> None:
        """Run the cells in order."""
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            while self._queue:
                self._current = cell = self._queue.popleft()
                try:
                    if not cell.stopping.done():
                        await self._supervisor.settled()
                    async with self._turn:
                        await self._run(cell)
                except Exception as error:
                    log.exception("cell_not_run", session_id=self.id, execution_id=cell.id)
                    if cell.outcome is None:
                        cell.finish(None, fault=f"{type(error).__name__}: {error}")
                finally:
                    self._current = None

    async def _run(self, cell: RunningCell) -> None:
        """Hold ``_turn``."""
        worker = self._supervisor.worker
        if cell.stopping.done() or worker is None or worker.ended:
            await self._drop(cell)
            return
        try:
            await self._turns.take(cell, worker, self._supervisor.kill)
        finally:
            await self._replace_killed()

    async def _drop(self, cell: RunningCell) -> None:
        """A cell that never runs: it was cancelled, or its worker died before."""
        await close_sinks(cell)
        cell.finish(None, died=None if cell.stopping.done() else self._supervisor.worker)

    async def _replace_killed(self) -> None:
        """Give a worker that was killed its successor, unless a restart does. Hold ``_turn``."""
        if not self._supervisor.is_replacing or self._restarts or self._closed:
            return
        try:
            await self._supervisor.replace()
        except TeleclaudeError:
            log.exception("worker_not_replaced", session_id=self.id)

    async def _hear(self, message: Told) -> None:
        cell = self._current
        if not isinstance(message, Beat) and cell is not None and cell.id == message.id:
            await cell.hear(message)
        else:
            # A thread may have asked in the moment in which its cell ended; the worker has answered it then.
            log.debug("news_of_ended_cell", session_id=self.id)

    def _is_paused(self) -> bool:
        return self._current is not None and self._current.is_paused

    def _keeps_waiting(self) -> bool:
        """A restart that is on its way ends what is there, and the next cell waits for nothing else."""
        if not self._supervisor.is_replacing:
            return self.is_busy
        return any(not cell.stopping.done() for cell in self._cells())

    def _stop_all(self) -> None:
        for cell in self._cells():
            cell.stop(StopCause.CANCEL)

    def _cells(self) -> list[RunningCell]:
        return [*self._queue, *([self._current] if self._current is not None else [])]
