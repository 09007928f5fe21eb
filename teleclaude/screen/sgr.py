"""Styled rows as tmux captures them (``capture-pane -e -p``), parsed into runs of text and written again. Pure.

A captured row is not complete in itself: colours and the line-drawing character set carry over from one row to the
next, so whole screens go through ``parse_rows``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import IntEnum

from teleclaude.screen.escapes import filter_for_terminal, split_escapes

Color = int | tuple[int, int, int] | None
"""An index into the 256 colours, red-green-blue of 0 to 255 each, or None for the terminal's own."""

TAB_WIDTH = 8

# The VT100 special graphics set: what SO selects and tmux writes for lines drawn by programs that use it.
_SPECIAL_GRAPHICS = str.maketrans("`afghijklmnopqrstuvwxyz{|}~", "◆▒°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")


class Underline(IntEnum):
    """Values are the sub-parameters of SGR 4."""

    NONE = 0
    SINGLE = 1
    DOUBLE = 2
    CURLY = 3
    DOTTED = 4
    DASHED = 5


@dataclass(frozen=True, slots=True)
class Style:
    """How a run looks. ``underline_color`` None means the colour of the text."""

    fg: Color = None
    bg: Color = None
    underline_color: Color = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: Underline = Underline.NONE
    blink: bool = False
    reverse: bool = False
    conceal: bool = False
    strike: bool = False
    overline: bool = False


PLAIN = Style()


@dataclass(frozen=True, slots=True)
class Run:
    """Printable text in one style."""

    text: str
    style: Style


_FLAGS = {"bold": 1, "dim": 2, "italic": 3, "blink": 5, "reverse": 7, "conceal": 8, "strike": 9, "overline": 53}
_COLORS = {"fg": 38, "bg": 48, "underline_color": 58}
_COLOR_FIELD = {code: name for name, code in _COLORS.items()}
_CHANGES: dict[int, dict[str, object]] = {
    **{code: {name: True} for name, code in _FLAGS.items()},
    6: {"blink": True},
    21: {"underline": Underline.DOUBLE},
    22: {"bold": False, "dim": False},
    23: {"italic": False},
    24: {"underline": Underline.NONE},
    25: {"blink": False},
    27: {"reverse": False},
    28: {"conceal": False},
    29: {"strike": False},
    39: {"fg": None},
    49: {"bg": None},
    55: {"overline": False},
    59: {"underline_color": None},
    **{30 + n: {"fg": n} for n in range(8)},
    **{40 + n: {"bg": n} for n in range(8)},
    **{90 + n: {"fg": 8 + n} for n in range(8)},
    **{100 + n: {"bg": 8 + n} for n in range(8)},
}


def parse_rows(rows: Iterable[str]) -> list[tuple[Run, ...]]:
    """The runs of each row of one screen, top to bottom. Neighbouring runs of a row differ in style, none is empty.

    Escape sequences other than SGR are dropped, so are control characters; tabs become spaces.
    """
    reader = _Reader()
    return [reader.row(row) for row in rows]


def parse_row(ansi: str) -> tuple[Run, ...]:
    """The runs of a row that stands alone."""
    return parse_rows((ansi,))[0]


def plain_rows(rows: Iterable[str]) -> tuple[str, ...]:
    """The text of each row of one screen, without trailing blanks."""
    return tuple("".join(run.text for run in runs).rstrip(" ") for runs in parse_rows(rows))


def plain(ansi_row: str) -> str:
    """The text of a row that stands alone, without trailing blanks."""
    return plain_rows((ansi_row,))[0]


def self_contained(rows: Iterable[str]) -> tuple[str, ...]:
    """The rows of one screen written so that each can be shown alone: it sets its own styles and resets them."""
    return tuple(write_row(runs) for runs in parse_rows(rows))


def write_row(runs: Iterable[Run]) -> str:
    """Runs as text with SGR sequences; ``parse_row`` reads the same runs back."""
    return "".join(run.text if run.style == PLAIN else f"{_opening(run.style)}{run.text}\x1b[0m" for run in runs)


