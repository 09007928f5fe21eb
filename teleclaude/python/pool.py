"""Workers that have booted before anybody needs them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

import structlog

from teleclaude.api import TaskPolicy, Tasks
from teleclaude.errors import UnavailableError
from teleclaude.python.process import WorkerProcess
from teleclaude.python.settings import Place, PythonSettings

log = structlog.get_logger(__name__)

_OWNER = "python-pool"
_STARTUP_VARIABLES = ("PYTHON", "LD_", "DYLD_")
"""The environment of an interpreter that has started already cannot be given these any more."""


class WorkerPool:
    """Keeps ``settings.warm`` booted workers and starts others on demand. An async context manager."""

    def __init__(self, settings: PythonSettings, tasks: Tasks) -> None:
        self._settings = settings
        self._tasks = tasks
        self._booted: deque[WorkerProcess] = deque()
        self._wanted = asyncio.Event()
        self._closed = False

    async def __aenter__(self) -> Self:
        self._wanted.set()
        self._tasks.spawn(self._refill, name="refill", owner=_OWNER, policy=TaskPolicy.RESTART)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the workers that nobody took. Does nothing the second time."""
        self._closed = True
        await self._tasks.cancel_owner(_OWNER, self._settings.ready_timeout_ms / 1000)
        while self._booted:
            await self._booted.popleft().aclose(grace=0)

    def resettle(self, settings: PythonSettings) -> None:
        """Start workers by other settings from now on. Booted ones that do not fit them are ended."""
        before = self._settings
        fits = (settings.interpreter, settings.cgroups) == (before.interpreter, before.cgroups)
        while self._booted and (not fits or len(self._booted) > settings.warm):
            self._booted.pop().kill()
        self._settings = settings
        self._wanted.set()

    @property
    def warm(self) -> int:
        """How many are booted and free."""
        return len(self._booted)

    async def acquire(self, place: Place) -> WorkerProcess:
        """A worker that is ready in ``place`` and the caller's from now on. Raises as ``WorkerProcess.start`` does."""
        while (warm := self._take(place)) is not None:
            try:
                return await _begun(warm, place)
            except UnavailableError:
                log.exception("warm_worker_lost", worker=warm.id)
        return await _begun(await WorkerProcess.start(self._settings, self._tasks, place.env), place)

    def _take(self, place: Place) -> WorkerProcess | None:
        if any(name.startswith(_STARTUP_VARIABLES) for name in place.env):
            return None
        while self._booted:
            self._wanted.set()
            worker = self._booted.popleft()
            if not worker.ended:
                return worker
        return None

    async def _refill(self) -> None:
        while True:
            await self._wanted.wait()
            while not self._closed and len(self._booted) < self._settings.warm:
                worker = await WorkerProcess.start(self._settings, self._tasks)
                log.debug("worker_warm", worker=worker.id, pid=worker.pid)
                self._booted.append(worker)
            self._wanted.clear()


async def _begun(worker: WorkerProcess, place: Place) -> WorkerProcess:
    try:
        await worker.begin(place)
    except BaseException:
        await worker.aclose(grace=0)
        raise
    return worker
