"""Plans: executions in an order, started as their turn comes, with an event for each step."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import structlog

from teleclaude.bus import Bus
from teleclaude.clock import Clock, timestamp
from teleclaude.errors import ExitedError, InvalidError, NotFoundError, TeleclaudeError, UnavailableError
from teleclaude.events import Event, Fact, PlanEnded, PlanStepChanged
from teleclaude.model import Principal
from teleclaude.service.executions.lifetime import cancel
from teleclaude.service.executions.live import LiveExecution
from teleclaude.service.executions.schedule import ENDED, hopeless, runnable
from teleclaude.service.ids import new_id
from teleclaude.store import Database, events
from teleclaude.store import plans as rows
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.base import Command
from teleclaude.wire.executions import StartExecution
from teleclaude.wire.plans import (
    CancelPlan,
    GetPlan,
    ListPlans,
    PlanList,
    PlanStatus,
    PlanStep,
    PlanView,
    StartPlan,
    StepStatus,
    StepView,
)

log = structlog.get_logger(__name__)

OWNER = "plans"
STOP_SECONDS = 2.0
MAX_LIVE = 1000
RETRY_SECONDS = 1.0

Launch = Callable[[Principal, StartExecution], Awaitable[LiveExecution]]
Handler = Callable[[Principal, Any], Awaitable[Any]]


@dataclass(slots=True, eq=False)
class _LivePlan:
    id: str
    principal: Principal
    request: StartPlan
    created_at: datetime
    statuses: dict[str, StepStatus]
    executions: dict[str, LiveExecution] = field(default_factory=dict)
    errors: dict[str, str] = field(default_factory=dict)
    status: PlanStatus = "running"
    completed_at: datetime | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    _shown: dict[str, StepView] = field(default_factory=dict)

    def mark(self, step_id: str, status: StepStatus) -> None:
        """The step is now in ``status``."""
        self.statuses[step_id] = status
        self._shown.pop(step_id, None)

    @property
    def is_over(self) -> bool:
        return all(status in ENDED for status in self.statuses.values())

    def view(self) -> PlanView:
        return PlanView(
            id=self.id,
            mode=self.request.mode,
            status=self.status,
            stop_on_error=self.request.stop_on_error,
            max_concurrency=self.request.max_concurrency,
            owner=self.principal.name,
            created_at=timestamp(self.created_at),
            completed_at=timestamp(self.completed_at) if self.completed_at else None,
            steps=[self._step(step) for step in self.request.steps],
        )

    def _step(self, step: PlanStep) -> StepView:
        # Kept until it changes: every change of a step stores the plan, and a plan may have many.
        if step.id not in self._shown:
            self._shown[step.id] = StepView(
                id=step.id,
                after=list(step.after),
                status=self.statuses[step.id],
                execution_id=self.executions[step.id].id if step.id in self.executions else None,
                error=self.errors.get(step.id),
            )
        return self._shown[step.id]


class Plans:
    """Handlers of the plan commands. ``launch`` starts one execution on ``computer``, this one, or queues it."""

    def __init__(
        self, *, computer: str, launch: Launch, database: Database, bus: Bus, tasks: TaskRegistry, clock: Clock
    ) -> None:
        self._computer = computer
        self._launch = launch
        self._database = database
        self._bus = bus
        self._tasks = tasks
        self._clock = clock
        self._live: dict[str, _LivePlan] = {}
        self._stopping = False

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {StartPlan: self.start, GetPlan: self.get, ListPlans: self.list, CancelPlan: self.cancel}

    async def recover(self) -> None:
        """What was running when an earlier daemon died is lost; steps that never started are skipped."""
        for record in await self._database.read(rows.all_live):
            old = PlanView.model_validate_json(record)
            steps = [
                step.model_copy(
                    update={"status": {"waiting": "skipped", "started": "lost"}.get(step.status, step.status)}
                )
                for step in old.steps
            ]
            now = self._clock.now()
            lost = old.model_copy(update={"status": "lost", "completed_at": timestamp(now), "steps": steps})
            row = rows.PlanRow(old.id, datetime.fromisoformat(old.created_at), now, lost.model_dump_json())
            await self._store(row, PlanEnded(plan_id=old.id, status="lost"))

    async def stop(self) -> None:
        """Start no further step; those that run are ended by their engine."""
        self._stopping = True
        for plan in self._live.values():
            plan.status = "stopping"
            plan.changed.set()

    async def settle(self) -> None:
        """Wait, for a bounded time, for the ends of stopped plans to be stored."""
        left = await self._tasks.settle_owner(OWNER, STOP_SECONDS)
        if left:
            log.warning("plans_cut_short", plans=", ".join(left))

    async def trim(self, before: datetime, keep: int) -> None:
        """Drop old ended plans; see ``teleclaude.store.plans.trim``."""
        await self._database.write(lambda connection: rows.trim(connection, before, keep), frees=True)

    async def start(self, principal: Principal, command: StartPlan) -> PlanView:
        if self._stopping or len(self._live) >= MAX_LIVE:
            raise UnavailableError(f"no further plan can run now ({len(self._live)} do)", operation=command.operation)
        self._require_here(command)
        plan = _LivePlan(
            id=new_id("L", self._clock),
            principal=principal,
            request=command,
            created_at=self._clock.now(),
            statuses={step.id: "waiting" for step in command.steps},
        )
        self._live[plan.id] = plan
        try:
            await self._save(plan)
        except BaseException:
            del self._live[plan.id]
            raise
        self._tasks.spawn(self._run(plan), name=plan.id, owner=OWNER)
        await _wait(plan, command.wait_ms)
        return plan.view()

    def _require_here(self, command: StartPlan) -> None:
        for step in command.steps:
            if step.computer not in (None, self._computer):
                raise InvalidError(
                    f"step {step.id} names {step.computer}, and steps run on {self._computer} only; "
                    "leave computer out, or start that one as an execution",
                    operation=command.operation,
                )

    async def get(self, _principal: Principal, command: GetPlan) -> PlanView:
        plan = self._live.get(command.id)
        if plan is not None:
            await _wait(plan, command.wait_ms)
            return plan.view()
        record = await self._database.read(lambda connection: rows.get(connection, command.id))
        if record is None:
            raise NotFoundError(f"there is no plan {command.id}", operation=command.operation)
        return PlanView.model_validate_json(record)

    async def list(self, _principal: Principal, _command: ListPlans) -> PlanList:
        stored = [PlanView.model_validate_json(record) for record in await self._database.read(rows.newest)]
        return PlanList(plans=[self._live[view.id].view() if view.id in self._live else view for view in stored])

    async def cancel(self, principal: Principal, command: CancelPlan) -> PlanView:
        plan = self._live.get(command.id)
        if plan is None or plan.ended.is_set():
            await self.get(principal, GetPlan(id=command.id))
            raise ExitedError("the plan has ended", operation=command.operation)
        plan.status = "stopping"
        plan.changed.set()
        for step_id, live in list(plan.executions.items()):
            if plan.statuses[step_id] == "started":
                with suppress(ExitedError):
                    await cancel(live)
        return plan.view()

    async def _run(self, plan: _LivePlan) -> None:
        try:
            while True:
                plan.changed.clear()
                await self._collect(plan)
                if plan.is_over:
                    break
                await self._advance(plan)
                if not plan.changed.is_set():
                    await plan.changed.wait()
        finally:
            await self._end(plan)

    async def _collect(self, plan: _LivePlan) -> None:
        """Take note of the executions that have ended, and of the steps that cannot start any more."""
        for step_id, live in plan.executions.items():
            if plan.statuses[step_id] == "started" and live.ended.is_set():
                await self._step(plan, step_id, _ended_status(live))
        doomed = hopeless(plan.request, plan.statuses)
        if plan.status == "stopping":
            doomed = [step_id for step_id, status in plan.statuses.items() if status == "waiting"]
        for step_id in doomed:
            await self._step(plan, step_id, "skipped")

    async def _advance(self, plan: _LivePlan) -> None:
        for step_id in runnable(plan.request, plan.statuses):
            if plan.status == "stopping":
                return
            step = next(step for step in plan.request.steps if step.id == step_id)
            try:
                live = await self._launch(plan.principal, step)
            except TeleclaudeError as error:
                plan.errors[step_id] = error.detail
                await self._step(plan, step_id, "failed")
                plan.changed.set()
                return
            plan.executions[step_id] = live
            live.listeners.add(plan.changed.set)
            await self._step(plan, step_id, "started")
            if live.ended.is_set():
                plan.changed.set()

    async def _step(self, plan: _LivePlan, step_id: str, status: StepStatus) -> None:
        plan.mark(step_id, status)
        done = sum(status in ENDED for status in plan.statuses.values())
        fact = PlanStepChanged(plan_id=plan.id, step=step_id, status=status, done=done, total=len(plan.statuses))
        live = plan.executions.get(step_id)
        try:
            await self._save(plan, fact, execution_id=live.id if live is not None else None)
        except TeleclaudeError as error:
            # The plan goes on from memory, and its end is stored with all of it.
            log.warning("plan_step_not_stored", plan_id=plan.id, step=step_id, error=str(error))

    async def _end(self, plan: _LivePlan) -> None:
        plan.completed_at = self._clock.now()
        if plan.status == "stopping":
            plan.status = "cancelled"
        else:
            went_well = all(status == "completed" for status in plan.statuses.values())
            plan.status = "completed" if went_well else "failed"
        try:
            while not await self._end_stored(plan):
                # The outcome is known, and is told from memory until it can be stored.
                plan.ended.set()
                await self._clock.sleep(RETRY_SECONDS)
        finally:
            del self._live[plan.id]
            plan.ended.set()
        log.info("plan_ended", plan_id=plan.id, status=plan.status)

    async def _end_stored(self, plan: _LivePlan) -> bool:
        try:
            await self._save(plan, PlanEnded(plan_id=plan.id, status=plan.status))
        except TeleclaudeError as error:
            log.warning("plan_end_not_stored", plan_id=plan.id, error=str(error))
            return False
        return True

    async def _save(self, plan: _LivePlan, *facts: Fact, execution_id: str | None = None) -> None:
        row = rows.PlanRow(plan.id, plan.created_at, plan.completed_at, plan.view().model_dump_json())
        await self._store(row, *facts, execution_id=execution_id)

    async def _store(self, row: rows.PlanRow, *facts: Fact, execution_id: str | None = None) -> None:
        now = self._clock.now()

        def write(connection: sqlite3.Connection) -> list[Event]:
            rows.put(connection, row)
            return [events.append(connection, fact, at=now, execution_id=execution_id) for fact in facts]

        self._bus.publish(await self._database.write(write, synced=False))


def _ended_status(live: LiveExecution) -> StepStatus:
    match live.execution.state.name:
        case "completed":
            return "completed"
        case "cancelled":
            return "cancelled"
        case "timed_out":
            return "timed_out"
        case "lost":
            return "lost"
        case _:
            return "failed"


async def _wait(plan: _LivePlan, wait_ms: int) -> None:
    if wait_ms and not plan.ended.is_set():
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_ms / 1000):
                await plan.ended.wait()