class _Reader:
    """Carries from row to row what a terminal would."""

    def __init__(self) -> None:
        self._style = PLAIN
        self._special_graphics = False

    def row(self, ansi: str) -> tuple[Run, ...]:
        runs: list[Run] = []
        for raw, parameters in split_escapes(ansi):
            if parameters is not None:
                self._style = apply_sgr(self._style, parameters)
                continue
            text = self._text(raw)
            if text and runs and runs[-1].style == self._style:
                runs[-1] = Run(runs[-1].text + text, self._style)
            elif text:
                runs.append(Run(text, self._style))
        return _without_tabs(runs)

    def _text(self, raw: str) -> str:
        parts: list[str] = []
        for index, shifted_out in enumerate(raw.split("\x0e")):
            if index:
                self._special_graphics = True
            for number, part in enumerate(shifted_out.split("\x0f")):
                if number:
                    self._special_graphics = False
                parts.append(part.translate(_SPECIAL_GRAPHICS) if self._special_graphics else part)
        return filter_for_terminal("".join(parts)).replace("\n", "")


def _without_tabs(runs: list[Run]) -> tuple[Run, ...]:
    """Tabs as spaces. Columns are counted in characters, which is right up to the first wide one: tmux captures hold
    tabs rarely, and only from version 3.6 on."""
    column = 0
    expanded: list[Run] = []
    for run in runs:
        first, *others = run.text.split("\t")
        text = first
        for part in others:
            text += " " * (TAB_WIDTH - (column + len(text)) % TAB_WIDTH) + part
        expanded.append(Run(text, run.style))
        column += len(text)
    return tuple(expanded)


def apply_sgr(style: Style, parameters: str) -> Style:
    """``style`` after an SGR sequence with these parameters (``1;38:2::9:9:9``); what is unknown changes nothing."""
    groups = [[_number(part) for part in group.split(":")] for group in parameters.split(";")]
    position = 0
    while position < len(groups):
        group = groups[position]
        code = group[0]
        if code in _COLOR_FIELD and len(group) == 1:
            color, taken = _semicolon_color(groups[position + 1 : position + 5])
            position += taken
            style = _with_color(style, code, color)
        elif code in _COLOR_FIELD:
            style = _with_color(style, code, _colon_color(group[1:]))
        else:
            style = _with_code(style, group)
        position += 1
    return style


def _number(digits: str) -> int:
    """A parameter's value; empty is 0, and a number too long to mean anything is -1."""
    return int(digits or "0") if len(digits) <= 6 else -1


def _with_code(style: Style, group: list[int]) -> Style:
    code = group[0]
    if code == 0:
        return PLAIN
    if code == 4:
        kind = group[1] if len(group) > 1 else 1
        return replace(style, underline=Underline(kind)) if 0 <= kind <= 5 else style
    if code == 5 and group[1:] == [3]:
        return replace(style, overline=True)  # tmux 3.3 writes 53 this way
    changes = _CHANGES.get(code) if len(group) == 1 else None
    return replace(style, **changes) if changes else style  # type: ignore[arg-type]


def _with_color(style: Style, code: int, color: Color) -> Style:
    return style if color is None else replace(style, **{_COLOR_FIELD[code]: color})  # type: ignore[arg-type]


def _semicolon_color(groups: list[list[int]]) -> tuple[Color, int]:
    """The colour after a bare 38, 48 or 58, and how many parameters it took."""
    values = [group[0] for group in groups]
    if values[:1] == [5]:
        return _indexed(values[1:2]), 2
    if values[:1] == [2]:
        return _direct(values[1:4]), 4
    return None, 1


def _colon_color(values: list[int]) -> Color:
    if values[0] == 5:
        return _indexed(values[1:2])
    if values[0] == 2:
        # The standard has a colour space before red; the older habit leaves it out.
        return _direct(values[2:5] if len(values) > 4 else values[1:4])
    return None


def _indexed(values: list[int]) -> Color:
    return values[0] if values and 0 <= values[0] <= 255 else None


def _direct(values: list[int]) -> Color:
    if len(values) != 3 or not all(0 <= value <= 255 for value in values):
        return None
    return values[0], values[1], values[2]


def _opening(style: Style) -> str:
    codes: list[str] = [str(code) for name, code in _FLAGS.items() if getattr(style, name)]
    if style.underline:
        codes.append("4" if style.underline is Underline.SINGLE else f"4:{style.underline.value}")
    for name, code in _COLORS.items():
        color: Color = getattr(style, name)
        if isinstance(color, int):
            codes.append(_short_color(code, color))
        elif color is not None:
            codes.append(f"{code};2;{color[0]};{color[1]};{color[2]}")
    return f"\x1b[{';'.join(codes)}m"


def _short_color(code: int, index: int) -> str:
    if code == _COLORS["underline_color"] or index > 15:
        return f"{code};5;{index}"
    return str(code - 8 + index if index < 8 else code + 52 + index - 8)
