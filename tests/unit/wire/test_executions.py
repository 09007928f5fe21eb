from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from teleclaude.errors import TooLargeError
from teleclaude.model import (
    CellResult,
    CompletedState,
    Ending,
    Execution,
    ExecutionError,
    FailedState,
    FailureReason,
    Lifetime,
    Overflow,
    QueuedState,
    Role,
    RunningState,
    StreamTotals,
)
from teleclaude.wire.arguments import MAX_STRING_BYTES
from teleclaude.wire.executions import (
    CancelExecution,
    ExecutionView,
    GetExecution,
    SignalExecution,
    StartExecution,
)

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
ENDING = Ending(START + timedelta(seconds=2), started_at=START, duration_ms=2000, exit_code=0)


def start(**body: Any) -> StartExecution:
    return StartExecution.model_validate(body)


def execution() -> Execution:
    spec = start(argv=["true"]).spec("/home")
    return Execution(id="e1", computer="c", spec=spec, state=QueuedState(), created_at=START, owner="local")


def test_what_is_asked_for_reaches_the_model() -> None:
    body = {
        "script": "make",
        "shell": "bash",
        "cwd": "/src",
        "env": {"A": "1"},
        "stdin": "yes\n",
        "timeout_ms": 1000,
        "idle_timeout_ms": 500,
        "max_output_bytes": 10,
        "overflow": "spool",
        "lifetime": "connection",
        "queue": False,
    }
    spec = start(**body).spec("/home")
    assert (spec.script, spec.shell, spec.cwd, spec.env, spec.stdin) == ("make", "bash", "/src", {"A": "1"}, "yes\n")
    assert (spec.timeout_ms, spec.idle_timeout_ms, spec.max_output_bytes) == (1000, 500, 10)
    assert (spec.overflow, spec.lifetime, spec.queue) == (Overflow.SPOOL, Lifetime.CONNECTION, False)


def test_defaults() -> None:
    spec = start(argv=["true"]).spec("/home")
    assert (spec.cwd, spec.stdin, spec.lifetime, spec.queue) == ("/home", False, Lifetime.DETACHED, True)
    assert (spec.timeout_ms, spec.max_output_bytes, spec.overflow) == (None, None, None)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"argv": []},
        {"argv": [""]},
        {"argv": "true"},
        {"argv": ["true", 1]},
        {"argv": ["true"], "script": "true"},
        {"argv": ["true"], "shell": "sh"},
        {"script": ""},
        {"script": " \n"},
        {"argv": ["a\0b"]},
        {"script": "a\0b"},
        {"argv": ["\ud800"]},
        {"argv": ["true"], "env": {"A B": "x"}},
        {"argv": ["true"], "env": {"": "x"}},
        {"argv": ["true"], "env": {"A": "\0"}},
        {"argv": ["true"], "overflow": "drop"},
        {"argv": ["true"], "lifetime": None},
        {"argv": ["true"], "queue": 1},
        {"argv": ["true"], "stdin": 1},
        {"argv": ["true"], "wait_ms": 60_001},
        {"argv": ["true"], "max_output_bytes": -1},
        {"argv": ["true"], "rol": "owner"},
    ],
)
def test_what_is_not_acceptable(body: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        start(**body)


@pytest.mark.parametrize("name", ["timeout_ms", "idle_timeout_ms"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), 1.5, 10**9, True, "10"])
def test_e7_times_are_positive_and_bounded(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        start(argv=["true"], **{name: value})


def test_e2_the_longest_argument_the_system_takes() -> None:
    longest = MAX_STRING_BYTES - 1
    start(argv=["echo", "x" * longest])
    start(script="é" * (longest // 2))
    for body in (
        {"argv": ["echo", "x" * (longest + 1)]},
        {"argv": ["echo", "é" * (longest // 2 + 1)]},
        {"script": "x" * (longest + 1)},
        {"argv": ["env"], "env": {"A": "x" * (longest - 1)}},
    ):
        with pytest.raises(TooLargeError):
            start(**body)


def test_roles() -> None:
    assert GetExecution.role is Role.VIEWER
    assert not GetExecution.mutates
    assert CancelExecution.role is Role.OPERATOR
    assert CancelExecution.mutates
    with pytest.raises(ValidationError):
        SignalExecution(id="e1", signal="")


def test_a_queued_one_shows_that_nothing_has_happened() -> None:
    assert ExecutionView.of(execution()).model_dump(mode="json") == {
        "id": "e1",
        "session_id": None,
        "command": "true",
        "status": "queued",
        "reason": None,
        "exit_code": None,
        "signal": None,
        "tags": [],
        "created_at": "2026-01-31T09:30:00.000Z",
        "started_at": None,
        "completed_at": None,
        "duration_ms": None,
        "streams": {name: {"start": 0, "end": 0, "total": 0, "truncated": False} for name in ("stdout", "stderr")},
        "result": None,
        "error": None,
        "namespace_lost": None,
    }


def test_a_failed_one_says_why() -> None:
    error = ExecutionError("ValueError", "no", ("line 1",))
    failed = replace(
        execution(),
        state=FailedState(ENDING, FailureReason.EXCEPTION, error),
        streams={"stdout": StreamTotals(0, 10, 20, truncated=True)},
    )
    view = ExecutionView.of(failed).model_dump(mode="json")
    assert (view["status"], view["reason"], view["exit_code"]) == ("failed", "exception", 0)
    assert (view["started_at"], view["completed_at"]) == ("2026-01-31T09:30:00.000Z", "2026-01-31T09:30:02.000Z")
    assert view["duration_ms"] == 2000
    assert view["error"] == {
        "type": "ValueError",
        "message": "no",
        "traceback": ["line 1"],
        "line": None,
        "offset": None,
    }
    assert view["streams"]["stdout"] == {"start": 0, "end": 10, "total": 20, "truncated": True}


def test_a_cell_has_a_result() -> None:
    result = CellResult("42", 42, 3, {"text/plain": "42"})
    view = ExecutionView.of(replace(execution(), state=CompletedState(ENDING, result))).model_dump(mode="json")
    assert view["result"] == {
        "repr": "42",
        "value": 42,
        "execution_count": 3,
        "display": {"text/plain": "42"},
        "truncated": False,
    }


def test_a_running_one_has_a_start() -> None:
    running = replace(execution(), state=RunningState(START))
    view = ExecutionView.of(running)
    assert (view.status, view.started_at, view.completed_at) == ("running", "2026-01-31T09:30:00.000Z", None)
