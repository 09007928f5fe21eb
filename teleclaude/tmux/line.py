"""The one place where tmux command lines are made: typed commands in, a control-mode line or an argv out. Pure.

tmux parses what it is given at several levels, and each has traps: a missing value of a flag crashes the server or hits
the newest session, a trailing ``;`` starts a second command, ``#(…)`` in a format or a directory runs a shell. So a
command's flags are checked against a table, every value has a kind, and only this module turns them into text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import LiteralString

from teleclaude.errors import InvalidError, TooLargeError
from teleclaude.model import is_name

MAX_LINE_BYTES = 15_000
"""tmux refuses a command of 16 KiB (imsg); both transports keep to one limit."""

PACKED_BYTES = 8192

ANCHOR_NAME = "_teleclaude"
"""The hidden session the control client is attached to. No session of ours can have this name."""

_SYNTAX: dict[str, tuple[str, str]] = {
    "capture-pane": ("aepJN", "ESt"),
    "copy-mode": ("q", "t"),
    "delete-buffer": ("", "b"),
    "display-message": ("p", "t"),
    "has-session": ("", "t"),
    "if-shell": ("F", "t"),
    "kill-pane": ("", "t"),
    "kill-server": ("", ""),
    "kill-session": ("", "t"),
    "list-panes": ("a", "Ft"),
    "list-sessions": ("", "F"),
    "load-buffer": ("", "b"),
    "new-session": ("AdP", "cefFstxy"),
    "paste-buffer": ("dpr", "bt"),
    "pipe-pane": ("O", "t"),
    "rename-session": ("", "t"),
    "resize-window": ("", "txy"),
    "send-keys": ("H", "t"),
    "set-option": ("pu", "t"),
    "source-file": ("q", ""),
}
"""Command: flags without a value, flags with one. Nothing else can be said."""

_READ_ONLY = frozenset({"capture-pane", "display-message", "has-session", "list-panes", "list-sessions"})
_ID = re.compile(r"[$%][0-9]{1,9}")
_PLAIN = re.compile(r"[A-Za-z0-9_./:=,@+-]+")


@dataclass(frozen=True, slots=True)
class Value:
    """One argument, made by the functions below, each of which knows what tmux does with its kind."""

    text: str


@dataclass(frozen=True, slots=True)
class Flag:
    letter: str


@dataclass(frozen=True, slots=True)
class Option:
    """A flag together with its value."""

    letter: str
    value: Value


Part = Value | Flag | Option


def text(value: str) -> Value:
    """Data that tmux takes as it is: a command's argv, an option's value, ``NAME=value`` of ``-e``."""
    _refuse_nul(value)
    return Value(value)


def constant(value: LiteralString) -> Value:
    """A format or command of ours. tmux runs ``#(…)`` in it, so nothing from outside may be part of it."""
    return Value(value)


def session(session_id: str) -> Value:
    """A target by tmux's session id, ``$3``."""
    return _id(session_id, "$")


def pane(pane_id: str) -> Value:
    """A target by tmux's pane id, ``%7``."""
    return _id(pane_id, "%")


def named(name: str) -> Value:
    """The one pane of the session of exactly this name, for lines that create it: its id is not yet known."""
    _check_name(name)
    return Value(f"={name}:")


def new_name(name: str) -> Value:
    """The name of a session to be: tmux would expand formats in it."""
    _check_name(name)
    return Value(name)


def path(value: str) -> Value:
    """A path in a place where tmux expands formats: ``-c``, ``load-buffer``."""
    _refuse_nul(value)
    return Value(value.replace("#", "##"))


def shell_command(value: str) -> Value:
    """The command of ``pipe-pane``, which goes through strftime(3) and format expansion before the shell sees it."""
    _refuse_nul(value)
    return Value(value.replace("%", "%%").replace("#", "##"))


def number(value: int, low: int, high: int) -> Value:
    if isinstance(value, bool) or not low <= value <= high:
        raise InvalidError(f"{value} is not between {low} and {high}", operation="tmux.line")
    return Value(str(value))


def hex_bytes(data: bytes) -> tuple[Value, ...]:
    """Values for ``send-keys -H``: tmux types each as one byte."""
    return tuple(map(_HEX.__getitem__, data))


_HEX = tuple(Value(f"{byte:02x}") for byte in range(256))


