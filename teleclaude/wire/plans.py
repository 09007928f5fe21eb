"""Commands and views of plans: several executions with an order among them."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from teleclaude.model import Lifetime, Role
from teleclaude.wire.base import Command, Reference, View, WaitMs
from teleclaude.wire.executions import StartExecution

MAX_STEPS = 1000

StepId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")]
Mode = Literal["serial", "parallel", "graph"]
PlanStatus = Literal["running", "stopping", "completed", "failed", "cancelled", "lost"]
StepStatus = Literal["waiting", "started", "completed", "failed", "cancelled", "timed_out", "lost", "skipped"]


class PlanStep(StartExecution):
    """One execution of a plan. ``after`` names the steps that must have completed before; in mode graph only."""

    id: StepId
    after: Annotated[list[StepId], Field(max_length=MAX_STEPS)] = Field(default_factory=list)

    @model_validator(mode="after")
    def _detached(self) -> PlanStep:
        if self.wait_ms or self.lifetime is not Lifetime.DETACHED or not self.queue:
            raise ValueError("a step takes no wait_ms, no queue and no lifetime: the plan decides when it runs")
        return self


class StepView(View):
    """``status`` is the execution's once that has ended; ``error`` says why one could not be started."""

    id: str
    after: list[str]
    status: StepStatus
    execution_id: str | None = None
    error: str | None = None


class PlanView(View):
    id: str
    mode: Mode
    status: PlanStatus
    stop_on_error: bool
    max_concurrency: int | None
    owner: str
    created_at: str
    completed_at: str | None
    steps: list[StepView]


class PlanList(View):
    plans: list[PlanView]


class StartPlan(Command[PlanView]):
    """``serial``: one after the other; ``parallel``: side by side; ``graph``: as ``after`` says.

    With ``stop_on_error`` no step is started after one has failed. Otherwise the others go on, apart from those that
    depend on the failed one. ``wait_ms`` waits that long for the end.
    """

    operation = "plan.start"
    role = Role.OPERATOR

    mode: Mode
    steps: Annotated[list[PlanStep], Field(min_length=1, max_length=MAX_STEPS)]
    stop_on_error: bool = True
    max_concurrency: Annotated[int, Field(ge=1, le=MAX_STEPS)] | None = None
    wait_ms: WaitMs = 0

    @model_validator(mode="after")
    def _ordered(self) -> StartPlan:
        ids = [step.id for step in self.steps]
        if len(set(ids)) != len(ids):
            raise ValueError("two steps have the same id")
        if self.mode == "serial" and self.max_concurrency not in (None, 1):
            raise ValueError("a serial plan has no max_concurrency")
        for step in self.steps:
            if step.after and self.mode != "graph":
                raise ValueError("after goes with mode graph only")
            if unknown := set(step.after) - set(ids):
                raise ValueError(f"step {step.id} comes after {min(unknown)}, which is no step")
        try:
            TopologicalSorter({step.id: step.after for step in self.steps}).prepare()
        except CycleError as error:
            raise ValueError(f"the steps wait for each other: {' -> '.join(error.args[1])}") from None
        return self


class GetPlan(Command[PlanView]):
    """``wait_ms`` waits that long for its end."""

    operation = "plan.get"
    role = Role.VIEWER
    mutates = False

    id: Reference
    wait_ms: WaitMs = 0


class ListPlans(Command[PlanList]):
    """Newest first."""

    operation = "plan.list"
    role = Role.VIEWER
    mutates = False


class CancelPlan(Command[PlanView]):
    """Start no further step and cancel those that run."""

    operation = "plan.cancel"
    role: ClassVar[Role] = Role.OPERATOR

    id: Reference
