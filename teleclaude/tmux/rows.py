"""Captured rows made to stand alone. Pure.

``capture-pane -e`` writes a colour only where it changes, also from one row to the next, and leaves line-drawing
characters as letters between SO and SI.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

_SGR = re.compile(r"\x1b\[([0-9;:]*)m")
_RESET = "\x1b[0m"
_SHIFT_OUT, _SHIFT_IN = "\x0e", "\x0f"

_DRAWING = str.maketrans("`abcdefghijklmnopqrstuvwxyz{|}~", "◆▒␉␌␍␊°±␤␋┘┐┌└┼⎺⎻─⎼⎽├┤┴┬│≤≥π≠£·")
"""DEC Special Graphics (VT220 Programmer Reference, table 2-4)."""


def self_contained(rows: Iterable[str]) -> Iterator[str]:
    """Each row with the rendition it begins in written out, reset at its end, drawing characters as Unicode."""
    state = _Rendition()
    drawing = False
    for captured in rows:
        row, drawing = _draw(captured, drawing)
        before = str(state)
        for match in _SGR.finditer(row):
            state.apply(match[1])
        yield before + row + (_RESET if before or _SGR.search(row) else "")


def _draw(row: str, drawing: bool) -> tuple[str, bool]:
    if not drawing and _SHIFT_OUT not in row:
        return row.replace(_SHIFT_IN, ""), False
    pieces = []
    for piece in re.split(f"([{_SHIFT_OUT}{_SHIFT_IN}])", row):
        if piece in (_SHIFT_OUT, _SHIFT_IN):
            drawing = piece == _SHIFT_OUT
        elif drawing:
            pieces.append(_translate(piece))
        else:
            pieces.append(piece)
    return "".join(pieces), drawing


def _translate(piece: str) -> str:
    """Drawing characters of ``piece``, its SGR sequences left alone."""
    parts = re.split(r"(\x1b\[[0-9;:]*m)", piece)
    return "".join(part if index % 2 else part.translate(_DRAWING) for index, part in enumerate(parts))


@dataclass(slots=True)
class _Rendition:
    """What SGR has set so far; each slot holds the parameters that bring it back."""

    foreground: str = ""
    background: str = ""
    underline_colour: str = ""
    attributes: dict[str, None] = field(default_factory=dict)

    def __str__(self) -> str:
        slots = [*self.attributes, self.foreground, self.background, self.underline_colour]
        codes = ";".join(code for code in slots if code)
        return f"\x1b[{codes}m" if codes else ""

    def apply(self, parameters: str) -> None:
        codes = parameters.split(";")
        position = 0
        while position < len(codes):
            taken = self._apply_one(codes[position:])
            position += taken

    def _apply_one(self, codes: list[str]) -> int:
        """Apply the first code of ``codes`` with what belongs to it; answers how many it took."""
        code = codes[0]
        kind = code.split(":")[0]
        taken = _extended_length(codes) if kind in ("38", "48", "58") and ":" not in code else 1
        whole = ";".join(codes[:taken])
        if kind in ("", "0"):
            self.foreground = self.background = self.underline_colour = ""
            self.attributes.clear()
        elif _within(kind, 30, 38) or _within(kind, 90, 97):
            self.foreground = whole
        elif _within(kind, 40, 48) or _within(kind, 100, 107):
            self.background = whole
        elif kind == "58":
            self.underline_colour = whole
        elif kind in ("39", "49", "59"):
            self._default(kind)
        else:
            self._attribute(kind, whole)
        return taken

    def _default(self, kind: str) -> None:
        if kind == "39":
            self.foreground = ""
        elif kind == "49":
            self.background = ""
        else:
            self.underline_colour = ""

    def _attribute(self, kind: str, whole: str) -> None:
        if kind in _OFF:
            for code in [code for code in self.attributes if code.split(":")[0] in _OFF[kind]]:
                del self.attributes[code]
        elif kind in _ON:
            self.attributes[whole] = None


_OFF = {
    "22": ("1", "2"),
    "23": ("3",),
    "24": ("4", "21"),
    "25": ("5",),
    "27": ("7",),
    "28": ("8",),
    "29": ("9",),
    "55": ("53",),
}
_ON = frozenset(code for codes in _OFF.values() for code in codes)


def _within(kind: str, low: int, high: int) -> bool:
    return kind.isdigit() and low <= int(kind) <= high


def _extended_length(codes: list[str]) -> int:
    """``38;5;N`` or ``38;2;R;G;B``."""
    mode = codes[1] if len(codes) > 1 else ""
    return min({"5": 3, "2": 5}.get(mode, 1), len(codes))
