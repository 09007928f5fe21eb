from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.service.executions.schedule import ENDED, FAILED, hopeless, runnable
from teleclaude.wire.plans import PlanStep, StartPlan, StepStatus


def plan(mode: str, steps: dict[str, list[str]], **fields: Any) -> StartPlan:
    made = [PlanStep(id=name, after=after, argv=["true"]) for name, after in steps.items()]
    return StartPlan.model_validate({"mode": mode, "steps": made, **fields})


def waiting(request: StartPlan) -> dict[str, StepStatus]:
    return {step.id: "waiting" for step in request.steps}


def test_serial_is_one_at_a_time_in_order() -> None:
    request = plan("serial", {"a": [], "b": []})
    statuses = waiting(request)
    assert runnable(request, statuses) == ["a"]
    statuses["a"] = "started"
    assert runnable(request, statuses) == []
    statuses["a"] = "completed"
    assert runnable(request, statuses) == ["b"]


def test_parallel_is_all_or_as_many_as_the_cap_lets() -> None:
    steps: dict[str, list[str]] = {"a": [], "b": [], "c": []}
    request = plan("parallel", steps)
    assert runnable(request, waiting(request)) == ["a", "b", "c"]
    request = plan("parallel", steps, max_concurrency=2)
    assert runnable(request, waiting(request)) == ["a", "b"]
    assert runnable(request, {"a": "completed", "b": "started", "c": "waiting"}) == ["c"]


def test_a_graph_waits_for_what_comes_before() -> None:
    request = plan("graph", {"last": ["left", "right"], "left": ["first"], "right": ["first"], "first": []})
    assert runnable(request, waiting(request)) == ["first"]
    statuses: dict[str, StepStatus] = {"last": "waiting", "left": "completed", "right": "started", "first": "completed"}
    assert runnable(request, statuses) == []


@st.composite
def graphs(draw: st.DrawFn) -> StartPlan:
    count = draw(st.integers(1, 8))
    names = [f"s{number}" for number in range(count)]
    steps = {
        name: draw(st.lists(st.sampled_from(names[:place]), unique=True)) if place else []
        for place, name in enumerate(names)
    }
    return plan(
        "graph",
        steps,
        stop_on_error=draw(st.booleans()),
        max_concurrency=draw(st.none() | st.integers(1, 3)),
    )


@given(graphs(), st.data())
def test_every_plan_comes_to_an_end_in_order_and_within_its_cap(request: StartPlan, data: st.DataObject) -> None:
    statuses = waiting(request)
    before = {step.id: step.after for step in request.steps}
    while not all(status in ENDED for status in statuses.values()):
        for name in runnable(request, statuses):
            assert all(statuses[one] == "completed" for one in before[name])
            statuses[name] = "started"
        running = [name for name, status in statuses.items() if status == "started"]
        if request.max_concurrency is not None:
            assert len(running) <= request.max_concurrency
        doomed = hopeless(request, statuses)
        assert running or doomed, "it would wait for ever"
        for name in doomed:
            statuses[name] = "skipped"
        if running:
            ended = data.draw(st.sampled_from(running))
            statuses[ended] = data.draw(st.sampled_from(["completed", "failed"]))
    for name, status in statuses.items():
        if any(statuses[one] in FAILED for one in before[name]):
            assert status == "skipped"
