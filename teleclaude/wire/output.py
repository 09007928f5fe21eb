"""Commands and views of what a stream holds: to read, search and follow it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from teleclaude.model import Chunk, Role
from teleclaude.wire.base import Command, Reference, Text, View, WaitMs

MAX_READ_BYTES = 1 << 20
DEFAULT_READ_BYTES = 64 << 10


class ReadOutput(Command[Chunk]):
    """Bytes of a stream from an offset; ``format`` text removes escapes and gives the text as UTF-8."""

    operation = "output.read"
    role = Role.VIEWER
    mutates = False

    id: Reference
    stream: Literal["pty", "stdout", "stderr", "order"] | None = None
    from_: Annotated[int | None, Field(alias="from", ge=-(2**63), lt=2**63)] = None
    limit: Annotated[int, Field(ge=1, le=MAX_READ_BYTES)] = DEFAULT_READ_BYTES
    wait_ms: WaitMs = 0
    format: Literal["raw", "text"] = "raw"


class LineView(View):
    """A line of output: bytes ``[from, to)`` of the stream, and its text, cut where it is very long."""

    from_: Annotated[int, Field(alias="from")]
    to: int
    text: str


class SearchReply(View):
    """``next`` is where to go on; null when everything there was has been searched."""

    matches: list[LineView]
    next: int | None


class SearchOutput(Command[SearchReply]):
    operation = "output.search"
    role = Role.VIEWER
    mutates = False

    id: Reference
    text: Annotated[Text, Field(min_length=1, max_length=8192)] | None = None
    regex: Annotated[Text, Field(min_length=1, max_length=8192)] | None = None
    from_: Annotated[int | None, Field(alias="from", ge=-(2**63), lt=2**63)] = None
    limit: Annotated[int, Field(ge=1, le=1000)] = 100

    @model_validator(mode="after")
    def _one(self) -> SearchOutput:
        if (self.text is None) == (self.regex is None):
            raise ValueError("give text or regex, and not both")
        return self


class FollowOutput(Command[None]):
    """A live cursor on a stream."""

    operation = "output.follow"
    role = Role.VIEWER
    mutates = False

    id: Reference
    stream: Literal["pty", "stdout", "stderr", "order"] | None = None
    from_: Annotated[int | None, Field(alias="from", ge=-(2**63), lt=2**63)] = None
    format: Literal["raw", "text"] = "raw"
    mode: Literal["lossless", "latest"] = "lossless"
