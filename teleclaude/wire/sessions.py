"""Commands and views of sessions: their life, and what is typed into them."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from teleclaude.clock import timestamp
from teleclaude.model import Activity, Bounds, Exit, HandedOff, Kind, Role, Session, is_name
from teleclaude.wire.arguments import passable, passable_env
from teleclaude.wire.base import Command, Line, Reference, Text, View

MAX_TEXT_BYTES = 1 << 20

_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/=-]{0,62}")
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _name(text: str) -> str:
    if not is_name(text):
        raise ValueError("a name is 1 to 63 characters of a-z, 0-9, _ and -, and starts with a letter or digit")
    return text


def _tag(text: str) -> str:
    if _TAG.fullmatch(text) is None:
        raise ValueError("a tag is 1 to 63 characters of letters, digits and _ . : / = -")
    return text


def _env(env: dict[str, str]) -> dict[str, str]:
    for key in env:
        if _ENV_NAME.fullmatch(key) is None:
            raise ValueError(f"{key!r} is not the name of an environment variable")
    return env


# The patterns are said in the description; the validators' sentences are what people read.
Name = Annotated[str, AfterValidator(_name), Field(json_schema_extra={"pattern": "^[a-z0-9][a-z0-9_-]{0,62}$"})]
Tag = Annotated[str, AfterValidator(_tag), Field(json_schema_extra={"pattern": f"^{_TAG.pattern}$"})]
Tags = Annotated[list[Tag], Field(max_length=32)]
Env = Annotated[dict[str, Line], Field(max_length=256), AfterValidator(_env)]
Argument = Annotated[Line, AfterValidator(passable("session.create"))]
Argv = Annotated[list[Argument], Field(min_length=1, max_length=4096)]
Columns = Annotated[int, Field(ge=2, le=1000)]
Rows = Annotated[int, Field(ge=1, le=1000)]


class ExitView(View):
    code: int | None
    signal: str | None
    at: str | None
    reason: str

    @classmethod
    def of(cls, exit_: Exit) -> ExitView:
        at = timestamp(exit_.at) if exit_.at else None
        return cls(code=exit_.code, signal=exit_.signal, at=at, reason=exit_.reason)


class AgentView(View):
    name: str
    conversation_id: str | None


class BoundsView(View):
    start: int
    end: int


class AttachView(View):
    """How a person at the same computer joins the terminal itself."""

    argv: list[str]


class HandedOffView(View):
    computer: str
    session_id: str
    epoch: int


class SessionView(View):
    id: str
    name: str
    kind: Kind
    computer: str
    state: Literal["starting", "running", "exited", "lost", "handing_off", "handed_off"]
    activity: Activity
    command: str | list[str] | None
    agent: AgentView | None
    cwd: str
    cols: int
    rows: int
    title: str
    tags: list[str]
    epoch: int
    created_at: str
    last_activity_at: str
    exit: ExitView | None
    output: BoundsView
    attach: AttachView | None = None
    handed_off: HandedOffView | None = None

    @classmethod
    def of(
        cls,
        session: Session,
        *,
        bounds: Bounds,
        last_activity_at: str,
        activity: Activity = Activity.UNKNOWN,
        attach: list[str] | None = None,
    ) -> SessionView:
        spec, agent, state = session.spec, session.spec.agent, session.state
        moved = state if isinstance(state, HandedOff) else None
        return cls(
            id=session.id,
            name=session.name,
            kind=session.kind,
            computer=session.computer,
            state=state.name,
            activity=activity,
            command=list(spec.command) if isinstance(spec.command, tuple) else spec.command,
            agent=AgentView(name=agent.name, conversation_id=agent.conversation_id) if agent else None,
            cwd=spec.cwd,
            cols=spec.cols,
            rows=spec.rows,
            title=session.title,
            tags=list(session.tags),
            epoch=session.epoch,
            created_at=timestamp(session.created_at),
            last_activity_at=last_activity_at,
            exit=ExitView.of(session.exit) if session.exit else None,
            output=BoundsView(start=bounds.start, end=bounds.end),
            attach=AttachView(argv=attach) if attach else None,
            handed_off=HandedOffView(computer=moved.computer, session_id=moved.session_id, epoch=moved.epoch)
            if moved
            else None,
        )


class SessionList(View):
    sessions: list[SessionView]


class CreateSession(Command[SessionView]):
    operation = "session.create"
    role = Role.OPERATOR

    name: Name | None = None
    kind: Kind = Kind.TERMINAL
    command: Annotated[Argument, Field(min_length=1)] | Argv | None = None
    agent: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    prompt: Annotated[Text, AfterValidator(passable("session.create"))] | None = None
    cwd: Line | None = None
    env: Annotated[Env, AfterValidator(passable_env("session.create"))] = Field(default_factory=dict)
    cols: Columns | None = None
    rows: Rows | None = None
    computer: Name | None = None
    tags: Tags = Field(default_factory=list)

    @model_validator(mode="after")
    def _coherent(self) -> CreateSession:
        if self.agent is not None and self.command is not None:
            raise ValueError("give agent or command, not both")
        if self.prompt is not None and self.agent is None:
            raise ValueError("a prompt needs an agent")
        if isinstance(self.command, list) and not self.command[0]:
            raise ValueError("the program's name is empty")
        return self


class AdoptSession(Command[SessionView]):
    operation = "session.adopt"
    role = Role.OWNER

    target: Annotated[Line, Field(min_length=1, max_length=200)]
    socket: Annotated[Line, Field(min_length=1, max_length=104)] | None = None
    name: Name | None = None


class ListSessions(Command[SessionList]):
    operation = "session.list"
    role = Role.VIEWER
    mutates = False

    computer: Name | None = None
    state: Literal["starting", "running", "exited", "lost", "handing_off", "handed_off"] | None = None
    kind: Kind | None = None
    tag: Tag | None = None


class GetSession(Command[SessionView]):
    operation = "session.get"
    role = Role.VIEWER
    mutates = False

    id: Reference


class UpdateSession(Command[SessionView]):
    operation = "session.update"
    role = Role.OPERATOR

    id: Reference
    name: Name | None = None
    tags: Tags | None = None


class CloseSession(Command[SessionView]):
    operation = "session.close"
    role = Role.OPERATOR

    id: Reference
    grace_ms: Annotated[int, Field(ge=0, le=60_000)] | None = None
    purge: bool = False


class InputReply(View):
    offset: int
    state: Literal["delivered"] = "delivered"


class SendInput(Command[InputReply]):
    operation = "session.input"
    role = Role.OPERATOR

    id: Reference
    text: Text
    submit: bool = True
    client_id: Annotated[Line, Field(min_length=1, max_length=128)] | None = None
    seq: Annotated[int, Field(ge=0, lt=2**63)] | None = None

    @model_validator(mode="after")
    def _numbered(self) -> SendInput:
        if (self.client_id is None) != (self.seq is None):
            raise ValueError("client_id and seq go together")
        return self


class OffsetReply(View):
    offset: int


class SendKeys(Command[OffsetReply]):
    operation = "session.keys"
    role = Role.OPERATOR

    id: Reference
    keys: Annotated[list[Annotated[Line, Field(min_length=1, max_length=32)]], Field(min_length=1, max_length=256)]
    repeat: Annotated[int, Field(ge=1, le=1000)] = 1


class SendBytes(Command[OffsetReply]):
    """Typed bytes of a live terminal; not on any JSON surface."""

    operation = "session.tty"
    role = Role.OPERATOR

    id: Reference
    data: Annotated[bytes, Field(max_length=MAX_TEXT_BYTES)]


class ResizeSession(Command[SessionView]):
    operation = "session.resize"
    role = Role.OPERATOR

    id: Reference
    cols: Columns
    rows: Rows


class SignalSession(Command[SessionView]):
    operation = "session.signal"
    role = Role.OPERATOR

    id: Reference
    signal: Annotated[str, Field(min_length=1, max_length=16)]


class RestartSession(Command[SessionView]):
    operation = "session.restart"
    role = Role.OPERATOR

    id: Reference
    resume: bool = False
