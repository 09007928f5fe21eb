"""The only place that starts an asyncio task."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import structlog

from teleclaude.api import TaskPolicy
from teleclaude.clock import Clock
from teleclaude.errors import UnavailableError

log = structlog.get_logger(__name__)

Work = Coroutine[Any, Any, None] | Callable[[], Coroutine[Any, Any, None]]

FIRST_BACKOFF_SECONDS = 0.1
MAX_BACKOFF_SECONDS = 30.0
HEALTHY_SECONDS = 10.0
"""A restarted task that ran this long is taken to have succeeded, so its next failure backs off from the start."""

DRAIN_SECONDS = 5.0
CANCEL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class TaskFailure:
    """Why the daemon must stop: a task with policy ``FATAL`` raised ``error``."""

    name: str
    owner: str
    error: BaseException


@dataclass(frozen=True, slots=True)
class TaskCounts:
    """``active`` is now, by owner; the others count since the start."""

    active: Mapping[str, int]
    started: int
    failed: int
    cancelled: int
    restarted: int


class TaskRegistry:
    """Starts, names, counts and ends tasks. Implements ``teleclaude.api.Tasks``.

    An async context manager: leaving it drains what is left within ``DRAIN_SECONDS``.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: dict[str, dict[asyncio.Task[None], str]] = {}
        self._closed = False
        self._started = self._failed = self._cancelled = self._restarted = 0
        self._fatal: TaskFailure | None = None
        self._fatal_seen = asyncio.Event()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Refuse new tasks and end the running ones."""
        self._closed = True
        await self.drain(DRAIN_SECONDS)

    def spawn(self, work: Work, *, name: str, owner: str, policy: TaskPolicy = TaskPolicy.REPORT) -> asyncio.Task[None]:
        """Start ``work``; see ``TaskPolicy`` for what its failure means.

        A ``RESTART`` task must be given as a factory and ends for good by returning or by being cancelled.
        Raises ``UnavailableError`` once the registry is closed.
        """
        coroutine = self._prepare(work, name, owner, policy)
        task = asyncio.create_task(coroutine, name=f"{owner}/{name}")
        self._tasks.setdefault(owner, {})[task] = name
        self._started += 1
        log.debug("task_spawned", task=name, owner=owner, policy=policy.value)
        task.add_done_callback(partial(self._ended, name, owner, policy))
        return task

    async def cancel_owner(self, owner: str, timeout: float) -> list[str]:
        """Cancel all tasks of ``owner`` but the calling one and wait ``timeout`` seconds.

        Answers the names of those that did not end; they stay counted as active.
        """
        log.debug("tasks_cancelled", owner=owner)
        return sorted(name for _, name in await self._cancel(owner, timeout))

    async def settle_owner(self, owner: str, timeout: float) -> list[str]:
        """Wait up to ``timeout`` seconds for the tasks of ``owner`` to end by themselves, then cancel the rest.

        Answers the names of those that had to be cancelled.
        """
        left = self._others(owner)
        if left:
            await asyncio.wait(left, timeout=timeout)
        late = sorted(name for _, name in self._others(owner).values())
        await self._cancel(owner, CANCEL_SECONDS)
        return late

    async def drain(self, timeout: float) -> list[str]:
        """Cancel every task and wait ``timeout`` seconds in all; names as ``owner/name`` what did not end."""
        stuck = sorted(f"{owner}/{name}" for owner, name in await self._cancel(None, timeout))
        if stuck:
            log.warning("tasks_not_drained", tasks=", ".join(stuck), timeout_s=timeout)
        return stuck

    @property
    def counts(self) -> TaskCounts:
        return TaskCounts(
            active={owner: len(tasks) for owner, tasks in self._tasks.items()},
            started=self._started,
            failed=self._failed,
            cancelled=self._cancelled,
            restarted=self._restarted,
        )

    @property
    def fatal(self) -> TaskFailure | None:
        """The first failure of a ``FATAL`` task, if there was one."""
        return self._fatal

    async def wait_fatal(self) -> TaskFailure:
        """Wait until a ``FATAL`` task fails. The caller stops the daemon."""
        await self._fatal_seen.wait()
        assert self._fatal is not None
        return self._fatal

    def _prepare(self, work: Work, name: str, owner: str, policy: TaskPolicy) -> Coroutine[Any, Any, None]:
        if self._closed:
            if inspect.iscoroutine(work):
                work.close()
            raise UnavailableError(f"task {name} cannot start: the daemon is stopping", operation="task.spawn")
        if policy is TaskPolicy.RESTART:
            if not callable(work):
                work.close()
                raise TypeError(f"task {owner}/{name} restarts, so it needs a factory, not a coroutine")
            return self._keep_running(work, name, owner)
        return work() if callable(work) else work

    async def _keep_running(self, factory: Callable[[], Coroutine[Any, Any, None]], name: str, owner: str) -> None:
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = self._clock.monotonic()
            try:
                await factory()
            except Exception:
                # Any failure may be passing: that is what this policy is for, and each one is in the log.
                self._failed += 1
                if self._clock.monotonic() - began >= HEALTHY_SECONDS:
                    backoff = FIRST_BACKOFF_SECONDS
                log.exception("task_failed", task=name, owner=owner, policy="restart", retry_s=backoff)
            else:
                return
            await self._clock.sleep(backoff)
            backoff = min(backoff * 2, MAX_BACKOFF_SECONDS)
            self._restarted += 1

    def _ended(self, name: str, owner: str, policy: TaskPolicy, task: asyncio.Task[None]) -> None:
        siblings = self._tasks[owner]
        del siblings[task]
        if not siblings:
            del self._tasks[owner]
        if task.cancelled():
            self._cancelled += 1
            return
        error = task.exception()
        if error is None:
            return
        self._failed += 1
        log.error("task_failed", task=name, owner=owner, policy=policy.value, exc_info=error)
        if policy is TaskPolicy.FATAL and self._fatal is None:
            self._fatal = TaskFailure(name=name, owner=owner, error=error)
            self._fatal_seen.set()

    async def _cancel(self, owner: str | None, timeout: float) -> list[tuple[str, str]]:
        """Cancel until nothing is left or time is up: a task may start another one while it ends."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        asked: set[asyncio.Task[None]] = set()
        while left := self._others(owner):
            for task in left.keys() - asked:
                task.cancel()
            asked |= left.keys()
            remaining = deadline - loop.time()
            if remaining <= 0:
                break
            await asyncio.wait(left, timeout=remaining, return_when=asyncio.FIRST_COMPLETED)
            await asyncio.sleep(0)  # lets the done callbacks of what just ended run
        return list(left.values())

    def _others(self, owner: str | None) -> dict[asyncio.Task[None], tuple[str, str]]:
        """Owner and name of each task of ``owner`` (None: of all) except the one that asks."""
        owners = self._tasks if owner is None else {owner: self._tasks.get(owner, {})}
        found = {task: (holder, name) for holder, tasks in owners.items() for task, name in tasks.items()}
        current = asyncio.current_task()
        if current is not None:
            found.pop(current, None)
        return found
