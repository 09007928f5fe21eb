from __future__ import annotations

from datetime import UTC, datetime
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import (
    OUTCOMES,
    CancelledState,
    CompletedState,
    Ending,
    Execution,
    ExecutionSpec,
    ExecutionState,
    FailedState,
    FailureReason,
    IllegalTransitionError,
    LostState,
    PausedState,
    ProcessIdentity,
    QueuedState,
    RunningState,
    StartingState,
    StoppingState,
    TimedOutState,
)

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
PROCESS = ProcessIdentity(4711, 99)
ENDING = Ending(completed_at=START, started_at=START, duration_ms=0, exit_code=0)

STATES: dict[str, ExecutionState] = {
    state.name: state
    for state in (
        QueuedState(),
        StartingState(),
        RunningState(START, PROCESS),
        PausedState(START, PROCESS),
        StoppingState(START, PROCESS),
        CompletedState(ENDING),
        FailedState(ENDING, FailureReason.NONZERO_EXIT),
        CancelledState(ENDING),
        TimedOutState(ENDING),
        LostState(ENDING),
    )
}


def execution(state: ExecutionState) -> Execution:
    spec = ExecutionSpec(cwd="/", argv=("true",))
    return Execution(id="e1", computer="c", spec=spec, state=state, created_at=START, owner="local")


def test_every_state_is_here() -> None:
    assert {type(state) for state in STATES.values()} == set(get_args(ExecutionState))


@pytest.mark.parametrize("spec", [{}, {"argv": ("a",), "script": "a"}])
def test_argv_or_script(spec: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="argv or script"):
        ExecutionSpec(cwd="/", **spec)  # type: ignore[arg-type]


@given(st.lists(st.sampled_from(sorted(STATES)), max_size=20))
def test_b08_exactly_one_terminal_state_is_reached(path: list[str]) -> None:
    current, ended = execution(QueuedState()), 0
    for name in path:
        try:
            current = current.moved_to(STATES[name])
        except IllegalTransitionError:
            continue
        ended += isinstance(current.state, OUTCOMES)
    assert ended <= 1
    assert (current.outcome is not None) == (ended == 1)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("queued", "running"),
        ("queued", "completed"),
        ("queued", "timed_out"),
        ("starting", "completed"),
        ("starting", "queued"),
        ("running", "starting"),
        ("stopping", "running"),
        ("stopping", "paused"),
        ("paused", "paused"),
        ("completed", "lost"),
        ("cancelled", "cancelled"),
    ],
)
def test_illegal_transitions(before: str, after: str) -> None:
    with pytest.raises(IllegalTransitionError, match=f"e1: {before} -> {after}"):
        execution(STATES[before]).moved_to(STATES[after])


def test_each_state_holds_only_its_own_facts() -> None:
    assert execution(QueuedState()).started_at is None
    assert execution(QueuedState()).process is None
    running = execution(RunningState(START, PROCESS))
    assert (running.started_at, running.process, running.ending) == (START, PROCESS, None)
    completed = running.moved_to(CompletedState(ENDING))
    assert (completed.started_at, completed.process, completed.ending) == (START, None, ENDING)
