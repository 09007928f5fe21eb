"""The one line that makes a session: program, marker and recorder, so that not a byte is lost in between."""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from teleclaude.errors import InvalidError
from teleclaude.tmux.info import MARKER
from teleclaude.tmux.line import (
    Flag,
    Line,
    Option,
    TmuxCommand,
    command,
    constant,
    named,
    new_name,
    number,
    path,
    shell_command,
    text,
)

MAX_SIDE = 10_000
"""tmux's own limit of a window's width and height (WINDOW_MAXIMUM)."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True, slots=True)
class CreatePane:
    """A session to be. ``session_id`` is ours; ``command`` None is the shell as a login shell, a string is run by the
    shell, a tuple runs as it is. ``shell`` None is the user's. ``recorder_command`` is a shell command that gets the
    pane's output on its standard input.
    """

    session_id: str
    name: str
    command: str | tuple[str, ...] | None
    cwd: str
    recorder_command: str
    env: Mapping[str, str] = field(default_factory=dict)
    cols: int = 120
    rows: int = 40
    shell: str | None = None


def creation(request: CreatePane) -> Line:
    """The line; its first reply is ``SESSION|PANE|PID``. Raises ``InvalidError`` and ``TooLargeError``."""
    target = Option("t", named(request.name))
    return (_new_session(request), *recording(target, request.session_id, request.recorder_command))


def recording(target: Option, session_id: str, recorder_command: str) -> Line:
    """Mark the pane ``target`` as ours, keep it when its process ends, and record it."""
    return (
        command("set-option", Flag("p"), target, text(MARKER), text(session_id)),
        command("set-option", Flag("p"), target, text("remain-on-exit"), text("on")),
        command("pipe-pane", Flag("O"), target, shell_command(recorder_command)),
    )


def _new_session(request: CreatePane) -> TmuxCommand:
    for name in request.env:
        if not _VARIABLE.fullmatch(name):
            raise InvalidError(f"{name!r} is no name of an environment variable", operation="tmux.new-session")
    return command(
        "new-session",
        Flag("d"),
        Flag("P"),
        Option("F", constant("#{session_id}|#{pane_id}|#{pane_pid}")),
        Option("s", new_name(request.name)),
        Option("x", number(request.cols, 1, MAX_SIDE)),
        Option("y", number(request.rows, 1, MAX_SIDE)),
        Option("c", path(_directory(request.cwd))),
        *(Option("e", text(f"{name}={value}")) for name, value in request.env.items()),
        *map(text, _argv(request)),
    )


def _directory(cwd: str) -> str:
    """tmux would silently run in another directory."""
    if not Path(cwd).is_absolute() or not Path(cwd).is_dir() or not os.access(cwd, os.X_OK):
        raise InvalidError(
            f"{cwd!r} is not an absolute path of a directory you may enter", operation="tmux.new-session"
        )
    return cwd


def _argv(request: CreatePane) -> tuple[str, ...]:
    """At least two words, always: tmux gives a single one to a shell."""
    shell = request.shell or os.environ.get("SHELL") or pwd.getpwuid(os.getuid()).pw_shell or "/bin/sh"
    match request.command:
        case None:
            return (shell, "-l")
        case str(line):
            return (shell, "-c", line)
        case ():
            raise InvalidError("the command is empty", operation="tmux.new-session")
        case (program,):
            return ("/bin/sh", "-c", 'exec "$0"', program)
        case argv:
            return argv
