"""Characters drawn by rule instead of from a font, so that lines and blocks meet at the edges of their cells.

Box drawing, block elements, braille, and some glyphs of terminal programs that monospaced fonts lack.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable

from PIL import Image, ImageDraw

_FINE = 4
"""How much larger than the cell curves and slopes are drawn, to be smoothed."""
_INK = 255
_LIGHT, _HEAVY, _DOUBLE = 1, 2, 3
_WEIGHTS = {"LIGHT": _LIGHT, "SINGLE": _LIGHT, "HEAVY": _HEAVY, "DOUBLE": _DOUBLE}
_DIRECTIONS = {
    "LEFT": ("left",),
    "RIGHT": ("right",),
    "UP": ("up",),
    "DOWN": ("down",),
    "HORIZONTAL": ("left", "right"),
    "VERTICAL": ("up", "down"),
}
_DASHES = {"DOUBLE": 2, "TRIPLE": 3, "QUADRUPLE": 4}
_EDGES: dict[int, tuple[float, float, float, float]] = {
    0x2590: (0.5, 0, 1, 1),
    0x2594: (0, 0, 1, 1 / 8),
    0x2595: (7 / 8, 0, 1, 1),
}
_QUADRANTS = (0b0100, 0b1000, 0b0001, 0b1101, 0b1001, 0b0111, 0b1011, 0b0010, 0b0110, 0b1110)
"""U+2596 to U+259F; bits from the lowest: upper left, upper right, lower left, lower right."""


def shape(char: str, width: int, height: int) -> Image.Image | None:
    """The ink of ``char`` in a cell of ``width`` x ``height`` pixels (mode L), or None where a font has to draw it."""
    code = ord(char)
    if 0x2500 <= code <= 0x257F:
        return _box(char, width, height)
    if 0x2580 <= code <= 0x259F:
        return _block(code, width, height)
    if 0x2800 <= code <= 0x28FF:
        return _braille(code - 0x2800, width, height)
    if 0x23BA <= code <= 0x23BD:
        return _scan_line(code - 0x23BA, width, height)
    return _smooth(_GLYPHS[char], width, height) if char in _GLYPHS else None


def arms(name: str) -> dict[str, int]:
    """The weight of each line that leaves the cell's centre, read from the character's Unicode name.

    Names put the weight first (LIGHT DOWN AND RIGHT, LIGHT LEFT AND HEAVY RIGHT) or after each direction
    (DOWN LIGHT AND RIGHT HEAVY).
    """
    words = [word for word in name.removeprefix("BOX DRAWINGS ").split() if word in _WEIGHTS or word in _DIRECTIONS]
    if words[0] not in _WEIGHTS:
        words.reverse()
    found: dict[str, int] = {}
    weight = _LIGHT
    for word in words:
        weight = _WEIGHTS.get(word, weight)
        for direction in _DIRECTIONS.get(word, ()):
            found[direction] = weight
    return found


def _box(char: str, width: int, height: int) -> Image.Image:
    name = unicodedata.name(char)
    if "DIAGONAL" in name:
        return _smooth(_diagonals(char), width, height)
    if "ARC" in name:
        return _smooth(_arc(arms(name)), width, height)
    if " DASH " in name:
        return _dashes(name, width, height)
    return _lines(arms(name), width, height)


def _lines(weights: dict[str, int], width: int, height: int) -> Image.Image:
    image = Image.new("L", (width, height))
    draw = ImageDraw.Draw(image)
    x, y = width // 2, height // 2
    gap = max(1, round(width * 0.15))
    for direction, weight in weights.items():
        horizontal = direction in {"left", "right"}
        sides = ("up", "down") if horizontal else ("left", "right")
        beside = [weights.get(side, 0) for side in sides]
        for offset, stop in _strokes(weight, beside, gap):
            half = 1 if weight == _HEAVY else 0
            sign = 1 if direction in {"right", "down"} else -1
            reach = sign * max(width, height)
            if horizontal:
                ends = sorted((x + sign * stop, x + reach))
                draw.rectangle((ends[0], y + offset - half, ends[1], y + offset + half), fill=_INK)
            else:
                ends = sorted((y + sign * stop, y + reach))
                draw.rectangle((x + offset - half, ends[0], x + offset + half, ends[1]), fill=_INK)
    return image


def _strokes(weight: int, beside: list[int], gap: int) -> list[tuple[int, int]]:
    """The strokes of an arm: how far each is beside the axis, and how far from the centre it begins.

    ``beside`` holds the weights of the two arms across. A double line turns around the inside of a corner and runs
    along the outside; a single one ends at the first double line it meets, or reaches round a corner to the far one.
    """
    if weight != _DOUBLE:
        doubles = beside.count(_DOUBLE)
        half = 1 if _HEAVY in beside else 0
        return [(0, {0: -half, 1: -gap, 2: gap}[doubles])]
    strokes = []
    for offset, near, far in ((-gap, beside[0], beside[1]), (gap, beside[1], beside[0])):
        stop = gap if near == _DOUBLE else -gap if far == _DOUBLE and not near else 0
        strokes.append((offset, stop))
    return strokes


def _dashes(name: str, width: int, height: int) -> Image.Image:
    words = name.split()
    count = _DASHES[words[words.index("DASH") - 1]]
    weights = dict.fromkeys(_DIRECTIONS[words[-1]], _WEIGHTS[words[2]])
    image = _lines(weights, width, height)
    draw = ImageDraw.Draw(image)
    length = width if words[-1] == "HORIZONTAL" else height
    for number in range(count):
        end = (number + 1) * length // count
        start = end - max(1, length // count // 3)
        gap = (start, 0, end - 1, height) if length == width else (0, start, width, end - 1)
        draw.rectangle(gap, fill=0)
    return image


def _block(code: int, width: int, height: int) -> Image.Image:
    if 0x2591 <= code <= 0x2593:
        return Image.new("L", (width, height), (code - 0x2590) * 64)
    image = Image.new("L", (width, height))
    for left, top, right, bottom in _block_parts(code):
        image.paste(_INK, (round(left * width), round(top * height), round(right * width), round(bottom * height)))
    return image


def _block_parts(code: int) -> list[tuple[float, float, float, float]]:
    """Filled parts as left, top, right, bottom in fractions of the cell."""
    if code <= 0x2580:
        return [(0, 0, 1, 0.5)]
    if code <= 0x2588:
        return [(0, 1 - (code - 0x2580) / 8, 1, 1)]
    if code <= 0x258F:
        return [(0, 0, (0x2590 - code) / 8, 1)]
    if code <= 0x2595:
        return [_EDGES[code]]
    bits = _QUADRANTS[code - 0x2596]
    corners = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (0.5, 0.5))
    return [(x, y, x + 0.5, y + 0.5) for bit, (x, y) in enumerate(corners) if bits >> bit & 1]


def _scan_line(number: int, width: int, height: int) -> Image.Image:
    image = Image.new("L", (width, height))
    y = (0, height // 4, height * 3 // 4, height - 1)[number]
    image.paste(_INK, (0, y, width, y + 1))
    return image


_Plan = Callable[[ImageDraw.ImageDraw, int, int], None]
"""Draws into a canvas of the given width and height."""


def _smooth(plan: _Plan, width: int, height: int) -> Image.Image:
    image = Image.new("L", (width * _FINE, height * _FINE))
    plan(ImageDraw.Draw(image), width * _FINE, height * _FINE)
    return image.reduce(_FINE)


def _braille(bits: int, width: int, height: int) -> Image.Image:
    rows = (0, 1, 2, 0, 1, 2, 3, 3)
    columns = (0, 0, 0, 1, 1, 1, 0, 1)

    def plan(draw: ImageDraw.ImageDraw, fine_width: int, fine_height: int) -> None:
        radius = fine_width * 0.14
        for bit in range(8):
            if bits >> bit & 1:
                x = fine_width * (1 + 2 * columns[bit]) / 4
                y = fine_height * (1 + 2 * rows[bit]) / 8
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_INK)

    return _smooth(plan, width, height)


def _diagonals(char: str) -> _Plan:
    def plan(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        if char in "╱╳":
            draw.line((0, height, width, 0), fill=_INK, width=_FINE)
        if char in "╲╳":
            draw.line((0, 0, width, height), fill=_INK, width=_FINE)

    return plan


def _arc(weights: dict[str, int]) -> _Plan:
    right, down = "right" in weights, "down" in weights

    def plan(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        # The middle of the pixels that straight lines of neighbouring cells fill.
        x = width // 2 // _FINE * _FINE + _FINE / 2
        y = height // 2 // _FINE * _FINE + _FINE / 2
        radius = min(width, height) // 2 - _FINE
        half = _FINE / 2
        turn_x = x + radius if right else x - radius
        turn_y = y + radius if down else y - radius
        start = {(True, True): 180, (False, True): 270, (False, False): 0, (True, False): 90}[right, down]
        outer = radius + half
        circle = (turn_x - outer, turn_y - outer, turn_x + outer - 1, turn_y + outer - 1)
        draw.arc(circle, start, start + 90, fill=_INK, width=_FINE)
        across = sorted((turn_x, width if right else 0))
        along = sorted((turn_y, height if down else 0))
        draw.rectangle((across[0], y - half, across[1], y + half - 1), fill=_INK)
        draw.rectangle((x - half, along[0], x + half - 1, along[1]), fill=_INK)

    return plan


def _polygon(*points: tuple[float, float]) -> _Plan:
    def plan(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        draw.polygon([(x * width, y * height) for x, y in points], fill=_INK)

    return plan


def _stroke(*points: tuple[float, float]) -> _Plan:
    def plan(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        draw.line([(x * width, y * height) for x, y in points], fill=_INK, width=_FINE, joint="curve")

    return plan


def _disc(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    radius = width * 0.42
    x, y = width / 2, height * 0.52
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=_INK)


def _hook(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    x, y = width // 2 // _FINE * _FINE, round(height * 0.72) // _FINE * _FINE
    draw.rectangle((x, 0, x + _FINE - 1, y + _FINE - 1), fill=_INK)
    draw.rectangle((x, y, width, y + _FINE - 1), fill=_INK)


def _pause(draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
    for x in (0.18, 0.6):
        draw.rectangle((x * width, 0.32 * height, (x + 0.22) * width, 0.72 * height), fill=_INK)


_GLYPHS: dict[str, _Plan] = {
    "\u23fa": _disc,
    "\u23f8": _pause,
    "\u23f9": _polygon((0.1, 0.32), (0.9, 0.32), (0.9, 0.72), (0.1, 0.72)),
    "\u23f4": _polygon((0.9, 0.3), (0.9, 0.74), (0.1, 0.52)),
    "\u23f5": _polygon((0.1, 0.3), (0.1, 0.74), (0.9, 0.52)),
    "\u23bf": _hook,
    "\ue0b0": _polygon((0, 0), (1, 0.5), (0, 1)),
    "\ue0b1": _stroke((0, 0), (1, 0.5), (0, 1)),
    "\ue0b2": _polygon((1, 0), (0, 0.5), (1, 1)),
    "\ue0b3": _stroke((1, 0), (0, 0.5), (1, 1)),
}
