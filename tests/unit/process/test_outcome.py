from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import (
    CancelledState,
    CompletedState,
    FailedState,
    FailureReason,
    LostState,
    TimedOutState,
)
from teleclaude.process.cgroup import NO_CAPS_HIT, CapsHit
from teleclaude.process.outcome import LeaderExit, Observed, StopCause, decide, never_started, spawn_failed

START = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


def seen(
    exit_: LeaderExit | None,
    cause: StopCause | None = None,
    *,
    overflowed: bool = False,
    stream_error: str | None = None,
    caps_hit: CapsHit = NO_CAPS_HIT,
) -> Observed:
    end = START + timedelta(seconds=2)
    return Observed(START, end, 2000, exit_, cause, overflowed=overflowed, stream_error=stream_error, caps_hit=caps_hit)


ZERO = LeaderExit(code=0)
KILLED = LeaderExit(signal="KILL")


def test_exit_code_0_is_completed() -> None:
    outcome = decide(seen(ZERO))
    assert isinstance(outcome, CompletedState)
    assert (outcome.ending.started_at, outcome.ending.duration_ms, outcome.ending.exit_code) == (START, 2000, 0)


def test_c16_codes_and_signals() -> None:
    three = decide(seen(LeaderExit(code=3)))
    assert isinstance(three, FailedState)
    assert (three.reason, three.ending.exit_code, three.ending.signal) == (FailureReason.NONZERO_EXIT, 3, None)
    segv = decide(seen(LeaderExit(signal="SEGV")))
    assert isinstance(segv, FailedState)
    assert (segv.reason, segv.ending.exit_code, segv.ending.signal) == (FailureReason.SIGNAL, None, "SEGV")


@pytest.mark.parametrize("exit_", [ZERO, KILLED, None])
def test_c01_c02_one_stream_over_its_cap_is_never_completed(exit_: LeaderExit | None) -> None:
    for cause in (None, StopCause.OUTPUT_LIMIT):
        outcome = decide(seen(exit_, cause, overflowed=True))
        assert isinstance(outcome, FailedState)
        assert outcome.reason is FailureReason.OUTPUT_LIMIT


def test_c03_a_broken_stream_says_what_broke() -> None:
    outcome = decide(seen(ZERO, stream_error="stdout: no space"))
    assert isinstance(outcome, FailedState)
    assert outcome.reason is FailureReason.STREAM_ERROR
    assert outcome.error is not None
    assert outcome.error.message == "stdout: no space"


def test_b07_a_cancelled_command_keeps_the_signal_that_ended_it() -> None:
    outcome = decide(seen(KILLED, StopCause.CANCEL))
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.signal == "KILL"


@pytest.mark.parametrize("cause", [StopCause.TIMEOUT, StopCause.IDLE])
def test_c17_b19_both_time_limits_are_timed_out(cause: StopCause) -> None:
    assert isinstance(decide(seen(KILLED, cause)), TimedOutState)


def test_an_end_that_nobody_saw_is_lost_and_not_guessed() -> None:
    outcome = decide(seen(None))
    assert isinstance(outcome, LostState)
    assert (outcome.ending.exit_code, outcome.ending.signal) == (None, None)


@pytest.mark.parametrize("exit_", [KILLED, LeaderExit(code=137)])
def test_a_failure_for_want_of_memory_says_so(exit_: LeaderExit) -> None:
    outcome = decide(seen(exit_, caps_hit=CapsHit(memory_kills=2, refused_starts=1)))
    assert isinstance(outcome, FailedState)
    assert outcome.error is not None
    assert outcome.error.type == "memory_limit"
    assert "killed 2 processes" in outcome.error.message
    assert "executions.max_memory_bytes" in outcome.error.message


def test_a_failure_for_want_of_processes_says_so() -> None:
    outcome = decide(seen(LeaderExit(code=2), caps_hit=CapsHit(refused_starts=1)))
    assert isinstance(outcome, FailedState)
    assert outcome.error is not None
    assert outcome.error.type == "process_limit"
    assert "executions.max_processes" in outcome.error.message


def test_a_command_that_succeeds_in_spite_of_its_caps_has_succeeded() -> None:
    assert isinstance(decide(seen(ZERO, caps_hit=CapsHit(memory_kills=1))), CompletedState)


exits = st.one_of(
    st.none(),
    st.builds(LeaderExit, code=st.integers(0, 255)),
    st.builds(LeaderExit, signal=st.sampled_from(["KILL", "TERM", "SEGV"])),
)


@given(exits, st.sampled_from([None, *StopCause]), st.booleans(), st.none() | st.just("stderr: broken"))
def test_completed_means_that_nothing_at_all_went_wrong(
    exit_: LeaderExit | None, cause: StopCause | None, overflowed: bool, stream_error: str | None
) -> None:
    overflowed = overflowed or cause is StopCause.OUTPUT_LIMIT
    stream_error = "stdout: broken" if cause is StopCause.STREAM_ERROR else stream_error
    outcome = decide(seen(exit_, cause, overflowed=overflowed, stream_error=stream_error))
    clean = exit_ == ZERO and cause is None and not overflowed and stream_error is None
    assert isinstance(outcome, CompletedState) == clean
    assert outcome.ending.exit_code == (exit_.code if exit_ else None)
    assert outcome.ending.signal == (exit_.signal if exit_ else None)


def test_what_never_ran_has_no_start() -> None:
    cancelled, failed = never_started(START), spawn_failed(START, "no such interpreter")
    assert cancelled.ending.started_at is None
    assert failed.ending.started_at is None
    assert failed.reason is FailureReason.SPAWN_ERROR
    assert failed.error is not None
    assert failed.error.message == "no such interpreter"
