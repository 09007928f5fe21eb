"""How a cell ended, decided once from what was seen. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from teleclaude.model import (
    CancelledState,
    CellResult,
    CompletedState,
    Ending,
    ExecutionError,
    FailedState,
    FailureReason,
    Outcome,
    TimedOutState,
)
from teleclaude.process.outcome import LeaderExit, StopCause
from teleclaude.python.messages import Failure, Result


@dataclass(frozen=True, slots=True)
class CellSeen:
    """``started_at`` None: it never ran. ``result`` None: there is none, as ``died`` says how the worker ended, as
    ``cause`` came first, or as ``fault`` kept us from running it. ``capped``: it died to keep the cap of its memory.
    """

    completed_at: datetime
    started_at: datetime | None = None
    duration_ms: int | None = None
    cause: StopCause | None = None
    result: Result | None = None
    died: LeaderExit | None = None
    capped: bool = False
    fault: str | None = None


def decide(seen: CellSeen) -> Outcome:
    """What ended it from outside counts before what it answered."""
    ending = _ending(seen)
    if seen.cause is StopCause.CANCEL:
        return CancelledState(ending)
    if seen.cause is StopCause.TIMEOUT:
        return TimedOutState(ending)
    if seen.fault is not None:
        return FailedState(ending, FailureReason.SPAWN_ERROR, ExecutionError("SpawnError", seen.fault))
    if seen.result is None:
        return FailedState(ending, FailureReason.WORKER_DIED, _death(seen))
    if seen.result.error is not None:
        return FailedState(ending, FailureReason.EXCEPTION, _error(seen.result.error))
    return CompletedState(ending, _value(seen.result))


def _ending(seen: CellSeen) -> Ending:
    ran = seen.started_at is not None
    return Ending(
        completed_at=seen.completed_at,
        started_at=seen.started_at,
        duration_ms=seen.duration_ms if ran else None,
        exit_code=seen.died.code if seen.died and ran else None,
        signal=seen.died.signal if seen.died and ran else None,
        namespace_lost=True if seen.died else None,
    )


def _value(result: Result) -> CellResult | None:
    if result.repr is None:
        return None
    return CellResult(
        repr=result.repr,
        value=result.value,
        execution_count=result.count,
        display=dict(result.display) or None,
        truncated=result.truncated,
    )


def _error(failure: Failure) -> ExecutionError:
    return ExecutionError(failure.type, failure.message, tuple(failure.traceback), failure.line, failure.offset)


def _death(seen: CellSeen) -> ExecutionError:
    how = "ended"
    if seen.died is not None and seen.died.signal is not None:
        how = f"was ended by signal {seen.died.signal}"
        if seen.capped:
            how += ", as it and what it started took more memory than python.max_memory_bytes,"
    elif seen.died is not None and seen.died.code is not None:
        how = f"exited with code {seen.died.code}"
    when = "while the cell ran" if seen.started_at is not None else "before the cell began"
    return ExecutionError("WorkerDied", f"the interpreter {how} {when}; restart the session: its variables are lost")
