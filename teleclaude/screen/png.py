"""A screen as a PNG picture."""

from __future__ import annotations

import io

from teleclaude.errors import InvalidError, UnavailableError
from teleclaude.model import Screen

OPERATION = "session.screen"

MAX_PIXELS = 16_000_000
"""A picture takes three bytes a pixel while it is painted."""

CELL_SIZES = ((10, 20), (8, 16), (6, 12))
"""Width and height of a cell in pixels; the first one with which the screen stays below ``MAX_PIXELS`` is used."""


def cell_size(cols: int, rows: int) -> tuple[int, int]:
    """The cell size for a screen of ``cols`` by ``rows``; raises ``InvalidError`` when there is none."""
    for width, height in CELL_SIZES:
        if cols * rows * width * height <= MAX_PIXELS:
            return width, height
    raise InvalidError(
        f"a screen of {cols}x{rows} is too large for a picture; ask for another format or make the terminal smaller",
        operation=OPERATION,
    )


def render_png(screen: Screen) -> bytes:
    """``screen`` as a PNG file. The same screen gives the same bytes with the same packages installed.

    Takes tenths of a second of processor time: call it in a thread. Raises ``UnavailableError`` without Pillow and
    ``InvalidError`` for a screen without cells or with too many.
    """
    if screen.cols < 1 or screen.rows < 1:
        raise InvalidError(f"a screen of {screen.cols}x{screen.rows} has no cells to draw", operation=OPERATION)
    cell = cell_size(screen.cols, screen.rows)
    try:
        from teleclaude.screen.painter import paint  # noqa: PLC0415 # Pillow is optional, and slow to import
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "PIL":
            raise
        raise UnavailableError(
            "pictures need Pillow: run pip install '.[image]' where teleclaude came from, or ask for another format",
            operation=OPERATION,
        ) from error
    file = io.BytesIO()
    paint(screen, cell).save(file, "PNG", compress_level=6)
    return file.getvalue()
