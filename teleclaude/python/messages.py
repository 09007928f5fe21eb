"""What a worker says, validated: strictly, as its process runs code that is not ours. Pure."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from teleclaude.python.errors import ProtocolError
from teleclaude.python.worker.frames import Message


class _FromWorker(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Booted(_FromWorker):
    op: Literal["booted"]
    pid: int
    python: str


class Ready(_FromWorker):
    op: Literal["ready"]
    pid: int


class Beat(_FromWorker):
    """The answer to a ping; ``running`` is the cell that runs."""

    op: Literal["beat"]
    seq: int
    state: Literal["idle", "running"]
    running: str | None
    uptime_ms: int


class Started(_FromWorker):
    """The cell's code is about to run: it is Python, and from now on an interrupt meets it."""

    op: Literal["started"]
    id: str


class InputRequest(_FromWorker):
    """The cell ``id`` asks a question."""

    op: Literal["input"]
    id: str
    request: int
    prompt: str


class InputOver(_FromWorker):
    """Nobody waits for the answer any more."""

    op: Literal["input_over"]
    id: str
    request: int


class Failure(_FromWorker):
    type: str
    message: str
    traceback: list[str]
    line: int | None
    offset: int | None


class Result(_FromWorker):
    """The end of a cell. ``repr`` None: it had no value. ``notes`` say what the value's own methods did wrong."""

    op: Literal["result"]
    id: str
    status: Literal["ok", "error", "exit"]
    count: int
    repr: str | None
    value: Any
    display: dict[str, Any]
    truncated: bool
    notes: list[str]
    error: Failure | None
    execution_time_ms: float


class Reply(_FromWorker):
    """The answer to a request that is no cell."""

    op: Literal["reply"]
    id: str
    data: Any
    error: Failure | None


Told = Beat | Started | InputRequest | InputOver
"""What a worker says without being asked for it, or in between."""

FromWorker = Booted | Ready | Told | Result | Reply

_FROM_WORKER: TypeAdapter[FromWorker] = TypeAdapter(Annotated[FromWorker, Field(discriminator="op")])


def parse(message: Message) -> FromWorker:
    """Raises ``ProtocolError``."""
    try:
        return _FROM_WORKER.validate_python(message)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        place = ".".join(map(str, problem["loc"]))
        raise ProtocolError(f"message of the worker: {place}: {problem['msg']}") from error
