from __future__ import annotations

import struct
from importlib.resources import files

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.screen.cmap import covered


def font_with(table: bytes, platform: int = 3, encoding: int = 10) -> bytes:
    cmap = struct.pack(">HHHHI", 0, 1, platform, encoding, 12) + table
    return struct.pack(">IHHHH4sIII", 0x10000, 1, 0, 0, 0, b"cmap", 0, 28, len(cmap)) + cmap


def format_12(*groups: tuple[int, int, int]) -> bytes:
    body = b"".join(struct.pack(">III", *group) for group in groups)
    return struct.pack(">HHIII", 12, 0, 16 + len(body), 0, len(groups)) + body


def test_groups_of_format_12() -> None:
    font = font_with(format_12((0x41, 0x43, 5), (0x1F600, 0x1F600, 9), (0x61, 0x62, 0)))
    # A group that begins with glyph 0, the missing glyph, covers its first character only in name.
    assert covered(font) == {0x41, 0x42, 0x43, 0x1F600, 0x62}


def test_segments_of_format_4() -> None:
    ends, starts, deltas, offsets = (0x42, 0x62, 0xFFFF), (0x41, 0x61, 0xFFFF), (0, 0, 1), (0, 4, 0)
    glyphs = (7, 0)
    body = struct.pack(">3HH3H3H3H2H", *ends, 0, *starts, *deltas, *offsets, *glyphs)
    table = struct.pack(">HHHHHHH", 4, 14 + len(body), 0, 6, 0, 0, 0) + body
    assert covered(font_with(table, encoding=1)) == {0x41, 0x42, 0x61}


def test_the_first_font_of_a_collection() -> None:
    single = font_with(format_12((0x41, 0x41, 1)))
    header = struct.pack(">4sIII", b"ttcf", 0x10000, 1, 16)
    moved = single[:20] + struct.pack(">II", 28 + 16, len(single) - 28) + single[28:]
    assert covered(header + moved) == {0x41}


def test_a_font_without_a_unicode_map_covers_nothing() -> None:
    assert covered(font_with(format_12((0x41, 0x41, 1)), platform=1, encoding=0)) == frozenset()


def test_the_bundled_font() -> None:
    font = files("teleclaude.screen").joinpath("data/DejaVuSansMono.ttf").read_bytes()
    codes = covered(font)
    assert {ord("a"), ord("é"), ord("✔"), ord("─"), ord("ж")} <= codes
    assert not {ord("漢"), 0xE0B0} & codes


@pytest.mark.parametrize("data", [b"", b"not a font", bytes(64)])
def test_what_is_no_font_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="font"):
        covered(data)


@given(st.binary(max_size=80))
def test_any_table_is_read_or_refused(table: bytes) -> None:
    for format_number in (b"\0\x04", b"\0\x0c"):
        try:
            covered(font_with(format_number + table))
        except ValueError:
            continue
