"""The engine for commands: each waits for its turn, runs, and has its end recorded."""

from __future__ import annotations

from functools import partial

import structlog

from teleclaude.clock import Clock
from teleclaude.config import Config
from teleclaude.errors import TeleclaudeError
from teleclaude.model import (
    Execution,
    ExecutionSpec,
    Outcome,
    QueuedState,
    RunningState,
    StartingState,
    StreamTotals,
)
from teleclaude.process import Prepared, Runner, Slot, SlotQueue, never_started, spawn_failed
from teleclaude.service.executions.keeper import Keeper
from teleclaude.service.executions.live import LiveExecution
from teleclaude.service.executions.policy import cgroups_of, policy_of
from teleclaude.tasks import TaskRegistry

log = structlog.get_logger(__name__)

OWNER = "commands"
STOP_SECONDS = 6.0


class Commands:
    """An async context manager: leaving it ends every command and waits for the outcomes to be stored."""

    def __init__(self, *, keeper: Keeper, runner: Runner, tasks: TaskRegistry, clock: Clock) -> None:
        self._keeper = keeper
        self._runner = runner
        self._queue = SlotQueue(runner.policy.max_concurrent)
        self._waiting: dict[str, Slot] = {}
        self._tasks = tasks
        self._clock = clock
        self._stopping = False

    @property
    def running(self) -> int:
        return self._queue.running

    @property
    def waiting(self) -> int:
        return self._queue.waiting

    @property
    def is_failing(self) -> bool:
        """Whether programs cannot be started at the moment."""
        return self._runner.is_failing

    def resettle(self, config: Config) -> None:
        """Follow a changed configuration; what runs keeps its limits."""
        self._runner.policy = policy_of(config)
        self._runner.cgroups = cgroups_of(config)
        self._queue.resize(self._runner.policy.max_concurrent)

    def prepare(self, spec: ExecutionSpec, execution_id: str) -> Prepared:
        """Check everything that can be known before a start; see ``Runner.prepare``. Blocks on the file system."""
        return self._runner.prepare_blocking(spec, execution_id)

    async def start(self, execution: Execution, prepared: Prepared) -> LiveExecution:
        """Record it and let it run when its turn comes. ``execution`` is in state queued.

        Raises ``LimitError`` when it may not queue, or the queue is full.
        """
        assert isinstance(execution.spec, ExecutionSpec)
        slot = self._queue.reserve(queue=execution.spec.queue)
        try:
            if slot.is_granted:
                execution = execution.moved_to(StartingState())
            live = await self._keeper.open(execution)
        except BaseException:
            slot.release()
            raise
        if not slot.is_granted:
            self._waiting[live.id] = slot
            live.withdraw = slot.release
        self._tasks.spawn(self._run(live, prepared, slot), name=live.id, owner=OWNER)
        return live

    async def stop(self) -> None:
        """Start nothing more and end what there is, within ``STOP_SECONDS``."""
        self._stopping = True
        for slot in list(self._waiting.values()):
            slot.release()
        await self._runner.aclose()
        left = await self._tasks.settle_owner(OWNER, STOP_SECONDS)
        if left:
            log.warning("executions_cut_short", executions=", ".join(left))

    async def _run(self, live: LiveExecution, prepared: Prepared, slot: Slot) -> None:
        with slot:
            outcome, totals = await self._in_turn(live, prepared, slot)
            await self._keeper.finish(live, outcome, totals)

    async def _in_turn(
        self, live: LiveExecution, prepared: Prepared, slot: Slot
    ) -> tuple[Outcome, dict[str, StreamTotals]]:
        granted = await slot.wait()
        self._waiting.pop(live.id, None)
        live.withdraw = None
        if not granted or self._stopping:
            return never_started(self._clock.now()), {}
        if isinstance(live.execution.state, QueuedState):
            self._keeper.changed(live, StartingState())
        try:
            running = await self._runner.start(prepared, live.sinks, partial(self._keeper.changed, live))
        except TeleclaudeError as error:
            log.warning("execution_not_started", execution_id=live.id, error=error.detail)
            return spawn_failed(self._clock.now(), error.detail), {}
        except Exception as error:
            # Whatever it was, nothing of it runs, and an execution has an end.
            log.exception("execution_start_broken", execution_id=live.id)
            message = f"the daemon could not follow it, and its log says why: {type(error).__name__}: {error}"
            return spawn_failed(self._clock.now(), message), {}
        self._keeper.changed(live, RunningState(running.started_at, running.process))
        self._keeper.attach(live, running)
        if self._stopping and running.outcome is None:
            # It was being spawned when all others were cancelled.
            await running.cancel()
        outcome = await running.wait()
        return outcome, running.totals
