"""The one decision about how an execution ended. Data in, data out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from teleclaude.model import (
    CancelledState,
    CompletedState,
    Ending,
    ExecutionError,
    FailedState,
    FailureReason,
    LostState,
    Outcome,
    TimedOutState,
)
from teleclaude.process.cgroup import NO_CAPS_HIT, CapsHit


class StopCause(StrEnum):
    """Why it was ended from outside. The first cause is the one that counts."""

    CANCEL = "cancel"
    TIMEOUT = "timeout"
    IDLE = "idle"
    OUTPUT_LIMIT = "output_limit"
    STREAM_ERROR = "stream_error"


@dataclass(frozen=True, slots=True)
class LeaderExit:
    """What the kernel said about the leader: a code, or the name of a signal without SIG."""

    code: int | None = None
    signal: str | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """Everything seen of one execution once all of it is over.

    ``cause`` is what ended it before its leader exited by itself; ``exit`` None means that the leader's end was not
    seen. ``overflowed`` and ``stream_error`` hold for either stream, and under any cause.
    """

    started_at: datetime
    completed_at: datetime
    duration_ms: int
    exit: LeaderExit | None
    cause: StopCause | None = None
    overflowed: bool = False
    stream_error: str | None = None
    caps_hit: CapsHit = NO_CAPS_HIT


def decide(seen: Observed) -> Outcome:
    """The outcome. Success needs all of it: no cause, no stream over its cap or broken, and exit code 0."""
    ending = Ending(
        started_at=seen.started_at,
        completed_at=seen.completed_at,
        duration_ms=seen.duration_ms,
        exit_code=seen.exit.code if seen.exit else None,
        signal=seen.exit.signal if seen.exit else None,
    )
    if seen.cause is StopCause.CANCEL:
        return CancelledState(ending)
    if seen.cause in (StopCause.TIMEOUT, StopCause.IDLE):
        return TimedOutState(ending)
    if seen.stream_error is not None:
        return FailedState(ending, FailureReason.STREAM_ERROR, ExecutionError("stream_error", seen.stream_error))
    if seen.overflowed:
        return FailedState(ending, FailureReason.OUTPUT_LIMIT)
    if seen.exit is None:
        return LostState(ending)
    if seen.exit.signal is not None:
        return FailedState(ending, FailureReason.SIGNAL, _capped(seen.caps_hit))
    if seen.exit.code != 0:
        return FailedState(ending, FailureReason.NONZERO_EXIT, _capped(seen.caps_hit))
    return CompletedState(ending)


def _capped(hit: CapsHit) -> ExecutionError | None:
    """What a cap had to do with a failure, as nothing else tells it from one of the command's own."""
    if hit.memory_kills:
        count = "a process" if hit.memory_kills == 1 else f"{hit.memory_kills} processes"
        return ExecutionError(
            "memory_limit", f"the kernel killed {count} of it: all together took more than executions.max_memory_bytes"
        )
    if hit.refused_starts:
        count = "a new process" if hit.refused_starts == 1 else f"{hit.refused_starts} new processes"
        return ExecutionError(
            "process_limit", f"the kernel refused it {count}: there were as many as executions.max_processes allows"
        )
    return None


def spawn_failed(at: datetime, message: str) -> FailedState:
    """The outcome of what never ran."""
    return FailedState(Ending(completed_at=at), FailureReason.SPAWN_ERROR, ExecutionError("spawn_error", message))


def never_started(at: datetime) -> CancelledState:
    """The outcome of what was cancelled while it waited for its turn."""
    return CancelledState(Ending(completed_at=at))
