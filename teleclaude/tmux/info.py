"""What tmux says about a pane: constant formats and their one parser. Pure.

Fields come apart at ``|``. What a program chooses has that and every control character replaced by tmux itself, which
costs a regular expression for each pane: so a list leaves those fields out. A session's name holds no control
characters (tmux escapes them), nor does a title (tmux drops them); these two stand last.
"""

from __future__ import annotations

import signal
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

_CLEAN = "#{s/[\x01-\x1f\x7f|]/?/:"

MARKER = "@teleclaude_id"
"""Pane option that holds our session's id."""

_FIXED = (
    "#{session_id}",
    "#{pane_id}",
    "#{pane_pid}",
    "#{pane_dead}",
    "#{pane_dead_status}",
    "#{pane_dead_signal}",
    "#{pane_dead_time}",
    "#{pane_pipe}",
    "#{pane_width}",
    "#{pane_height}",
    "#{pane_in_mode}",
    "#{alternate_on}",
    "#{cursor_x}",
    "#{cursor_y}",
    "#{cursor_flag}",
    "#{@teleclaude_id}",
    "#{pane_tty}",
)
_LAST = ("#{session_name}", "#{=512:pane_title}")

LIST_FORMAT = "|".join((*_FIXED, "", "", *_LAST))
FULL_FORMAT = "|".join((*_FIXED, _CLEAN + "pane_current_command}", _CLEAN + "pane_current_path}", *_LAST))
_FIELDS = len(_FIXED) + 4


@dataclass(frozen=True, slots=True)
class DeadStatus:
    """How a pane's process ended, as far as tmux has seen it; ``signal`` is a name without SIG."""

    code: int | None
    signal: str | None
    at: datetime | None

    @property
    def known(self) -> bool:
        return self.code is not None or self.signal is not None


@dataclass(frozen=True, slots=True)
class PaneInfo:
    """One pane at one moment.

    ``marker`` is our session's id or empty. ``command`` and ``path`` are those of the foreground process, and empty in
    a list. ``cursor_x`` and ``cursor_y`` count from 0. ``status`` may be known before ``dead`` is true: tmux first
    reads what the terminal still holds.
    """

    session_id: str
    pane_id: str
    pid: int
    dead: bool
    status: DeadStatus
    piped: bool
    cols: int
    rows: int
    in_mode: bool
    alternate: bool
    cursor_x: int
    cursor_y: int
    cursor_visible: bool
    marker: str
    tty: str
    command: str
    path: str
    name: str
    title: str


def parse(line: str) -> PaneInfo | None:
    """The pane of one line of either format; None when it names none or makes no sense."""
    fields = line.split("|", _FIELDS - 1)
    if len(fields) != _FIELDS or not fields[1]:
        return None
    try:
        return _build(fields)
    except ValueError:
        return None


def parse_all(lines: Iterable[str]) -> list[PaneInfo]:
    return [info for info in map(parse, lines) if info is not None]


def _build(fields: list[str]) -> PaneInfo:
    return PaneInfo(
        session_id=fields[0],
        pane_id=fields[1],
        pid=int(fields[2]),
        dead=fields[3] == "1",
        status=DeadStatus(
            code=int(fields[4]) if fields[4] else None,
            signal=_signal_name(int(fields[5])) if fields[5] else None,
            at=datetime.fromtimestamp(int(fields[6]), UTC) if fields[6] else None,
        ),
        piped=fields[7] == "1",
        cols=int(fields[8]),
        rows=int(fields[9]),
        in_mode=fields[10] not in ("", "0"),
        alternate=fields[11] == "1",
        cursor_x=int(fields[12]),
        cursor_y=int(fields[13]),
        cursor_visible=fields[14] != "0",
        marker=fields[15],
        tty=fields[16],
        command=fields[17],
        path=fields[18],
        name=fields[19],
        title="".join(character for character in fields[20] if character.isprintable()),
    )


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name.removeprefix("SIG")
    except ValueError:
        return str(number)
