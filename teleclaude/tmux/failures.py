"""tmux's complaints as errors of ours. Pure."""

from __future__ import annotations

from teleclaude.errors import (
    ConflictError,
    DeadlineError,
    IndeterminateError,
    InternalError,
    NotFoundError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.tmux.line import Line

_ABSENT = ("no server running", "error connecting", "can't create socket", "failed to connect")
_BROKEN_OFF = ("server exited", "lost server")


class TmuxError(InternalError):
    """tmux refused a command for a reason that has no better class; ``detail`` holds its words."""


def refused(command: str, words: str) -> TeleclaudeError:
    """The error for tmux's answer ``words`` to ``command``."""
    operation = f"tmux.{command}"
    if words.startswith("duplicate session"):
        return ConflictError("tmux has a session of that name already; choose another name", operation=operation)
    if words.startswith(("can't find", "no such", "no current")):
        return NotFoundError(f"tmux says: {words}", operation=operation)
    if words.startswith(_ABSENT):
        return UnavailableError(f"no tmux server answers ({words}); nothing was done", operation=operation)
    return TmuxError(f"tmux says: {words or 'nothing, but it failed'}", operation=operation)


def broken_off(words: str) -> bool:
    """Whether a client's last words say that the server went away under it."""
    return words.startswith(_BROKEN_OFF)


def unanswered(line: Line, why: str) -> TeleclaudeError:
    """The error for a line that tmux got and did not answer: its effect, if it can have one, may still come."""
    operation = f"tmux.{line[0].name}"
    if any(command.changes for command in line):
        return IndeterminateError(
            f"{why}; tmux may still carry it out, so look at the session before trying again", operation=operation
        )
    return DeadlineError(f"{why}; try again", operation=operation)


def unsent(line: Line, why: str) -> UnavailableError:
    """The error for a line that tmux never got."""
    return UnavailableError(f"{why}; nothing was sent, try again later", operation=f"tmux.{line[0].name}")
