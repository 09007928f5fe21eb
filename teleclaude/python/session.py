"""A Python session: one worker after the other, one cell after the other."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import (
    BusyError,
    DeadlineError,
    ExitedError,
    InvalidError,
    LimitError,
    TeleclaudeError,
    TooLargeError,
)
from teleclaude.model import CellSpec
from teleclaude.process import Sink
from teleclaude.process.outcome import LeaderExit, StopCause
from teleclaude.process.signals import parse_signal
from teleclaude.python.cell import Asked, Changed, RunningCell
from teleclaude.python.errors import ProtocolError
from teleclaude.python.health import Heartbeats
from teleclaude.python.messages import Beat, Reply, Told
from teleclaude.python.output import Late
from teleclaude.python.pool import WorkerPool
from teleclaude.python.process import WorkerProcess, discard
from teleclaude.python.settings import Place, PythonSettings
from teleclaude.python.turn import Turns, close_sinks
from teleclaude.python.worker.frames import MAX_FRAME_BYTES, FrameTooLargeError, Message, encode

log = structlog.get_logger(__name__)


class Listener(Protocol):
    """Hears what happens to a session. Nothing here may block or raise."""

    def restarted(self, epoch: int) -> None:
        """A new worker serves; the namespace is empty."""
        ...

    def exited(self, how: LeaderExit) -> None:
        """There is no worker any more, and none will be started unless ``PythonSession.restart`` is called."""
        ...

    def unresponsive(self, missed: int) -> None:
        """The worker left ``missed`` heartbeats unanswered. It may recover; a restart is the way out."""
        ...

    def responsive(self) -> None:
        """It answers again."""
        ...


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
        self.epoch = epoch
        self._place = place
        self._settings = settings
        self._pool = pool
        self._tasks = tasks
        self._clock = clock
        self._listener = listener
        self._late = late
        self._owner = f"python:{session_id}"
        self._turns = Turns(settings, tasks, self._owner, late)
        self._heartbeats = Heartbeats()
        self._worker: WorkerProcess | None = None
        self._queue: deque[RunningCell] = deque()
        self._current: RunningCell | None = None
        self._turn = asyncio.Lock()
        self._wanted = asyncio.Event()
        self._exit: LeaderExit | None = None
        self._restarting = 0
        self._stable = asyncio.Event()
        self._stable.set()
        self._closed = False

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def exit(self) -> LeaderExit | None:
        """How the worker ended; None while there is one, or one is being started."""
        return self._exit

    @property
    def last_exit(self) -> LeaderExit:
        """How the latest worker ended, once it has."""
        return LeaderExit() if self._worker is None else self._worker.exit

    @property
    def pid(self) -> int | None:
        return None if self._worker is None else self._worker.pid

    @property
    def is_busy(self) -> bool:
        return self._current is not None or bool(self._queue) or self._turn.locked()

    @property
    def needs_input(self) -> bool:
        """Whether its cell asks a question."""
        return self._current is not None and self._current.needs_input

    @property
    def is_responsive(self) -> bool:
        return self._heartbeats.is_responsive

    async def start(self) -> None:
        """Start the first worker. Raises ``InvalidError`` and ``UnavailableError``; then nothing is left."""
        self._adopt(await self._pool.acquire(self._place))
        self._tasks.spawn(self._serve(), name="serve", owner=self._owner)
        self._tasks.spawn(self._watch_health(), name="health", owner=self._owner)

    def admit(self, spec: CellSpec) -> None:
        """Whether a cell may be submitted now. Raises ``BusyError`` while another cell runs, unless ``spec.queue`` is
        set; ``LimitError`` when too many wait; ``ExitedError`` when there is no worker; ``TooLargeError``.
        """
        self._require_worker("execution.start")
        if not spec.queue and self._keeps_waiting():
            raise BusyError("the session is busy; wait for it, or send queue true", operation="execution.start")
        if len(self._queue) >= self._settings.max_queued:
            raise LimitError(f"{len(self._queue)} cells wait already; send it later", operation="execution.start")
        _check_size({"op": "execute", "code": spec.code}, "execution.start")

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

    async def variables(self) -> dict[str, Any]:
        """``{variables: [{name, type, repr}], total}``. Raises ``BusyError`` while a cell runs, as all of these do."""
        return await self._request("variables.list", {"op": "variables"})

    async def update(self, values: Mapping[str, object], strategy: str) -> dict[str, Any]:
        """Merge; answers ``{updated, skipped}``. ``worker.namespace`` describes the strategies.

        Raises ``InvalidError`` for another strategy.
        """
        message = {"op": "update", "values": dict(values), "strategy": strategy}
        return await self._request("variables.update", message)

    async def clear(self) -> dict[str, Any]:
        """Remove the user's names; answers ``{cleared}``, how many."""
        return await self._request("variables.clear", {"op": "clear"})

    async def save(self, descriptor: int) -> dict[str, Any]:
        """Write a snapshot to ``descriptor``; answers ``{carried, dropped: [{name, type, reason}]}``."""
        return await self._request("session.snapshot", {"op": "snapshot"}, (descriptor,))

    async def load(self, descriptor: int) -> dict[str, Any]:
        """Read back what ``save`` wrote, and nothing else; answers ``{restored, removed, kept, missing}``."""
        return await self._request("session.restore", {"op": "restore"}, (descriptor,))

    async def signal(self, name: str) -> None:
        """Send a signal to the cell that runs, else to the worker. Raises ``InvalidError`` for an unknown name."""
        sig = parse_signal(name, operation="session.signal")
        worker = self._require_worker("session.signal")
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
        with self._restart():
            if self._worker is not None:
                await self._worker.aclose(grace=0)
            async with self._turn:
                await self._replace()
        return self.epoch

    async def aclose(self, grace: float | None = None) -> None:
        """Cancel what runs and end the worker, which may take ``grace`` seconds (``grace_ms``) when it is idle. Does
        nothing the second time.
        """
        if self._closed:
            return
        if grace is None:
            grace = self._settings.grace_ms / 1000
        self._closed = True
        self._stop_all()
        current = self._current
        if self._worker is not None:
            await self._worker.aclose(grace=0 if current else grace)
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
                        await self._stable.wait()
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
        worker = self._worker
        if cell.stopping.done() or worker is None or worker.ended:
            await self._drop(cell)
        elif await self._turns.take(cell, worker) and not self._closed and not self._restarting:
            await self._replace_killed()

    async def _drop(self, cell: RunningCell) -> None:
        """A cell that never runs: it was cancelled, or its worker died before."""
        await close_sinks(cell.sinks)
        cell.finish(None, died=None if cell.stopping.done() else self._worker)

    async def _request(self, operation: str, message: Message, descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """Ask for something that is no cell, at once or not at all."""
        worker = self._require_worker(operation)
        if self.is_busy:
            raise BusyError("the session is busy; wait until its cells have ended", operation=operation)
        message = {**message, "id": f"request-{secrets.token_hex(8)}"}
        _check_size(message, operation)
        async with self._turn:
            answer = await worker.call(message, descriptors)
            # It may run the user's code: every repr does.
            await asyncio.wait([answer], timeout=self._settings.request_timeout_ms / 1000)
            late = not answer.done()
            if late and await self._turns.end(answer, worker, message["id"]):
                await self._replace_killed()
            reply = await answer
        if late:
            raise DeadlineError("the session's objects took too long over it; it was interrupted", operation=operation)
        return _data_of(reply if isinstance(reply, Reply) else None, operation)

    async def _replace_killed(self) -> None:
        try:
            await self._replace()
        except TeleclaudeError:
            log.exception("worker_not_replaced", session_id=self.id)

    async def _replace(self) -> None:
        """Hold ``_turn``."""
        with self._restart():
            try:
                if self._worker is not None:
                    await self._worker.wait()
                self._exit = None
                worker = await self._pool.acquire(self._place)
            except TeleclaudeError:
                self._exit = LeaderExit() if self._worker is None else self._worker.exit
                self._listener.exited(self._exit)
                raise
        self.epoch += 1
        self._adopt(worker)
        self._listener.restarted(self.epoch)

    def _adopt(self, worker: WorkerProcess) -> None:
        worker.said = self._hear
        worker.late = self._late
        self._worker = worker
        self._heartbeats = Heartbeats()
        self._tasks.spawn(self._mourn(worker), name=f"mourn {worker.id}", owner=self._owner)
        log.info(
            "python_session_ready",
            session_id=self.id,
            epoch=self.epoch,
            pid=worker.pid,
            python=worker.python,
            loop=type(asyncio.get_running_loop()).__name__,
        )

    @contextmanager
    def _restart(self) -> Iterator[None]:
        """While the worker has no successor yet; its end is no surprise."""
        self._restarting += 1
        self._stable.clear()
        try:
            yield
        finally:
            self._restarting -= 1
            if not self._restarting:
                self._stable.set()

    async def _mourn(self, worker: WorkerProcess) -> None:
        """Say so when a worker ended by itself."""
        how = await worker.wait()
        if worker is self._worker and not self._closed and not self._restarting:
            self._exit = how
            log.warning("worker_died", session_id=self.id, epoch=self.epoch, code=how.code, signal=how.signal)
            self._listener.exited(how)

    async def _hear(self, message: Told) -> None:
        if isinstance(message, Beat):
            self._hear_beat(message)
            return
        cell = self._current
        if cell is not None and cell.id == message.id:
            await cell.hear(message)
        else:
            # A thread may have asked in the moment in which its cell ended; the worker has answered it then.
            log.debug("news_of_ended_cell", session_id=self.id, execution_id=message.id)

    def _hear_beat(self, beat: Beat) -> None:
        try:
            recovered = self._heartbeats.heard(beat.seq)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        if recovered:
            log.info("session_responsive", session_id=self.id)
            self._listener.responsive()

    async def _watch_health(self) -> None:
        while True:
            worker = self._worker
            paused = self._current is not None and self._current.is_paused
            if worker is None or worker.ended or paused:
                self._heartbeats.forget()
            elif self._heartbeats.is_newly_lost():
                log.warning("session_unresponsive", session_id=self.id, missed=self._heartbeats.missed)
                self._listener.unresponsive(self._heartbeats.missed)
            elif self._heartbeats.is_responsive:
                self._heartbeats.sent(await worker.ping())
            await self._clock.sleep(self._settings.heartbeat_ms / 1000)

    def _keeps_waiting(self) -> bool:
        """A restart that is on its way ends what is there, and the next cell waits for nothing else."""
        if not self._restarting:
            return self.is_busy
        cells = (*self._queue, *((self._current,) if self._current is not None else ()))
        return any(not cell.stopping.done() for cell in cells)

    def _stop_all(self) -> None:
        for cell in (*self._queue, *((self._current,) if self._current is not None else ())):
            cell.stop(StopCause.CANCEL)

    def _require_worker(self, operation: str) -> WorkerProcess:
        worker = self._worker
        if self._closed or worker is None:
            raise ExitedError("the session is closed", operation=operation)
        if worker.ended and not self._restarting:
            raise ExitedError("the interpreter has ended; restart the session", operation=operation)
        return worker


def _check_size(message: Message, operation: str) -> None:
    try:
        encode(message)
    except FrameTooLargeError as error:
        raise TooLargeError(
            f"it takes more than the {MAX_FRAME_BYTES} bytes of a message; use a file", operation=operation
        ) from error


def _data_of(reply: Reply | None, operation: str) -> dict[str, Any]:
    if reply is None:
        raise ExitedError("the interpreter ended over it; restart the session", operation=operation)
    if reply.error is not None:
        raise InvalidError(f"{reply.error.type}: {reply.error.message}", operation=operation)
    data: dict[str, Any] = reply.data
    return data
