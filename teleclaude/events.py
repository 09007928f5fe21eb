"""Facts with a sequence number. One dataclass per thing that can happen; the union is closed."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import ClassVar

from teleclaude.model import Gap


@dataclass(frozen=True, slots=True)
class SessionCreated:
    type: ClassVar[str] = "session.created"
    name: str
    kind: str


@dataclass(frozen=True, slots=True)
class SessionStateChanged:
    type: ClassVar[str] = "session.state"
    state: str


@dataclass(frozen=True, slots=True)
class SessionExited:
    """The last fact about a run: comes after all of its output is recorded."""

    type: ClassVar[str] = "session.exit"
    state: str
    code: int | None
    signal: str | None
    at: str | None
    reason: str
    offset: int


@dataclass(frozen=True, slots=True)
class SessionChanged:
    """Name, tags or size are now these."""

    type: ClassVar[str] = "session.changed"
    name: str
    tags: tuple[str, ...]
    cols: int
    rows: int


@dataclass(frozen=True, slots=True)
class SessionHandedOff:
    """It lives on at ``computer``; its offsets continue there."""

    type: ClassVar[str] = "session.handed_off"
    computer: str
    session_id: str
    epoch: int


@dataclass(frozen=True, slots=True)
class SessionArrived:
    """It came from ``computer``, or was taken from there by force, and starts here; its output from ``offset`` on is of
    this computer.
    """

    type: ClassVar[str] = "session.arrived"
    computer: str
    epoch: int
    forced: bool
    offset: int


@dataclass(frozen=True, slots=True)
class SessionKept:
    """It was let go of, ``computer`` did not take it, and it goes on here."""

    type: ClassVar[str] = "session.kept"
    computer: str
    epoch: int


@dataclass(frozen=True, slots=True)
class SessionDeleted:
    """Record and streams are gone."""

    type: ClassVar[str] = "session.deleted"


@dataclass(frozen=True, slots=True)
class ExecutionCreated:
    """``command`` is argv, the script, or the code of a Python cell, cut to a line that can be shown."""

    type: ClassVar[str] = "execution.created"
    command: str
    status: str


@dataclass(frozen=True, slots=True)
class ExecutionStateChanged:
    """A state that is not the last one."""

    type: ClassVar[str] = "execution.state"
    status: str


@dataclass(frozen=True, slots=True)
class ExecutionEnded:
    """The last fact about an execution: comes once, after all of its output is stored. ``end`` is by stream."""

    type: ClassVar[str] = "execution.exit"
    status: str
    reason: str | None
    exit_code: int | None
    signal: str | None
    started_at: str | None
    completed_at: str
    duration_ms: int | None
    end: dict[str, int]


@dataclass(frozen=True, slots=True)
class ExecutionInputRequested:
    """A Python cell asks a question; ``execution.input`` answers the oldest."""

    type: ClassVar[str] = "execution.input"
    prompt: str


@dataclass(frozen=True, slots=True)
class SessionHealth:
    """Whether a Python session's interpreter answers; a restart helps where it does not."""

    type: ClassVar[str] = "session.health"
    responsive: bool
    missed: int


@dataclass(frozen=True, slots=True)
class ExecutionDeleted:
    """Record and streams are gone."""

    type: ClassVar[str] = "execution.deleted"


@dataclass(frozen=True, slots=True)
class PlanStepChanged:
    type: ClassVar[str] = "plan.step"
    plan_id: str
    step: str
    status: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class PlanEnded:
    type: ClassVar[str] = "plan.exit"
    plan_id: str
    status: str


@dataclass(frozen=True, slots=True)
class OutputGap:
    type: ClassVar[str] = "output.gap"
    stream: str
    start: int
    end: int
    bytes: int | None
    reason: str

    @classmethod
    def of(cls, stream: str, gap: Gap) -> OutputGap:
        return cls(stream=stream, start=gap.start, end=gap.end, bytes=gap.bytes, reason=gap.reason)


@dataclass(frozen=True, slots=True)
class AdapterFailed:
    type: ClassVar[str] = "adapter.failed"
    adapter: str
    detail: str


Fact = (
    SessionCreated
    | SessionStateChanged
    | SessionExited
    | SessionChanged
    | SessionHandedOff
    | SessionArrived
    | SessionKept
    | SessionDeleted
    | SessionHealth
    | ExecutionCreated
    | ExecutionStateChanged
    | ExecutionEnded
    | ExecutionInputRequested
    | ExecutionDeleted
    | PlanStepChanged
    | PlanEnded
    | OutputGap
    | AdapterFailed
)


@dataclass(frozen=True, slots=True)
class Event:
    """A recorded fact: ``seq`` grows by one over the daemon's whole life, restarts included."""

    seq: int
    at: datetime
    type: str
    session_id: str | None
    execution_id: str | None
    data: dict[str, object]


def fact_data(fact: Fact) -> dict[str, object]:
    """The fact's own members, as they stand in ``Event.data``."""
    return asdict(fact)
