"""Which characters a TrueType or OpenType font has glyphs for. Pure.

Table layouts: OpenType specification, ``cmap``, formats 4 and 12.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

_UNICODE_TABLES = ((3, 10), (0, 6), (0, 4), (3, 1), (0, 3))


def covered(font: bytes) -> frozenset[int]:
    """The code points ``font`` maps to a glyph; empty when it has no Unicode map of a known format.

    Raises ``ValueError`` for bytes that are no font.
    """
    try:
        return frozenset(_mapped(_cmap(font)))
    except struct.error as error:
        raise ValueError("not a readable font file") from error


def _cmap(font: bytes) -> bytes:
    # A collection holds several fonts; its first one is meant, as everywhere where no other is asked for.
    start: int = struct.unpack_from(">I", font, 12)[0] if font[:4] == b"ttcf" else 0
    for index in range(_u16(font, start + 4)):
        tag, _, offset, length = struct.unpack_from(">4sIII", font, start + 12 + 16 * index)
        if tag == b"cmap":
            return font[offset : offset + length]
    raise ValueError("not a font file: it has no cmap table")


def _mapped(table: bytes) -> Iterator[int]:
    offsets = {
        (platform, encoding): offset
        for platform, encoding, offset in (struct.unpack_from(">HHI", table, 4 + 8 * n) for n in range(_u16(table, 2)))
    }
    for key in _UNICODE_TABLES:
        if key in offsets:
            chosen = table[offsets[key] :]
            formats = {4: _format_4, 12: _format_12}
            if (reader := formats.get(_u16(chosen, 0))) is not None:
                yield from reader(chosen)
                return


def _format_4(table: bytes) -> Iterator[int]:
    count = _u16(table, 6) // 2
    ends, starts, deltas, offsets = 14, 16 + 2 * count, 16 + 4 * count, 16 + 6 * count
    for segment in range(count):
        at = 2 * segment
        first, last = _u16(table, starts + at), _u16(table, ends + at)
        delta, offset = _u16(table, deltas + at), _u16(table, offsets + at)
        for code in range(first, min(last, 0xFFFE) + 1):
            glyph = _u16(table, offsets + at + offset + 2 * (code - first)) if offset else (code + delta) & 0xFFFF
            if glyph:
                yield code


def _format_12(table: bytes) -> Iterator[int]:
    (groups,) = struct.unpack_from(">I", table, 12)
    for group in range(groups):
        first, last, glyph = struct.unpack_from(">III", table, 16 + 12 * group)
        yield from range(first if glyph else first + 1, min(last, 0x10FFFF) + 1)


def _u16(data: bytes, offset: int) -> int:
    value: int
    (value,) = struct.unpack_from(">H", data, offset)
    return value
