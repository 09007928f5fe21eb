"""To wait for something that a session does."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from teleclaude.model import Activity, Role
from teleclaude.wire.base import Command, Reference, Text, View


def _true(value: object) -> object:
    # To Python, and so to a Literal, 1 and 1.0 equal True.
    if value is not True:
        raise ValueError("exit takes true and nothing else")
    return value


class Until(View):
    """Exactly one condition of a wait. ``activity`` waits for that activity."""

    model_config = View.model_config | {"strict": True}

    text: Annotated[Text, Field(min_length=1, max_length=8192)] | None = None
    regex: Annotated[Text, Field(min_length=1, max_length=8192)] | None = None
    idle_ms: Annotated[int, Field(ge=1, le=86_400_000)] | None = None
    exit: Annotated[Literal[True], BeforeValidator(_true)] | None = None
    activity: Activity | None = None

    @model_validator(mode="after")
    def _one(self) -> Until:
        if len(self.model_fields_set) != 1 or getattr(self, next(iter(self.model_fields_set))) is None:
            raise ValueError("until takes exactly one of text, regex, idle_ms, exit, activity")
        return self


class MatchView(View):
    text: str
    groups: list[str | None]


class WaitReply(View):
    outcome: Literal["matched", "exited", "timeout"]
    offset: int
    match: MatchView | None = None


class WaitSession(Command[WaitReply]):
    operation = "session.wait"
    role = Role.VIEWER
    mutates = False

    id: Reference
    until: Until
    from_: Annotated[int | None, Field(alias="from", ge=-(2**63), lt=2**63)] = None
    timeout_ms: Annotated[int, Field(ge=0, le=86_400_000)] = 30_000
