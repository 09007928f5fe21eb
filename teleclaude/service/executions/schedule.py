"""Which steps of a plan may start now. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from teleclaude.wire.plans import StartPlan, StepStatus

FAILED: frozenset[StepStatus] = frozenset({"failed", "cancelled", "timed_out", "lost", "skipped"})
ENDED: frozenset[StepStatus] = FAILED | {"completed"}


def runnable(plan: StartPlan, statuses: Mapping[str, StepStatus]) -> list[str]:
    """Ids of the steps to start next, in the plan's order."""
    if plan.stop_on_error and any(status in FAILED for status in statuses.values()):
        return []
    cap = 1 if plan.mode == "serial" else plan.max_concurrency or len(plan.steps)
    room = cap - sum(status == "started" for status in statuses.values())
    ready = [
        step.id
        for step in plan.steps
        if statuses[step.id] == "waiting" and all(statuses[before] == "completed" for before in step.after)
    ]
    return ready[: max(0, room)]


def hopeless(plan: StartPlan, statuses: Mapping[str, StepStatus]) -> list[str]:
    """Ids of the waiting steps that will never start, because one before them failed, directly or not."""
    broken = {step_id for step_id, status in statuses.items() if status in FAILED}
    if plan.stop_on_error and broken:
        return [step.id for step in plan.steps if statuses[step.id] == "waiting"]
    found: list[str] = []
    grew = True
    while grew:
        grew = False
        for step in plan.steps:
            if statuses[step.id] == "waiting" and step.id not in broken and broken & set(step.after):
                broken.add(step.id)
                found.append(step.id)
                grew = True
    return found
