"""Sessions as people read them. Pure."""

from __future__ import annotations

import shlex
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from teleclaude.cli.escapes import plain

_GAP = "  "
_MIN_LAST_COLUMN = 10


def session_table(sessions: Sequence[Mapping[str, Any]], *, now: datetime, width: int | None) -> str:
    """One line per session, aligned, without a trailing line end; cut to ``width`` columns where it is given."""
    several = len({session.get("computer") for session in sessions}) > 1
    header = ["NAME", "STATE", "ACTIVITY", "AGE", "COMMAND", "DIRECTORY"]
    rows = [
        [
            plain(str(session["name"])),
            state_text(session),
            plain(str(session["activity"])),
            age_text(str(session["created_at"]), now),
            command_text(session),
            plain(str(session["cwd"])),
        ]
        for session in sessions
    ]
    if several:
        header.insert(1, "COMPUTER")
        for row, session in zip(rows, sessions, strict=True):
            row.insert(1, plain(str(session["computer"])))
    return align([header, *rows], width=width)


def state_text(session: Mapping[str, Any]) -> str:
    """``running``, ``exited 0``, ``exited KILL``, ``handed_off to mill``."""
    state = plain(str(session["state"]))
    ended = session.get("exit")
    if isinstance(ended, Mapping):
        how = ended.get("signal") if ended.get("signal") is not None else ended.get("code")
        return f"{state} {plain(str(how))}" if how is not None else state
    moved = session.get("handed_off")
    return f"{state} to {plain(str(moved['computer']))}" if isinstance(moved, Mapping) else state


def command_text(session: Mapping[str, Any]) -> str:
    """The agent's name, else the command as it could be typed, else the kind of default it runs."""
    agent, command = session.get("agent"), session.get("command")
    if isinstance(agent, Mapping):
        return plain(str(agent.get("name")))
    if isinstance(command, list):
        return plain(shlex.join(str(word) for word in command))
    if command is not None:
        return plain(str(command))
    return "(python)" if session.get("kind") == "python" else "(shell)"


def age_text(timestamp: str, now: datetime) -> str:
    """``42s``, ``5m``, ``3h``, ``12d``; ``-`` for what is no timestamp."""
    try:
        then = datetime.fromisoformat(timestamp)
    except ValueError:
        return "-"
    seconds = max(0, int((now - (then if then.tzinfo else then.replace(tzinfo=UTC))).total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"


def align(rows: Sequence[Sequence[str]], *, width: int | None) -> str:
    """Columns two spaces apart; with ``width`` the widest ones give way until a row fits."""
    widths = [max(columns(cell) for cell in column) for column in zip(*rows, strict=True)]
    if width is not None:
        _shrink(widths, width - len(_GAP) * (len(widths) - 1))
    lines = [_GAP.join(_fit(cell, columns_) for cell, columns_ in zip(row, widths, strict=True)) for row in rows]
    return "\n".join(line.rstrip() for line in lines)


def columns(text: str) -> int:
    """How many terminal columns ``text`` takes."""
    return len(text) if text.isascii() else sum(_character_columns(character) for character in text)


def _character_columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _shrink(widths: list[int], room: int) -> None:
    """Take columns from the widest until they fit, but leave each enough to be told apart."""
    while sum(widths) > room and max(widths) > _MIN_LAST_COLUMN:
        widths[widths.index(max(widths))] -= 1


def _fit(text: str, room: int) -> str:
    taken = columns(text)
    if taken <= room:
        return text + " " * (room - taken)
    kept, taken = "", 0
    for character in text:
        taken += _character_columns(character)
        if taken > room - 1:
            break
        kept += character
    return kept + "…" + " " * (room - 1 - columns(kept))
