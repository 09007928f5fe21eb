"""Executions as tagged states: one unit of work with exactly one outcome. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Literal

from teleclaude.model.sessions import IllegalTransitionError


class Overflow(StrEnum):
    """What happens at the output cap of a stream: discard the rest, end the execution, or keep much more."""

    TRUNCATE = "truncate"
    FAIL = "fail"
    SPOOL = "spool"


class Lifetime(StrEnum):
    """Whether the execution ends with the connection that started it."""

    DETACHED = "detached"
    CONNECTION = "connection"


class FailureReason(StrEnum):
    NONZERO_EXIT = "nonzero_exit"
    SIGNAL = "signal"
    SPAWN_ERROR = "spawn_error"
    OUTPUT_LIMIT = "output_limit"
    STREAM_ERROR = "stream_error"
    EXCEPTION = "exception"
    WORKER_DIED = "worker_died"


@dataclass(frozen=True, slots=True)
class ExecutionSpec:
    """What to run: ``argv`` as it is, or ``script`` by ``shell -c``; exactly one of the two.

    ``cwd`` is absolute. ``stdin`` False is /dev/null, True a pipe that stays open for input, text is the whole input.
    Limits that are None take the configured default.
    """

    cwd: str
    argv: tuple[str, ...] | None = None
    script: str | None = None
    shell: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str | bool = False
    timeout_ms: int | None = None
    idle_timeout_ms: int | None = None
    max_output_bytes: int | None = None
    overflow: Overflow | None = None
    lifetime: Lifetime = Lifetime.DETACHED
    queue: bool = True

    def __post_init__(self) -> None:
        if (self.argv is None) == (self.script is None):
            raise ValueError("an execution has either argv or script")


@dataclass(frozen=True, slots=True)
class CellSpec:
    """A Python cell as it was asked for. ``timeout_ms`` None: it may run for ever."""

    code: str
    timeout_ms: int | None = None
    allow_stdin: bool = False
    queue: bool = False


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """One process for good: its number and when it started, in clock ticks since boot (0 where that is unknown)."""

    pid: int
    start_time: int


@dataclass(frozen=True, slots=True)
class StreamTotals:
    """What is kept of a stream, ``[start, end)``, and ``total``, all bytes that were written to it."""

    start: int = 0
    end: int = 0
    total: int = 0
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class CellResult:
    """The value of a Python cell; ``value`` is JSON or None, ``display`` maps MIME types to representations.

    ``truncated`` says that ``repr`` is not all of it.
    """

    repr: str
    value: object = None
    execution_count: int | None = None
    display: Mapping[str, object] | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class ExecutionError:
    """Why it failed, for a person; ``traceback`` holds lines of the user's own code only.

    ``line`` and ``offset`` say where a cell is no Python, counted from 1.
    """

    type: str
    message: str
    traceback: tuple[str, ...] = ()
    line: int | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How it ended, each fact taken once. ``started_at`` None: it never ran. Codes are observed or None, never guessed.

    ``signal`` is a name without SIG; ``duration_ms`` is measured by the monotonic clock. ``namespace_lost`` speaks of
    the Python session it ran in.
    """

    completed_at: datetime
    started_at: datetime | None = None
    duration_ms: int | None = None
    exit_code: int | None = None
    signal: str | None = None
    namespace_lost: bool | None = None


@dataclass(frozen=True, slots=True)
class QueuedState:
    name: ClassVar[Literal["queued"]] = "queued"


@dataclass(frozen=True, slots=True)
class StartingState:
    name: ClassVar[Literal["starting"]] = "starting"


@dataclass(frozen=True, slots=True)
class RunningState:
    """``process`` is None for a Python cell, which runs in its session's worker."""

    started_at: datetime
    process: ProcessIdentity | None = None
    name: ClassVar[Literal["running"]] = "running"


@dataclass(frozen=True, slots=True)
class PausedState:
    started_at: datetime
    process: ProcessIdentity | None = None
    name: ClassVar[Literal["paused"]] = "paused"


@dataclass(frozen=True, slots=True)
class StoppingState:
    """It is being ended; what it ends as is decided once it has."""

    started_at: datetime
    process: ProcessIdentity | None = None
    name: ClassVar[Literal["stopping"]] = "stopping"


@dataclass(frozen=True, slots=True)
class CompletedState:
    ending: Ending
    result: CellResult | None = None
    name: ClassVar[Literal["completed"]] = "completed"


@dataclass(frozen=True, slots=True)
class FailedState:
    ending: Ending
    reason: FailureReason
    error: ExecutionError | None = None
    name: ClassVar[Literal["failed"]] = "failed"


@dataclass(frozen=True, slots=True)
class CancelledState:
    ending: Ending
    name: ClassVar[Literal["cancelled"]] = "cancelled"


@dataclass(frozen=True, slots=True)
class TimedOutState:
    ending: Ending
    name: ClassVar[Literal["timed_out"]] = "timed_out"


@dataclass(frozen=True, slots=True)
class LostState:
    """It ended while nobody could watch, so how is not known."""

    ending: Ending
    name: ClassVar[Literal["lost"]] = "lost"


LiveState = QueuedState | StartingState | RunningState | PausedState | StoppingState

Outcome = CompletedState | FailedState | CancelledState | TimedOutState | LostState
"""A terminal state. An execution reaches exactly one, once."""

ExecutionState = LiveState | Outcome

STARTED_STATES = (RunningState, PausedState, StoppingState)
OUTCOMES = (CompletedState, FailedState, CancelledState, TimedOutState, LostState)

_LEGAL: dict[type[ExecutionState], tuple[type[ExecutionState], ...]] = {
    QueuedState: (StartingState, FailedState, CancelledState, LostState),
    StartingState: (RunningState, FailedState, CancelledState, LostState),
    RunningState: (PausedState, StoppingState, *OUTCOMES),
    PausedState: (RunningState, StoppingState, *OUTCOMES),
    StoppingState: OUTCOMES,
    CompletedState: (),
    FailedState: (),
    CancelledState: (),
    TimedOutState: (),
    LostState: (),
}


@dataclass(frozen=True, slots=True)
class Execution:
    """One unit of work. Change it with ``moved_to`` and ``replace``; every copy is immutable."""

    id: str
    computer: str
    spec: ExecutionSpec | CellSpec
    state: ExecutionState
    created_at: datetime
    owner: str
    session_id: str | None = None
    streams: Mapping[str, StreamTotals] = field(default_factory=dict)
    tags: tuple[str, ...] = ()

    @property
    def outcome(self) -> Outcome | None:
        return self.state if isinstance(self.state, OUTCOMES) else None

    @property
    def ending(self) -> Ending | None:
        return self.state.ending if isinstance(self.state, OUTCOMES) else None

    @property
    def started_at(self) -> datetime | None:
        if isinstance(self.state, STARTED_STATES):
            return self.state.started_at
        return self.ending.started_at if self.ending else None

    @property
    def process(self) -> ProcessIdentity | None:
        return self.state.process if isinstance(self.state, STARTED_STATES) else None

    def moved_to(self, state: ExecutionState) -> Execution:
        """The same execution in ``state``; raises ``IllegalTransitionError`` when that cannot follow."""
        if type(state) not in _LEGAL[type(self.state)]:
            raise IllegalTransitionError(f"execution {self.id}: {self.state.name} -> {state.name}")
        return replace(self, state=state)
