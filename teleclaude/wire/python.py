"""Commands and views of Python sessions: cells, variables, snapshots."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from teleclaude.model import CellSpec, Role
from teleclaude.wire.base import Command, Reference, Text, View, WaitMs
from teleclaude.wire.executions import DurationMs, ExecutionView
from teleclaude.wire.sessions import Name, Tags

MAX_CODE_CHARS = 8 << 20

Code = Annotated[Text, Field(max_length=MAX_CODE_CHARS)]
Strategy = Literal["overwrite", "preserve", "smart"]
VariableName = Annotated[Text, Field(min_length=1, max_length=1000)]


class RunCell(Command[ExecutionView]):
    """Run ``code`` in the session's namespace. ``wait_ms`` waits that long for its end before answering.

    While another cell runs it is refused as ``busy``, unless ``queue`` is set. ``allow_stdin`` lets ``input()`` ask; an
    ``execution.input`` event tells the prompt, and ``/executions/{id}/input`` answers.
    """

    operation = "session.execute"
    role = Role.OPERATOR

    id: Reference
    code: Code
    timeout_ms: DurationMs | None = None
    allow_stdin: bool = False
    queue: bool = False
    tags: Tags = Field(default_factory=list)
    wait_ms: WaitMs = 0

    def spec(self, timeout_ms: int | None) -> CellSpec:
        """The request as the model has it; ``timeout_ms`` holds when it names none."""
        timeout = timeout_ms if self.timeout_ms is None else self.timeout_ms
        return CellSpec(code=self.code, timeout_ms=timeout, allow_stdin=self.allow_stdin, queue=self.queue)


class VariableView(View):
    name: str
    type: str
    repr: str


class VariablesView(View):
    """``total`` counts those left out, too."""

    variables: list[VariableView]
    total: int


class ListVariables(Command[VariablesView]):
    """The user's names. It needs the operator's role: every repr is the user's code."""

    operation = "session.variables"
    role = Role.OPERATOR
    mutates = False

    id: Reference


class UpdatedView(View):
    """``skipped`` were kept by the strategy, belong to the interpreter, or are no names."""

    updated: list[str]
    skipped: list[str]


class UpdateVariables(Command[UpdatedView]):
    """Set variables to JSON data.

    ``overwrite`` replaces what is there and ``preserve`` keeps it; ``smart`` replaces plain data (None, numbers, text,
    lists, dicts) and keeps what only code can make: functions, modules, objects.
    """

    operation = "session.set_variables"
    role = Role.OPERATOR

    id: Reference
    values: Annotated[dict[VariableName, JsonValue], Field(max_length=10_000)]
    strategy: Strategy = "overwrite"


class ClearedView(View):
    """How many names were removed."""

    cleared: int


class ClearVariables(Command[ClearedView]):
    """Remove the user's names; what belongs to the interpreter stays."""

    operation = "session.clear_variables"
    role = Role.OPERATOR

    id: Reference


class DroppedView(View):
    name: str
    type: str
    reason: str


class SnapshotView(View):
    """``dropped`` could not be carried: functions and classes of cells, open files, locks and the like."""

    name: str
    created_at: str
    size_bytes: int
    carried: list[str]
    dropped: list[DroppedView]


class SnapshotList(View):
    snapshots: list[SnapshotView]


class TakeSnapshot(Command[SnapshotView]):
    """Write down the user's variables. Without a name it gets one."""

    operation = "session.snapshot"
    role = Role.OPERATOR

    id: Reference
    name: Name | None = None


class ListSnapshots(Command[SnapshotList]):
    operation = "session.snapshots"
    role = Role.VIEWER
    mutates = False

    id: Reference


class RestoredView(View):
    """``removed`` came after the snapshot. Of what it could not carry, ``kept`` are as they are now and ``missing`` are
    not there.
    """

    restored: list[str]
    removed: list[str]
    kept: list[str]
    missing: list[str]


class RestoreSnapshot(Command[RestoredView]):
    """Make the variables what they were, in this worker or a later one of the same session."""

    operation = "session.restore"
    role = Role.OPERATOR

    id: Reference
    name: Name
