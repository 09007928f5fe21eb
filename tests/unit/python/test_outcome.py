from __future__ import annotations

from datetime import UTC, datetime

import pytest

from teleclaude.model import CancelledState, CompletedState, FailedState, FailureReason, TimedOutState
from teleclaude.process.outcome import LeaderExit, StopCause
from teleclaude.python.messages import Failure, Result
from teleclaude.python.outcome import CellSeen, decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def result(**changes: object) -> Result:
    fields: dict[str, object] = {
        "op": "result",
        "id": "cell",
        "status": "ok",
        "count": 3,
        "repr": "42",
        "value": 42,
        "display": {},
        "truncated": False,
        "notes": [],
        "error": None,
        "execution_time_ms": 0.5,
        **changes,
    }
    return Result.model_validate(fields)


def seen(**fields: object) -> CellSeen:
    return CellSeen(NOW, **{"started_at": NOW, "duration_ms": 5, **fields})  # type: ignore[arg-type]


def test_a_value() -> None:
    outcome = decide(seen(result=result()))
    assert isinstance(outcome, CompletedState)
    assert outcome.result is not None
    assert (outcome.result.repr, outcome.result.value, outcome.result.execution_count) == ("42", 42, 3)
    assert outcome.result.display is None
    assert outcome.ending.namespace_lost is None


def test_no_value() -> None:
    outcome = decide(seen(result=result(repr=None)))
    assert isinstance(outcome, CompletedState)
    assert outcome.result is None


def test_an_exception() -> None:
    failure = Failure(type="ValueError", message="no", traceback=["a", "b"], line=None, offset=None)
    outcome = decide(seen(result=result(status="error", error=failure)))
    assert isinstance(outcome, FailedState)
    assert outcome.reason is FailureReason.EXCEPTION
    assert outcome.error is not None
    assert outcome.error.traceback == ("a", "b")


@pytest.mark.parametrize(
    ("cause", "state"),
    [(StopCause.CANCEL, CancelledState), (StopCause.TIMEOUT, TimedOutState)],
    ids=["cancel", "timeout"],
)
@pytest.mark.parametrize("answered", [True, False])
def test_what_ended_it_counts_first(cause: StopCause, state: type, answered: bool) -> None:
    died = None if answered else LeaderExit(signal="KILL")
    outcome = decide(seen(cause=cause, result=result() if answered else None, died=died))
    assert type(outcome) is state
    assert outcome.ending.namespace_lost is (None if answered else True)


@pytest.mark.parametrize(
    ("died", "words"),
    [
        (LeaderExit(code=3), "exited with code 3"),
        (LeaderExit(signal="SEGV"), "ended by signal SEGV"),
        (LeaderExit(), "ended"),
    ],
    ids=str,
)
def test_a_death(died: LeaderExit, words: str) -> None:
    outcome = decide(seen(died=died))
    assert isinstance(outcome, FailedState)
    assert outcome.reason is FailureReason.WORKER_DIED
    assert outcome.error is not None
    assert words in outcome.error.message
    assert (outcome.ending.exit_code, outcome.ending.signal) == (died.code, died.signal)
    assert outcome.ending.namespace_lost is True


def test_a_death_for_want_of_memory_says_so() -> None:
    outcome = decide(seen(died=LeaderExit(signal="KILL"), capped=True))
    assert isinstance(outcome, FailedState)
    assert outcome.error is not None
    assert "more memory than python.max_memory_bytes, while the cell ran" in outcome.error.message


def test_a_death_before_it_began_is_not_its_own() -> None:
    outcome = decide(CellSeen(NOW, died=LeaderExit(code=3)))
    assert isinstance(outcome, FailedState)
    assert (outcome.ending.exit_code, outcome.ending.duration_ms, outcome.ending.started_at) == (None, None, None)
    assert outcome.error is not None
    assert "before the cell began" in outcome.error.message


def test_a_fault_of_ours() -> None:
    outcome = decide(seen(fault="OSError: no pipes"))
    assert isinstance(outcome, FailedState)
    assert outcome.reason is FailureReason.SPAWN_ERROR
    assert outcome.ending.namespace_lost is None