@dataclass(frozen=True)
class TmuxCommand:
    """One tmux command; ``parts`` come in tmux's order: flags, then positional values.

    Raises ``ValueError`` for a command or flag that is not in the table: a defect of ours, never of a caller.
    """

    name: str
    parts: tuple[Part, ...] = ()

    def __post_init__(self) -> None:
        try:
            flags, options = _SYNTAX[self.name]
        except KeyError:
            raise ValueError(f"{self.name} is not among the tmux commands in use") from None
        positional = False
        for part in self.parts:
            match part:
                case Value():
                    positional = True
                case Flag(letter) if letter not in flags or positional:
                    raise ValueError(f"{self.name} takes no plain flag -{letter} here")
                case Option(letter) if letter not in options or positional:
                    raise ValueError(f"{self.name} takes no option -{letter} here")

    @property
    def changes(self) -> bool:
        """Whether it can have an effect; one that cannot is safe to ask again."""
        return self.name not in _READ_ONLY

    @property
    def replies(self) -> int:
        """How many replies it gives when all goes well: ``if-shell`` answers, then the command it chose does."""
        return 2 if self.name == "if-shell" else 1

    @cached_property
    def rendered(self) -> str:
        """The command for a control client, quoted."""
        return " ".join(map(_quote, self.words()))

    def words(self) -> list[str]:
        """The command as tmux shall see it, without any quoting."""
        words = [self.name]
        positional = False
        for part in self.parts:
            match part:
                case Flag(letter):
                    words.append(f"-{letter}")
                case Option(letter, value):
                    words += [f"-{letter}", value.text]
                case Value(value):
                    if not positional:
                        words.append("--")
                        positional = True
                    words.append(value)
        return words


Line = tuple[TmuxCommand, ...]
"""Commands that tmux runs one after the other without anything in between; the first error ends the line."""


def command(name: LiteralString, *parts: Part) -> TmuxCommand:
    return TmuxCommand(name, parts)


def nested(inner: TmuxCommand) -> Value:
    """A command as the argument of ``if-shell``."""
    return Value(inner.rendered)


def pack(commands: Sequence[TmuxCommand]) -> list[Line]:
    """``commands`` in as few lines as keep each within ``PACKED_BYTES``; ``if-shell`` gets a line of its own."""
    lines: list[Line] = []
    room = 0
    for item in commands:
        size = len(_encode(item.rendered)) + 3
        if item.replies == 1 and size <= room:
            lines[-1] += (item,)
        else:
            lines.append((item,))
            room = PACKED_BYTES
        room = room - size if item.replies == 1 else 0
    return lines


def control_line(line: Line) -> bytes:
    """``line`` for a control client, with its newline. Raises ``TooLargeError``."""
    _check_line(line)
    rendered = " ; ".join(item.rendered for item in line)
    if not rendered or any(forbidden in rendered for forbidden in "\n\r\0"):
        raise ValueError("a control line must hold one line of text")
    data = _encode(rendered)
    _check_size(len(data))
    return data + b"\n"


def control_argv(line: Line) -> list[bytes]:
    """``line`` for the command line of a tmux client. Raises ``TooLargeError``."""
    _check_line(line)
    argv: list[bytes] = []
    for item in line:
        if argv:
            argv.append(b";")
        argv += (_encode(_without_separator(word)) for word in item.words())
    _check_size(sum(len(word) + 1 for word in argv))
    return argv


def _quote(word: str) -> str:
    """Single quotes take everything literally but themselves and line ends, for which double quotes know escapes."""
    if _PLAIN.fullmatch(word):
        return word
    quoted = word.replace("'", "'\"'\"'").replace("\n", "'\"\\n\"'").replace("\r", "'\"\\r\"'")
    return f"'{quoted}'"


def _without_separator(word: str) -> str:
    """tmux takes a trailing ``;`` of any argument as the end of the command unless a backslash stands before it."""
    return f"{word[:-1]}\\;" if word.endswith(";") else word


def _check_line(line: Sequence[TmuxCommand]) -> None:
    if not line:
        raise ValueError("an empty line would detach the control client")
    if len(line) > 1 and any(item.replies != 1 for item in line):
        raise ValueError("if-shell stands alone, since its inner command answers apart from the line")


def _check_size(size: int) -> None:
    if size > MAX_LINE_BYTES:
        raise TooLargeError(
            f"the command takes {size} bytes, tmux at most {MAX_LINE_BYTES}; put long text into a file",
            operation="tmux.line",
        )


def _encode(value: str) -> bytes:
    """UTF-8; bytes that a path or argument got from the system as surrogate escapes go back as they were."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise InvalidError("text holds half of a surrogate pair", operation="tmux.line") from error


def _id(value: str, sigil: str) -> Value:
    if not _ID.fullmatch(value) or value[0] != sigil:
        raise InvalidError(f"{value!r} is no tmux id like {sigil}3", operation="tmux.line")
    return Value(value)


def _check_name(name: str) -> None:
    if not is_name(name) and name != ANCHOR_NAME:
        raise InvalidError(f"{name!r} is no session name: use a-z, 0-9, _ and -, at most 63", operation="tmux.line")


def _refuse_nul(value: str) -> None:
    if "\0" in value:
        raise InvalidError("text for tmux holds a NUL character", operation="tmux.line")
