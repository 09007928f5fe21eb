"""Commands and views of executions."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from teleclaude.clock import timestamp
from teleclaude.model import (
    CellSpec,
    CompletedState,
    Execution,
    ExecutionSpec,
    FailedState,
    FailureReason,
    Lifetime,
    Overflow,
    Role,
    StreamTotals,
)
from teleclaude.wire.arguments import passable, passable_env
from teleclaude.wire.base import Command, Line, Reference, Text, View, WaitMs
from teleclaude.wire.sessions import MAX_TEXT_BYTES, Env, Name, Tag, Tags

_OPERATION = "execution.start"

SHOWN_CHARS = 200
DEFAULT_LISTED = 100
MAX_LISTED = 10_000

MAX_DURATION_MS = 7 * 24 * 3_600_000

Status = Literal[
    "queued", "starting", "running", "paused", "stopping", "completed", "failed", "cancelled", "timed_out", "lost"
]


Argument = Annotated[Line, AfterValidator(passable(_OPERATION))]
Argv = Annotated[list[Argument], Field(min_length=1, max_length=4096)]
Script = Annotated[Line, Field(min_length=1), AfterValidator(passable(_OPERATION))]
DurationMs = Annotated[int, Field(ge=1, le=MAX_DURATION_MS)]
OutputBytes = Annotated[int, Field(ge=0, lt=2**63)]
Input = Annotated[Text, Field(max_length=MAX_TEXT_BYTES)]


class StreamView(View):
    start: int
    end: int
    total: int
    truncated: bool

    @classmethod
    def of(cls, totals: StreamTotals) -> StreamView:
        return cls(start=totals.start, end=totals.end, total=totals.total, truncated=totals.truncated)


class StreamsView(View):
    stdout: StreamView
    stderr: StreamView


class ResultView(View):
    repr: str
    value: object = None
    execution_count: int | None = None
    display: dict[str, object] | None = None
    truncated: bool = False


class ErrorView(View):
    type: str
    message: str
    traceback: list[str]
    line: int | None = None
    offset: int | None = None


class ExecutionView(View):
    """``command`` shows what runs, cut to one line; the record holds all of it."""

    id: str
    session_id: str | None
    command: str
    status: Status
    reason: FailureReason | None
    exit_code: int | None
    signal: str | None
    tags: list[str]
    created_at: str
    started_at: str | None
    completed_at: str | None
    duration_ms: int | None
    streams: StreamsView
    result: ResultView | None
    error: ErrorView | None
    namespace_lost: bool | None = None

    @classmethod
    def of(cls, execution: Execution) -> ExecutionView:
        state, ending = execution.state, execution.ending
        streams = {name: StreamView.of(totals) for name, totals in execution.streams.items()}
        none = StreamView.of(StreamTotals())
        return cls(
            id=execution.id,
            session_id=execution.session_id,
            command=shown_command(execution.spec),
            status=state.name,
            reason=state.reason if isinstance(state, FailedState) else None,
            exit_code=ending.exit_code if ending else None,
            signal=ending.signal if ending else None,
            tags=list(execution.tags),
            created_at=timestamp(execution.created_at),
            started_at=timestamp(execution.started_at) if execution.started_at else None,
            completed_at=timestamp(ending.completed_at) if ending else None,
            duration_ms=ending.duration_ms if ending else None,
            streams=StreamsView(stdout=streams.get("stdout", none), stderr=streams.get("stderr", none)),
            result=_result(execution),
            error=_error(execution),
            namespace_lost=ending.namespace_lost if ending else None,
        )


def _result(execution: Execution) -> ResultView | None:
    result = execution.state.result if isinstance(execution.state, CompletedState) else None
    if result is None:
        return None
    return ResultView(
        repr=result.repr,
        value=result.value,
        execution_count=result.execution_count,
        display=dict(result.display) if result.display is not None else None,
        truncated=result.truncated,
    )


def _error(execution: Execution) -> ErrorView | None:
    error = execution.state.error if isinstance(execution.state, FailedState) else None
    if error is None:
        return None
    return ErrorView(
        type=error.type,
        message=error.message,
        traceback=list(error.traceback),
        line=error.line,
        offset=error.offset,
    )


def shown_command(spec: ExecutionSpec | CellSpec) -> str:
    """Argv, the script or the code of a cell, as one line of at most ``SHOWN_CHARS``."""
    if isinstance(spec, CellSpec):
        text = spec.code
    elif spec.argv is not None:
        text = " ".join(spec.argv)
    else:
        text = spec.script or ""
    line = " ".join(text[: 4 * SHOWN_CHARS].split())
    return line if len(line) <= SHOWN_CHARS and len(text) <= 4 * SHOWN_CHARS else line[: SHOWN_CHARS - 1] + "…"


class ExecutionList(View):
    executions: list[ExecutionView]


class StartExecution(Command[ExecutionView]):
    """Run ``argv``, or ``script`` by a shell. ``wait_ms`` waits that long for the end before answering.

    ``stdin``: false is empty, true a pipe kept open for ``execution.input``, a text is the whole input.
    """

    operation = _OPERATION
    role = Role.OPERATOR

    argv: Argv | None = None
    script: Script | None = None
    shell: Annotated[Argument, Field(min_length=1)] | None = None
    cwd: Line | None = None
    env: Annotated[Env, AfterValidator(passable_env(_OPERATION))] = Field(default_factory=dict)
    stdin: Input | bool = False
    timeout_ms: DurationMs | None = None
    idle_timeout_ms: DurationMs | None = None
    max_output_bytes: OutputBytes | None = None
    overflow: Annotated[Overflow, Field(strict=False)] | None = None
    lifetime: Annotated[Lifetime, Field(strict=False)] = Lifetime.DETACHED
    queue: bool = True
    tags: Tags = Field(default_factory=list)
    wait_ms: WaitMs = 0
    computer: Name | None = None

    @model_validator(mode="after")
    def _coherent(self) -> StartExecution:
        if (self.argv is None) == (self.script is None):
            raise ValueError("give exactly one of argv and script")
        if self.shell is not None and self.script is None:
            raise ValueError("shell goes with script only")
        if self.argv is not None and not self.argv[0]:
            raise ValueError("the program's name is empty")
        if self.script is not None and not self.script.strip():
            raise ValueError("the script is empty")
        return self

    def spec(self, default_cwd: str) -> ExecutionSpec:
        """The request as the model has it, in ``default_cwd`` when it names no directory."""
        return ExecutionSpec(
            cwd=default_cwd if self.cwd is None else self.cwd,
            argv=None if self.argv is None else tuple(self.argv),
            script=self.script,
            shell=self.shell,
            env=dict(self.env),
            stdin=self.stdin,
            timeout_ms=self.timeout_ms,
            idle_timeout_ms=self.idle_timeout_ms,
            max_output_bytes=self.max_output_bytes,
            overflow=self.overflow,
            lifetime=self.lifetime,
            queue=self.queue,
        )


class GetExecution(Command[ExecutionView]):
    """``wait_ms`` waits that long for its end."""

    operation = "execution.get"
    role = Role.VIEWER
    mutates = False

    id: Reference
    wait_ms: WaitMs = 0


class ListExecutions(Command[ExecutionList]):
    """Newest first; a field left out does not filter."""

    operation = "execution.list"
    role = Role.VIEWER
    mutates = False

    status: Status | None = None
    session: Reference | None = None
    tag: Tag | None = None
    limit: Annotated[int, Field(ge=1, le=MAX_LISTED)] = DEFAULT_LISTED


class RecordView(View):
    """All that is known of an ended execution but its output. ``request`` is what was asked for, defaults included."""

    execution: ExecutionView
    computer: str
    owner: str
    request: dict[str, object]

    @classmethod
    def of(cls, execution: Execution, view: ExecutionView) -> RecordView:
        spec = execution.spec
        request = {name: getattr(spec, name) for name in spec.__dataclass_fields__}
        return cls(execution=view, computer=execution.computer, owner=execution.owner, request=request)


class ReadRecord(Command[RecordView]):
    """The request holds the environment that was given, so viewers may not ask."""

    operation = "execution.record"
    role = Role.OPERATOR
    mutates = False

    id: Reference


class DeleteExecution(Command[ExecutionView]):
    """Drop an ended execution with its files; answers what it was."""

    operation = "execution.delete"
    role = Role.OPERATOR

    id: Reference


class Control(Command[ExecutionView]):
    """Something done to an execution that has not ended."""

    role: ClassVar[Role] = Role.OPERATOR

    id: Reference


class CancelExecution(Control):
    """TERM, CONT, then KILL after the configured grace. A second cancel answers the same."""

    operation = "execution.cancel"


class PauseExecution(Control):
    operation = "execution.pause"


class ResumeExecution(Control):
    operation = "execution.resume"


class InterruptExecution(Control):
    """SIGINT, as Ctrl-C would; it may live on."""

    operation = "execution.interrupt"


class SignalExecution(Control):
    operation = "execution.signal"

    signal: Annotated[str, Field(min_length=1, max_length=16)]


class InputExecution(Control):
    """Write ``text`` to its standard input."""

    operation = "execution.input"

    text: Input


class CloseStdinExecution(Control):
    operation = "execution.close_stdin"
