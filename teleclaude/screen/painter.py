"""A screen painted cell by cell. Needs Pillow; ``png`` is the door that says so when it is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw
from wcwidth import iter_graphemes, wcswidth

from teleclaude.model import Screen
from teleclaude.screen.glyphs import baseline, glyph
from teleclaude.screen.palette import BACKGROUND, Rgb, colors
from teleclaude.screen.sgr import PLAIN, Run, Style, Underline, parse_rows


@dataclass(frozen=True, slots=True)
class _Cell:
    """One character where it stands; ``cells`` is 2 for a wide one."""

    column: int
    cells: int
    text: str
    style: Style


def paint(screen: Screen, cell: tuple[int, int]) -> Image.Image:
    """The picture of ``screen`` with cells of ``cell`` (width, height) pixels."""
    width, height = cell
    image = Image.new("RGB", (screen.cols * width, screen.rows * height), BACKGROUND)
    draw = ImageDraw.Draw(image)
    rows = parse_rows((screen.ansi_lines or screen.lines)[: screen.rows])
    rows += [()] * (screen.rows - len(rows))
    for y, runs in enumerate(rows):
        cells = list(_cells(runs, screen.cols))
        if screen.cursor.visible and screen.cursor.y == y:
            cells = _with_cursor(cells, min(screen.cursor.x, screen.cols - 1))
        for one in cells:
            _paint_cell(image, draw, one, y * height, cell)
    return image


def _cells(runs: Sequence[Run], columns: int) -> Iterator[_Cell]:
    column = 0
    for run in runs:
        for cluster in iter_graphemes(run.text):
            cells = min(wcswidth(cluster), 2)
            if cells <= 0:
                continue
            if column + cells > columns:
                return
            yield _Cell(column, cells, cluster, run.style)
            column += cells


def _with_cursor(cells: list[_Cell], column: int) -> list[_Cell]:
    """The row with a block cursor: the colours of its cell are swapped."""
    for index, cell in enumerate(cells):
        if cell.column <= column < cell.column + cell.cells:
            style = replace(cell.style, reverse=not cell.style.reverse, dim=False, conceal=False)
            return [*cells[:index], replace(cell, style=style), *cells[index + 1 :]]
    return [*cells, _Cell(column, 1, " ", replace(PLAIN, reverse=True))]


def _paint_cell(image: Image.Image, draw: ImageDraw.ImageDraw, one: _Cell, top: int, cell: tuple[int, int]) -> None:
    width, height = cell
    left, right = one.column * width, (one.column + one.cells) * width
    fg, bg, line = colors(one.style)
    if bg != BACKGROUND:
        image.paste(bg, (left, top, right, top + height))
    if one.text != " ":
        mask = glyph(one.text, one.cells, cell, one.style.bold, one.style.italic)
        image.paste(fg, (left, top), mask)
    if one.style.underline:
        _underline(draw, one.style.underline, range(left, right), top + baseline(height) + 2, line)
    if one.style.strike:
        draw.line((left, top + height // 2, right - 1, top + height // 2), fill=fg)
    if one.style.overline:
        draw.line((left, top, right - 1, top), fill=fg)


def _underline(draw: ImageDraw.ImageDraw, kind: Underline, columns: range, y: int, color: Rgb) -> None:
    if kind is Underline.CURLY:
        draw.point([(x, y + (0, 1, 2, 1)[x % 4]) for x in columns], fill=color)
    elif kind is Underline.DOTTED:
        draw.point([(x, y) for x in columns if x % 2], fill=color)
    elif kind is Underline.DASHED:
        draw.point([(x, y) for x in columns if x % 5 < 3], fill=color)
    else:
        draw.line((columns[0], y, columns[-1], y), fill=color)
        if kind is Underline.DOUBLE:
            draw.line((columns[0], y + 2, columns[-1], y + 2), fill=color)
