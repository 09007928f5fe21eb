"""Commands that hand a session over: the two that people give, and what the computers then say to each other."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from teleclaude.model import Role
from teleclaude.wire.base import Command, Line, Reference, Text, View
from teleclaude.wire.sessions import Columns, Env, Name, Rows, Tags

PART_BYTES = 192 << 10
"""Of history or of a bundle in one message."""

MAX_BUNDLE_BYTES = 512 << 20
MAX_HISTORY_BYTES = 10 << 30

Count = Annotated[int, Field(ge=0, lt=2**63)]
Epoch = Annotated[int, Field(ge=1, lt=2**53)]
Id = Annotated[str, Field(pattern=r"^[A-Z][0-9A-Z]{17}$")]
Commit = Annotated[str, Field(pattern=r"^[0-9a-f]{40,64}$")]


class HandoffReply(View):
    """``session`` is its id, which stays the same; ``epoch`` counts its owners."""

    session: str
    from_: Annotated[str, Field(alias="from")]
    to: str
    epoch: int


class HandoffSession(Command[HandoffReply]):
    """Move a terminal session to ``computer``, with what is in its git repository when asked."""

    operation = "session.handoff"
    role = Role.OPERATOR

    id: Reference
    computer: Name
    git: Literal["none", "bundle"] = "none"
    timeout_ms: Annotated[int, Field(ge=1, le=3_600_000)] = 60_000


class TakeSession(Command[HandoffReply]):
    """Own a session by a person's word that the computer it belongs to is dead; refused while that one answers."""

    operation = "session.take"
    role = Role.OWNER

    id: Reference


def _moment(text: str) -> str:
    if datetime.fromisoformat(text).tzinfo is None:
        raise ValueError("a moment has a time zone")
    return text


class Place(View):
    """A trusted directory by its ``name``, and the way down from it."""

    name: str
    rest: str


class CarriedAgent(View):
    name: Line
    conversation_id: Line | None


class Carried(View):
    """A session as it travels."""

    id: Id
    name: Name
    command: Annotated[Line, Field(max_length=131_071)] | list[Line] | None
    agent: CarriedAgent | None
    cwd: Line
    places: list[Place]
    env: Env
    cols: Columns
    rows: Rows
    tags: Tags
    title: Text
    owner: Text
    created_at: Annotated[str, AfterValidator(_moment)]


class PreparedReply(View):
    """``commits`` are those that the target's repository has, when git was asked for."""

    commits: list[str] = Field(default_factory=list)
    dropped: list[str] = Field(default_factory=list)


class PrepareHandoff(Command[PreparedReply]):
    """Can it live there? Whatever speaks against it is said now, before anything is released."""

    operation = "handoff.prepare"
    role = Role.OPERATOR

    handoff: Id
    source: Name
    epoch: Epoch
    session: Carried
    start: Count
    git: bool


class PartReply(View):
    end: int


class SendPart(Command[PartReply]):
    """Bytes at ``offset``: of the stream, in its own offsets, or of the bundle. Harmless when repeated."""

    operation = "handoff.part"
    role = Role.OPERATOR
    mutates = False

    handoff: Id
    what: Literal["history", "bundle"]
    offset: Count
    data: Annotated[bytes, Field(max_length=PART_BYTES)]


class SkipPart(Command[PartReply]):
    """A hole in the history, up to ``end``."""

    operation = "handoff.skip"
    role = Role.OPERATOR
    mutates = False

    handoff: Id
    end: Count


class CarriedGap(View):
    start: int
    end: int
    bytes: int | None
    reason: str


class CarriedReceipt(View):
    client_id: Text
    seq: int
    offset: int | None


class SealReply(View):
    pass


class SealHandoff(Command[SealReply]):
    """Everything was sent: is it all there, and could it be taken now?"""

    operation = "handoff.seal"
    role = Role.OPERATOR

    handoff: Id
    end: Count
    gaps: Annotated[list[CarriedGap], Field(max_length=2048)]
    receipts: Annotated[list[CarriedReceipt], Field(max_length=1000)]
    screen: Text | None
    input_offset: Count | None
    bundle_bytes: Count
    branch: Line | None
    commit: Commit | None


class AnswerReply(View):
    """The target's durable word. ``epoch`` and ``computer`` tell of a higher claim where there is one."""

    accepted: bool
    epoch: int
    computer: str | None = None
    reason: str = ""


class OfferHandoff(Command[AnswerReply]):
    """Released: from now on the target may own it under ``epoch``."""

    operation = "handoff.offer"
    role = Role.OPERATOR

    handoff: Id
    session: Id
    epoch: Epoch


class CancelHandoff(Command[SealReply]):
    operation = "handoff.cancel"
    role = Role.OPERATOR

    handoff: Id
    session: Id


class ClaimReply(View):
    """What the computer knows of the owner; ``owns``: it is itself, right now."""

    epoch: int
    computer: str | None
    owns: bool


class InquireHandoff(Command[ClaimReply]):
    operation = "handoff.inquire"
    role = Role.OPERATOR
    mutates = False

    session: Id


class SupersedeHandoff(Command[ClaimReply]):
    """Somebody owns the session by this claim."""

    operation = "handoff.supersede"
    role = Role.OPERATOR

    session: Id
    epoch: Epoch
    computer: Name


BETWEEN_COMPUTERS: tuple[type[Command[object]], ...] = (
    PrepareHandoff,  # type: ignore[assignment]
    SendPart,
    SkipPart,
    SealHandoff,
    OfferHandoff,
    CancelHandoff,
    InquireHandoff,
    SupersedeHandoff,
)
