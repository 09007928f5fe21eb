"""Finding lines in a page of a stream. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from teleclaude.streams.text import decode_page

MAX_LINE_BYTES = 64 * 1024
"""A longer line is searched in pieces of this size."""


@dataclass(frozen=True, slots=True)
class FoundLine:
    """Bytes ``[start, end)`` of the stream, the line end included, and the text they are without it."""

    start: int
    end: int
    text: str


def find_lines(
    data: bytes, start: int, found: Callable[[str], bool], *, limit: int, last: bool
) -> tuple[list[FoundLine], int]:
    """Up to ``limit`` lines of ``data``, which begins at offset ``start`` and a line, and the offset to go on from.

    A line without its end waits for the rest of it, unless ``last`` says that there is none yet.
    """
    lines: list[FoundLine] = []
    at = 0
    while at < len(data) and len(lines) < limit:
        stop = data.find(b"\n", at, at + MAX_LINE_BYTES) + 1
        if not stop:
            if len(data) - at < MAX_LINE_BYTES and not last:
                break
            stop = min(len(data), at + MAX_LINE_BYTES)
        text = decode_page(data[at:stop])[0].strip("\r\n")
        if found(text):
            lines.append(FoundLine(start + at, start + stop, text))
        at = stop
    return lines, start + at
