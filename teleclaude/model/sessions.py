"""The domain: sessions as tagged states with legal transitions, principals and roles. Pure data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import ClassVar, Literal

from teleclaude.model.prompts import Prompt

NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def is_name(text: str) -> bool:
    """Whether ``text`` may name a session or a computer."""
    return NAME_PATTERN.fullmatch(text) is not None


class Role(IntEnum):
    """What a principal may do; a higher role includes the lower ones."""

    VIEWER = 1
    OPERATOR = 2
    OWNER = 3

    @property
    def label(self) -> str:
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks: a stable ``name`` such as ``local``, ``token:ci``, ``telegram:17``, and the role the server gave it.

    ``sessions`` (ids) and ``verbs`` (operations) narrow it down further; None means all of them.
    """

    name: str
    role: Role
    sessions: frozenset[str] | None = None
    verbs: frozenset[str] | None = None


class Kind(StrEnum):
    TERMINAL = "terminal"
    PYTHON = "python"


class Activity(StrEnum):
    WORKING = "working"
    IDLE = "idle"
    NEEDS_INPUT = "needs_input"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended. ``code`` and ``signal`` are what was observed or ``None``, never a guess.

    ``signal`` is a name without SIG (``KILL``); ``reason`` says in a word why there is nothing better
    (``exited``, ``signal``, ``closed``, ``tmux_server_gone``, ``unknown``).
    """

    code: int | None
    signal: str | None
    at: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class PaneIdentity:
    """One tmux pane, unmistakably: tmux reuses ids after a new server started, so the server is part of it."""

    server_pid: int
    server_start: int
    session_id: str
    pane_id: str
    pid: int
    pid_start: int


@dataclass(frozen=True, slots=True)
class Starting:
    name: ClassVar[Literal["starting"]] = "starting"


@dataclass(frozen=True, slots=True)
class Running:
    """``pane`` is None for a Python session."""

    pane: PaneIdentity | None
    name: ClassVar[Literal["running"]] = "running"


@dataclass(frozen=True, slots=True)
class Exited:
    exit: Exit
    name: ClassVar[Literal["exited"]] = "exited"


@dataclass(frozen=True, slots=True)
class Lost:
    """It vanished while nobody could watch; ``exit`` holds what is known."""

    exit: Exit
    name: ClassVar[Literal["lost"]] = "lost"


@dataclass(frozen=True, slots=True)
class HandingOff:
    """Released to ``computer`` under ``epoch``; the process is kept and input refused until that one answers."""

    computer: str
    epoch: int
    pane: PaneIdentity | None
    name: ClassVar[Literal["handing_off"]] = "handing_off"


@dataclass(frozen=True, slots=True)
class HandedOff:
    computer: str
    session_id: str
    epoch: int
    name: ClassVar[Literal["handed_off"]] = "handed_off"


SessionState = Starting | Running | Exited | Lost | HandingOff | HandedOff

LIVE_STATES = (Starting, Running, HandingOff)

_LEGAL: dict[type[SessionState], tuple[type[SessionState], ...]] = {
    Starting: (Running, Exited, Lost, HandedOff),
    Running: (Exited, Lost, HandingOff, HandedOff, Starting),
    Exited: (Starting, HandedOff),
    Lost: (Starting, HandedOff),
    HandingOff: (HandedOff, Running, Exited, Lost),
    HandedOff: (Starting,),
}


class IllegalTransitionError(Exception):
    """A defect of ours: a state was about to follow one it cannot follow."""


@dataclass(frozen=True, slots=True)
class Agent:
    name: str
    conversation_id: str | None = None


@dataclass(frozen=True, slots=True)
class SessionSpec:
    """What was asked for, enough to start it again. ``command`` None is the shell, a string is run by the shell."""

    command: str | tuple[str, ...] | None
    cwd: str
    env: Mapping[str, str] = field(default_factory=dict)
    cols: int = 120
    rows: int = 40
    agent: Agent | None = None


@dataclass(frozen=True, slots=True)
class Session:
    """A durable, named, addressable session. Change it with ``moved_to`` and ``replace``; every copy is immutable.

    ``tmux_socket`` is the path of the user's own tmux server for a session that was adopted from there, else None.
    ``ending`` is how its process ended, on record before the pane is let go and until the state says it.
    """

    id: str
    name: str
    kind: Kind
    computer: str
    spec: SessionSpec
    state: SessionState
    created_at: datetime
    owner: str
    tags: tuple[str, ...] = ()
    epoch: int = 1
    title: str = ""
    input_offset: int | None = None
    tmux_socket: str | None = None
    ending: Exit | None = None

    @property
    def is_live(self) -> bool:
        return isinstance(self.state, LIVE_STATES)

    @property
    def adopted(self) -> bool:
        """Whether it belongs to the user's own tmux: followed, never ended by us."""
        return self.tmux_socket is not None

    @property
    def exit(self) -> Exit | None:
        return self.state.exit if isinstance(self.state, Exited | Lost) else None

    @property
    def pane(self) -> PaneIdentity | None:
        return self.state.pane if isinstance(self.state, Running | HandingOff) else None

    def moved_to(self, state: SessionState) -> Session:
        """The same session in ``state``; raises ``IllegalTransitionError`` when that cannot follow."""
        if type(state) not in _LEGAL[type(self.state)]:
            raise IllegalTransitionError(f"session {self.id}: {self.state.name} -> {state.name}")
        return replace(self, state=state)


@dataclass(frozen=True, slots=True)
class Cursor:
    x: int
    y: int
    visible: bool


@dataclass(frozen=True, slots=True)
class Screen:
    """A rendered terminal. ``offset`` is the stream end read before the capture, so joining screen and stream may
    repeat bytes but never skips any; ``exact`` says that the end was the same just after it.

    ``lines`` hold plain text, ``ansi_lines`` the same rows with SGR sequences; ``prompt`` is what a live one asks.
    """

    cols: int
    rows: int
    cursor: Cursor
    alternate: bool
    title: str
    lines: tuple[str, ...]
    ansi_lines: tuple[str, ...]
    offset: int
    exact: bool
    prompt: Prompt | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """The kept part of a stream: ``start`` is the oldest kept offset, ``end`` where the next byte will stand."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes ``[start, end)`` of a stream; ``stream_end`` is the stream's end when they were read."""

    start: int
    end: int
    stream_end: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole in a stream, named. Where its length is unknown ``bytes`` is None and ``start == end``.

    ``reason`` is one word: ``retention``, ``recorder_died``, ``disk_full``, ``truncated``, ``skipped``,
    ``daemon_absent``, ``handoff``.
    """

    start: int
    end: int
    bytes: int | None
    reason: str
