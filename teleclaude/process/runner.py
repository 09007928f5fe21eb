"""Starts commands and keeps those that run. Owns nothing of their records: sinks and states are the caller's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import structlog

from teleclaude.api import TaskPolicy, Tasks
from teleclaude.clock import Clock
from teleclaude.errors import UnavailableError
from teleclaude.model import ExecutionSpec, LiveState
from teleclaude.process.breaker import SpawnBreaker
from teleclaude.process.cgroup import CgroupRoot
from teleclaude.process.group import KILL_SECONDS, ProcessGroup
from teleclaude.process.launch import Launch, plan_launch
from teleclaude.process.limits import ExecutionPolicy, Limits, limits_for
from teleclaude.process.orphans import OrphanReaper, is_subreaper
from teleclaude.process.running import RunningExecution, destroy
from teleclaude.process.sink import Sink
from teleclaude.process.spawn import Spawned, spawn
from teleclaude.tasks import watch_child

log = structlog.get_logger(__name__)

STOP_GRACE_SECONDS = 3.0
"""How much of its grace a command has when the daemon stops, which has a deadline of its own."""

_OWNER = "executions"


@dataclass(frozen=True, slots=True)
class Prepared:
    """A checked request; nothing has been started or recorded yet."""

    execution_id: str
    launch: Launch
    limits: Limits


def _ignore(state: LiveState) -> None:
    """For callers that do not follow state changes."""


class Runner:
    """An async context manager: leaving it cancels what runs and waits for its outcomes.

    ``base_env`` is the environment every command starts from. When the process is a subreaper on entering, adopted
    children are reaped, too.
    """

    def __init__(
        self,
        tasks: Tasks,
        clock: Clock,
        policy: ExecutionPolicy,
        base_env: Mapping[str, str],
        cgroups: CgroupRoot | None = None,
    ) -> None:
        self._tasks = tasks
        self._clock = clock
        self.policy = policy
        """May be replaced by a newer one at any time; running executions keep theirs."""
        self._base_env = dict(base_env)
        self.cgroups = cgroups
        """Where commands get control groups of their own, with which caps. Replaced as ``policy`` is."""
        self._breaker = SpawnBreaker(clock)
        self._running: dict[str, RunningExecution] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        if is_subreaper():
            reaper = OrphanReaper(self._clock, self._awaits)
            self._tasks.spawn(reaper.run, name="reap-orphans", owner=_OWNER, policy=TaskPolicy.RESTART)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Start nothing more, cancel what runs, and wait for it as long as its grace and the kernel take.

        A grace ends after ``STOP_GRACE_SECONDS`` here.
        """
        self._closed = True
        running = [execution for execution in self._running.values() if execution.outcome is None]
        for execution in running:
            await execution.cancel()
        late = await _not_ended(running, STOP_GRACE_SECONDS)
        await asyncio.gather(*(execution.kill() for execution in late))
        for execution in await _not_ended(late, KILL_SECONDS):
            log.error("execution_not_ended", execution_id=execution.id)
        await self._tasks.cancel_owner(_OWNER, 1.0)

    @property
    def running(self) -> Mapping[str, RunningExecution]:
        """What has been started and has no outcome yet, by execution id."""
        return self._running

    @property
    def is_failing(self) -> bool:
        """Whether starts fail at once because the last ones did: readiness shows it."""
        return self._breaker.is_open

    async def prepare(self, spec: ExecutionSpec, execution_id: str) -> Prepared:
        """Check everything that can be known before a start.

        Raises ``InvalidError``, ``ForbiddenError`` and ``TooLargeError`` as ``limits_for`` and ``plan_launch`` do, and
        ``UnavailableError`` while starts fail.
        """
        return await asyncio.to_thread(self.prepare_blocking, spec, execution_id)

    def prepare_blocking(self, spec: ExecutionSpec, execution_id: str) -> Prepared:
        """As ``prepare``, in a thread of the caller's."""
        self._breaker.check()
        limits = limits_for(spec, self.policy)
        return Prepared(execution_id, plan_launch(spec, execution_id, self.policy, self._base_env), limits)

    async def start(
        self, prepared: Prepared, sinks: Mapping[str, Sink], changed: Callable[[LiveState], None] = _ignore
    ) -> RunningExecution:
        """Start it; from here on it has an outcome, which ``wait`` of the answer gives.

        ``sinks`` holds one for ``stdout`` and one for ``stderr``; they are closed in any case from the moment of the
        start, and left alone when this raises. ``changed`` hears of every state but the last.

        Raises ``UnavailableError`` when programs cannot be started now and ``InvalidError`` when this one cannot; then
        nothing of it is left. Cancelling undoes the start.
        """
        if self._closed:
            raise UnavailableError("the daemon is stopping", operation="execution.start")
        self._breaker.admit()
        spawned, group = await self._spawn(prepared)
        try:
            execution = self._follow(prepared, spawned, group, sinks, changed)
        except BaseException:
            await _see_through(asyncio.get_running_loop().run_in_executor(None, destroy, spawned, group))
            raise
        log.info("execution_started", execution_id=execution.id, pid=execution.process.pid)
        return execution

    async def _spawn(self, prepared: Prepared) -> tuple[Spawned, ProcessGroup]:
        try:
            if self.cgroups is None:
                # The interpreter waits for the child's exec with its lock held, so a thread would free nobody.
                result = self._spawn_blocking(prepared)
            else:
                result = await self._spawn_in_thread(prepared)
        except asyncio.CancelledError:
            self._breaker.withdrawn()
            raise
        except UnavailableError:
            self._breaker.failed()
            raise
        except BaseException:
            self._breaker.succeeded()
            raise
        self._breaker.succeeded()
        return result

    async def _spawn_in_thread(self, prepared: Prepared) -> tuple[Spawned, ProcessGroup]:
        loop = asyncio.get_running_loop()
        starting = loop.run_in_executor(None, self._spawn_blocking, prepared)
        try:
            return await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be stopped, and what it starts must not be left behind: milliseconds, in general.
            await _see_through(starting)
            if starting.exception() is None:
                spawned, group = starting.result()
                spawned.close()
                await _see_through(loop.run_in_executor(None, destroy, spawned, group))
            raise

    def _spawn_blocking(self, prepared: Prepared) -> tuple[Spawned, ProcessGroup]:
        cgroups = self.cgroups
        cgroup = cgroups.create(prepared.execution_id) if cgroups else None
        try:
            spawned = spawn(prepared.launch, cgroup)
        except BaseException:
            if cgroup is not None:
                cgroup.remove()
            raise
        return spawned, ProcessGroup(spawned.identity, prepared.execution_id, cgroup)

    def _follow(
        self,
        prepared: Prepared,
        spawned: Spawned,
        group: ProcessGroup,
        sinks: Mapping[str, Sink],
        changed: Callable[[LiveState], None],
    ) -> RunningExecution:
        with ExitStack() as undo:
            undo.callback(spawned.close)
            watch = watch_child(spawned.identity.pid, spawned.identity.start_time)
            undo.callback(watch.close)
            execution = RunningExecution(
                prepared.execution_id,
                spawned,
                group,
                watch=watch,
                sinks=sinks,
                limits=prepared.limits,
                stdin=prepared.launch.stdin,
                tasks=self._tasks,
                clock=self._clock,
                changed=changed,
            )
            # The descriptors and the watch are the execution's from here on.
            undo.pop_all()
            undo.callback(execution.abandon)
            execution.begin(partial(self._running.pop, execution.id, None))
            self._running[execution.id] = execution
            undo.pop_all()
        return execution

    def _awaits(self, pid: int) -> bool:
        return any(execution.process.pid == pid for execution in list(self._running.values()))


async def _not_ended(executions: list[RunningExecution], timeout: float) -> list[RunningExecution]:
    """Those that have no outcome after ``timeout`` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(timeout):
            for execution in executions:
                await execution.wait()
    return [execution for execution in executions if execution.outcome is None]


async def _see_through(work: asyncio.Future[Any]) -> None:
    """Wait for the end of what cannot be stopped, however often this is cancelled; the caller raises that again."""
    while not work.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([work])
