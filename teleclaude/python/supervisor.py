"""A session's worker and its successors: one at a time, each one's end noticed, its health watched."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import ExitedError
from teleclaude.process.outcome import LeaderExit
from teleclaude.python.conversation import Said
from teleclaude.python.errors import ProtocolError
from teleclaude.python.health import Heartbeats
from teleclaude.python.messages import Beat, Told
from teleclaude.python.output import Late
from teleclaude.python.pool import WorkerPool
from teleclaude.python.process import WorkerProcess
from teleclaude.python.settings import Place, PythonSettings

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


class Supervisor:
    """``owner`` is whose its tasks are. ``heard`` takes what the worker says of cells; while ``is_paused`` answers True
    the worker owes no heartbeat.
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
        late: Late,
        epoch: int,
        owner: str,
        heard: Said,
        is_paused: Callable[[], bool],
    ) -> None:
        self.epoch = epoch
        self.worker: WorkerProcess | None = None
        self._session_id = session_id
        self._place = place
        self._settings = settings
        self._pool = pool
        self._tasks = tasks
        self._clock = clock
        self._listener = listener
        self._late = late
        self._owner = owner
        self._heard = heard
        self._is_paused = is_paused
        self._heartbeats = Heartbeats()
        self._settled = asyncio.Event()
        self._settled.set()
        self._closed = False

    @property
    def is_responsive(self) -> bool:
        return self._heartbeats.is_responsive

    @property
    def is_replacing(self) -> bool:
        """Whether the worker was ended, or is being ended, for a successor."""
        return not self._settled.is_set()

    @property
    def has_died(self) -> bool:
        """Whether the worker ended, and nobody replaces it."""
        return self.worker is not None and self.worker.ended and not self.is_replacing

    async def settled(self) -> None:
        """Wait until a replacement that was begun is over, for better or worse."""
        await self._settled.wait()

    async def start(self) -> None:
        """The first worker. Raises ``InvalidError`` and ``UnavailableError``; then nothing is left."""
        self._adopt(await self._pool.acquire(self._place))
        self._tasks.spawn(self._watch_health(), name="health", owner=self._owner)

    def require(self, operation: str) -> WorkerProcess:
        """The worker, which may be one that is being replaced. Raises ``ExitedError`` when there is none."""
        worker = self.worker
        if self._closed or worker is None:
            raise ExitedError("the session is closed", operation=operation)
        if self.has_died:
            raise ExitedError("the interpreter has ended; restart the session", operation=operation)
        return worker

    def kill(self) -> None:
        """End the worker for a successor; ``replace`` has to follow."""
        self._settled.clear()
        if self.worker is not None:
            self.worker.kill()

    async def replace(self) -> None:
        """End the worker and start the next one. When that fails the session has exited, and this raises why."""
        self.kill()
        try:
            if self.worker is not None:
                await self.worker.wait()
            worker = await self._pool.acquire(self._place)
            if self._closed:
                await worker.aclose(grace=0)
                raise ExitedError("the session was closed meanwhile", operation="session.restart")
            self.epoch += 1
            self._adopt(worker)
        except Exception:
            if not self._closed:
                self._listener.exited(LeaderExit() if self.worker is None else self.worker.exit)
            raise
        finally:
            self._settled.set()
        self._listener.restarted(self.epoch)

    async def aclose(self, grace: float) -> None:
        """End the worker, which may take ``grace`` seconds over it. Its tasks are the owner's to end."""
        self._closed = True
        if self.worker is not None:
            await self.worker.aclose(grace)

    def _adopt(self, worker: WorkerProcess) -> None:
        worker.conversation.said = self._hear
        worker.late = self._late
        self.worker = worker
        self._heartbeats = Heartbeats()
        self._tasks.spawn(self._mourn(worker), name=f"mourn {worker.id}", owner=self._owner)
        log.info(
            "python_session_ready",
            session_id=self._session_id,
            epoch=self.epoch,
            pid=worker.pid,
            python=worker.conversation.python,
            loop=type(asyncio.get_running_loop()).__name__,
        )

    async def _mourn(self, worker: WorkerProcess) -> None:
        """Say so when a worker ended by itself."""
        how = await worker.wait()
        if worker is self.worker and not self._closed and not self.is_replacing:
            log.warning("worker_died", session_id=self._session_id, code=how.code, signal=how.signal)
            self._listener.exited(how)

    async def _hear(self, message: Told) -> None:
        if not isinstance(message, Beat):
            await self._heard(message)
            return
        try:
            recovered = self._heartbeats.heard(message.seq)
        except ValueError as error:
            raise ProtocolError(str(error)) from error
        if recovered:
            log.info("session_responsive", session_id=self._session_id)
            self._listener.responsive()

    async def _watch_health(self) -> None:
        while True:
            worker = self.worker
            if worker is None or worker.ended or self._is_paused():
                self._heartbeats.forget()
            elif self._heartbeats.is_newly_lost():
                log.warning("session_unresponsive", session_id=self._session_id, missed=self._heartbeats.missed)
                self._listener.unresponsive(self._heartbeats.missed)
            elif self._heartbeats.is_responsive:
                await self._ping(worker)
            await self._clock.sleep(self._settings.heartbeat_ms / 1000)

    async def _ping(self, worker: WorkerProcess) -> None:
        try:
            self._heartbeats.sent(await worker.conversation.ping())
        except ExitedError:
            log.debug("ping_too_late", session_id=self._session_id)
