"""One running command: its control, its limits, and the one finaliser that says how it ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from signal import Signals
from typing import Any

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, ExitedError, ForbiddenError, IndeterminateError
from teleclaude.model import (
    OUTCOMES,
    ExecutionState,
    LiveState,
    Outcome,
    Overflow,
    PausedState,
    ProcessIdentity,
    RunningState,
    StoppingState,
    StreamTotals,
)
from teleclaude.process.cgroup import NO_CAPS_HIT, CapsHit
from teleclaude.process.drain import Outputs
from teleclaude.process.group import ProcessGroup
from teleclaude.process.leader import Leader
from teleclaude.process.limits import Limits
from teleclaude.process.outcome import Observed, StopCause, decide
from teleclaude.process.pipes import InputPipe
from teleclaude.process.signals import parse_signal
from teleclaude.process.sink import Sink
from teleclaude.process.spawn import Spawned
from teleclaude.process.timing import TimeLimits
from teleclaude.tasks import ProcessWatch

log = structlog.get_logger(__name__)

_GENTLE = (StopCause.CANCEL, StopCause.TIMEOUT, StopCause.IDLE)


class RunningExecution:
    """A command from its spawn to its outcome. Made by ``Runner.start``; needs the running loop.

    Every control raises ``ExitedError`` once the leader has exited, except ``cancel``: until the outcome is there, it
    ends what the leader left behind.
    """

    def __init__(
        self,
        execution_id: str,
        spawned: Spawned,
        group: ProcessGroup,
        *,
        watch: ProcessWatch,
        sinks: Mapping[str, Sink],
        limits: Limits,
        stdin: str | bool,
        tasks: Tasks,
        clock: Clock,
        changed: Callable[[LiveState], None],
    ) -> None:
        self.id = execution_id
        self.started_at = clock.now()
        self._time = TimeLimits(limits, clock, lambda: isinstance(self._state, PausedState))
        self._spawned, self._group = spawned, group
        self._leader = Leader(execution_id, spawned, watch)
        self._limits, self._tasks, self._clock, self._changed = limits, tasks, clock, changed
        descriptors = {"stdout": spawned.stdout, "stderr": spawned.stderr}
        self._outputs = Outputs(descriptors, sinks, limits.output_bytes, self._on_output)
        self._input = None if spawned.stdin is None else InputPipe.fed(spawned.stdin, stdin)
        self._state: ExecutionState = RunningState(self.started_at, spawned.identity)
        self._cause: StopCause | None = None
        self._control = asyncio.Lock()
        self._wake, self._done = asyncio.Event(), asyncio.Event()
        self._warned = False
        self._limiter: asyncio.Task[None] | None = None

    @property
    def process(self) -> ProcessIdentity:
        return self._leader.identity

    @property
    def state(self) -> ExecutionState:
        return self._state

    @property
    def outcome(self) -> Outcome | None:
        return self._state if isinstance(self._state, OUTCOMES) else None

    @property
    def totals(self) -> dict[str, StreamTotals]:
        """What was written to each stream so far; final once ``wait`` has answered."""
        return self._outputs.totals

    def begin(self, ended: Callable[[], object]) -> None:
        """Start to follow it. ``ended`` is called when the outcome is there and no task is left."""

        def over(_: asyncio.Task[None]) -> None:
            if self.outcome is None:
                self._end_unfollowed()
            self._done.set()
            ended()

        self._leader.on_end(self._wake.set)
        self._spawn(self._run(), "run").add_done_callback(over)

    def abandon(self) -> None:
        """Close what it holds, for a start that came to nothing. The process is the caller's to end."""
        self._leader.close()
        if self._input is not None:
            self._input.close()
        self._outputs.close_pipes()

    async def wait(self) -> Outcome:
        """The outcome, once everything is written, every process gone and every task ended."""
        await self._done.wait()
        assert self.outcome is not None
        return self.outcome

    async def pause(self) -> None:
        """Stop every process, verified, and stop reading. Does nothing when paused.

        Raises ``ConflictError`` when it is being ended, ``IndeterminateError`` when some process could not be stopped;
        then all are resumed.
        """
        async with self._control:
            self._require_running("execution.pause")
            if isinstance(self._state, PausedState):
                return
            self._outputs.hold()
            if await self._group.stop() and not self._leader.has_ended() and self._cause is None:
                self._move(PausedState(self.started_at, self.process))
                return
            await self._let_go()
            self._require_running("execution.pause")
            raise IndeterminateError(
                "not every process could be stopped in time, so all go on", operation="execution.pause"
            )

    async def resume(self) -> None:
        """Let a paused execution go on. Does nothing when it runs. Raises ``ConflictError`` when it is being ended."""
        async with self._control:
            self._require_running("execution.resume")
            await self._let_go()
            if isinstance(self._state, PausedState):
                self._time.touch()
                self._move(RunningState(self.started_at, self.process))

    async def cancel(self) -> None:
        """Begin to end it: TERM, CONT, then KILL after the grace. Answers at once; a second one changes nothing."""
        if self.outcome is not None:
            raise _ended("execution.cancel")
        self._stop(StopCause.CANCEL)

    async def kill(self) -> None:
        """End it now, whatever grace it has left: SIGKILL until nobody is there. Its outcome comes as ever."""
        self._stop(StopCause.CANCEL)
        await self._kill()

    async def interrupt(self) -> None:
        """SIGINT to the process group, as Ctrl-C would; it may live on."""
        self._signal(Signals.SIGINT, "execution.interrupt")

    async def signal(self, name: str) -> None:
        """Send a signal to the process group. STOP and CONT are ``pause`` and ``resume``.

        Raises ``InvalidError`` for an unknown name.
        """
        sig = parse_signal(name, operation="execution.signal")
        if sig is Signals.SIGSTOP:
            await self.pause()
        elif sig is Signals.SIGCONT:
            await self.resume()
        else:
            self._signal(sig, "execution.signal")

    async def write_stdin(self, data: bytes) -> None:
        """Hand ``data`` over, all or nothing. Raises ``ConflictError`` when stdin is not open, ``LimitError`` when too
        much of what came before is not read yet.
        """
        self._stdin("execution.input").write(data)

    async def close_stdin(self) -> None:
        """End of input, after what was handed over. Does nothing the second time."""
        self._stdin("execution.close_stdin").finish()

    async def _run(self) -> None:
        """Follow it to its end. Being cancelled means that the daemon ends now, and so does the execution."""
        try:
            self._outputs.start(self._spawn)
            if self._time:
                self._limiter = self._spawn(self._watch_time(), "limits")
            await self._wake.wait()
            if self._leader.has_ended():
                await self._settle()
            else:
                await self._terminate()
            await self._outputs.flush()
        except asyncio.CancelledError:
            self._stop(StopCause.CANCEL)
            await self._group.kill()
            raise
        except Exception as error:
            log.exception("execution_not_followed", execution_id=self.id)
            self._outputs.error = self._outputs.error or f"{type(error).__name__}: {error}"
            await self._group.kill()
        finally:
            await self._finish()

    async def _terminate(self) -> None:
        # Not while a pause is being verified: its stop signals would come after our CONT.
        async with self._control:
            self._outputs.proceed()
            if self._cause in _GENTLE:
                await self._group.send(Signals.SIGTERM, Signals.SIGCONT)
        grace = self._limits.grace_ms / 1000 if self._cause in _GENTLE else 0.0
        if not (grace and await self._group.wait_empty(grace)):
            await self._kill()

    async def _settle(self) -> None:
        """Give what the leader started ``drain_ms`` to end with it, then end the rest."""
        self._outputs.proceed()
        deadline = self._clock.monotonic() + self._limits.drain_ms / 1000
        await self._outputs.wait_end(self._limits.drain_ms / 1000)
        if not await self._group.wait_empty(max(0.0, deadline - self._clock.monotonic())):
            await self._kill()

    async def _kill(self) -> None:
        left = await self._group.kill()
        if left:
            log.warning("processes_left", execution_id=self.id, pids=" ".join(str(stat.pid) for stat in left))

    async def _finish(self) -> None:
        """The only place that decides the outcome, once, after all output is written and everybody is gone."""
        if self._limiter is not None:
            self._limiter.cancel()
            await asyncio.wait([self._limiter])
        if self._input is not None:
            self._input.close()
        await self._outputs.finish()
        self._leader.has_ended()
        self._group.release()
        if self._group.has_remains:
            await asyncio.to_thread(self._group.remove)
            self._tell_caps(self._group.caps_hit)
        self._leader.reap()
        self._state = self._decide()
        log.info("execution_ended", execution_id=self.id, status=self._state.name)

    def _tell_caps(self, hit: CapsHit) -> None:
        if hit != NO_CAPS_HIT:
            kills, refused = hit.memory_kills, hit.refused_starts
            log.warning("caps_hit", execution_id=self.id, memory_kills=kills, refused_starts=refused)

    def _end_unfollowed(self) -> None:
        """Its task was cancelled before it ran at all: only a daemon that is ending does that."""
        self._cause = StopCause.CANCEL
        self._state = self._decide()
        self.abandon()
        asyncio.get_running_loop().run_in_executor(None, destroy, self._spawned, self._group)

    def _decide(self) -> Outcome:
        return decide(
            Observed(
                started_at=self.started_at,
                completed_at=self._clock.now(),
                duration_ms=self._time.duration_ms,
                exit=self._leader.exit,
                cause=self._cause,
                overflowed=self._fails_at_cap and self._outputs.overflowed,
                stream_error=self._outputs.error,
                caps_hit=self._group.caps_hit,
            )
        )

    def _stop(self, cause: StopCause) -> None:
        """The first cause counts, unless the leader came first: then only the rest is ended, at once."""
        if self._leader.has_ended():
            self._group.signal_group(Signals.SIGKILL)
        elif self._cause is None:
            self._cause = cause
            self._wake.set()
        if not isinstance(self._state, StoppingState):
            self._move(StoppingState(self.started_at, self.process))

    def _move(self, state: LiveState) -> None:
        if self.outcome is None:
            self._state = state
            try:
                self._changed(state)
            except Exception:
                # Who listens cannot change what happens here.
                log.exception("state_not_told", execution_id=self.id, state=state.name)

    @property
    def _fails_at_cap(self) -> bool:
        return self._limits.overflow is Overflow.FAIL

    def _on_output(self) -> None:
        self._time.touch()
        if self._outputs.error is not None:
            self._stop(StopCause.STREAM_ERROR)
        elif self._outputs.overflowed and not self._warned:
            self._warned = True
            log.warning("output_limit_reached", execution_id=self.id, overflow=self._limits.overflow.value)
            if self._fails_at_cap:
                self._stop(StopCause.OUTPUT_LIMIT)

    async def _watch_time(self) -> None:
        self._stop(await self._time.exceeded())

    async def _let_go(self) -> None:
        await self._group.send(Signals.SIGCONT)
        self._outputs.proceed()

    def _require_running(self, operation: str) -> None:
        if self._leader.has_ended():
            raise _ended(operation)
        if self._cause is not None:
            raise ConflictError("it is being ended; wait for its outcome", operation=operation)

    def _signal(self, sig: Signals, operation: str) -> None:
        if self._leader.has_ended():
            raise _ended(operation)
        if not self._group.signal_group(sig):
            raise ForbiddenError("its processes belong to another user and take no signal from us", operation=operation)

    def _stdin(self, operation: str) -> InputPipe:
        if self._leader.has_ended():
            raise _ended(operation)
        if self._input is None:
            raise ConflictError("it was started without standard input; start it with stdin true", operation=operation)
        return self._input

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return self._tasks.spawn(work, name=name, owner=f"execution:{self.id}")


def destroy(spawned: Spawned, group: ProcessGroup) -> None:
    """End and reap at once what nobody follows. Blocks."""
    spawned.destroy()
    group.release()
    group.remove()


def _ended(operation: str) -> ExitedError:
    return ExitedError("the execution has ended", operation=operation)
