"""The visible part of a pane, taken at one moment. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from teleclaude.model import Cursor
from teleclaude.tmux import rows
from teleclaude.tmux.line import Flag, Line, Option, command, constant, pane
from teleclaude.tmux.protocol import Reply

_SCREEN_FORMAT = (
    "#{pane_width}|#{pane_height}|#{cursor_x}|#{cursor_y}|#{cursor_flag}|#{alternate_on}|#{=512:pane_title}"
)


@dataclass(frozen=True, slots=True)
class CapturedScreen:
    """A pane's visible part, all from one moment. Each of the ``rows`` lines stands alone with its SGR sequences."""

    cols: int
    rows: int
    cursor: Cursor
    alternate: bool
    title: str
    ansi_lines: tuple[str, ...]


def capturing(pane_id: str) -> Line:
    """The line that asks for it."""
    target = Option("t", pane(pane_id))
    return (
        command("display-message", Flag("p"), target, constant(_SCREEN_FORMAT)),
        command("capture-pane", Flag("e"), Flag("p"), Flag("N"), target),
    )


def captured(about: Reply, content: Reply) -> CapturedScreen:
    """What the two replies to ``capturing`` say."""
    width, height, x, y, visible, alternate, title = about.text.split("|", 6)
    lines = (*content.lines, *([""] * int(height)))[: int(height)]
    return CapturedScreen(
        cols=int(width),
        rows=int(height),
        cursor=Cursor(x=int(x), y=int(y), visible=visible == "1"),
        alternate=alternate == "1",
        title=title,
        ansi_lines=tuple(rows.self_contained(lines)),
    )
