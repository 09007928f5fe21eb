"""The colours of the picture: a dark theme's sixteen, and the fixed 240 above them. Pure."""

from __future__ import annotations

from teleclaude.screen.sgr import Color, Style

Rgb = tuple[int, int, int]

FOREGROUND: Rgb = (212, 212, 212)
BACKGROUND: Rgb = (24, 24, 24)

_SIXTEEN: tuple[Rgb, ...] = (
    (40, 40, 40), (205, 64, 64), (72, 176, 88), (212, 168, 56), (74, 134, 232), (184, 92, 200), (56, 178, 190),
    (204, 204, 204), (118, 118, 118), (244, 100, 100), (110, 214, 120), (242, 208, 96), (122, 172, 255),
    (222, 138, 238), (104, 216, 226), (255, 255, 255),
)  # fmt: skip
_LEVELS = (0, 95, 135, 175, 215, 255)
_CUBE = tuple((red, green, blue) for red in _LEVELS for green in _LEVELS for blue in _LEVELS)
_GRAYS = tuple((level, level, level) for level in range(8, 239, 10))
PALETTE: tuple[Rgb, ...] = _SIXTEEN + _CUBE + _GRAYS
"""All 256, by index."""


def colors(style: Style) -> tuple[Rgb, Rgb, Rgb]:
    """What to paint with: the colours of text, background and underline."""
    fg, bg = _rgb(style.fg, FOREGROUND), _rgb(style.bg, BACKGROUND)
    if style.reverse:
        fg, bg = bg, fg
    if style.dim:
        fg = _between(fg, bg)
    if style.conceal:
        return bg, bg, bg
    return fg, bg, _rgb(style.underline_color, fg)


def _rgb(color: Color, default: Rgb) -> Rgb:
    if color is None:
        return default
    return PALETTE[color] if isinstance(color, int) else color


def _between(one: Rgb, other: Rgb) -> Rgb:
    return (one[0] + other[0]) // 2, (one[1] + other[1]) // 2, (one[2] + other[2]) // 2
