from __future__ import annotations

import unicodedata
from itertools import product

import pytest
from PIL import Image

from teleclaude.screen.png import CELL_SIZES
from teleclaude.screen.shapes import arms, shape

W, H = 10, 20


def ink(char: str, width: int = W, height: int = H) -> Image.Image:
    drawn = shape(char, width, height)
    assert drawn is not None
    return drawn


def edges(image: Image.Image) -> set[str]:
    """The edges of its cell that a drawing touches."""
    width, height = image.size
    strips = {
        "left": (0, 0, 1, height),
        "up": (0, 0, width, 1),
        "right": (width - 1, 0, width, height),
        "down": (0, height - 1, width, height),
    }
    return {name for name, strip in strips.items() if image.crop(strip).getbbox()}


@pytest.mark.parametrize(
    ("char", "expected"),
    [
        ("─", {"left": 1, "right": 1}),
        ("┍", {"down": 1, "right": 2}),
        ("╼", {"left": 1, "right": 2}),
        ("╒", {"down": 1, "right": 3}),
        ("╊", {"left": 1, "right": 2, "up": 2, "down": 2}),
        ("╬", {"left": 3, "right": 3, "up": 3, "down": 3}),
        ("╯", {"up": 1, "left": 1}),
    ],
)
def test_arms_are_read_from_the_name(char: str, expected: dict[str, int]) -> None:
    assert arms(unicodedata.name(char)) == expected


@pytest.mark.parametrize("cell", CELL_SIZES)
def test_every_line_reaches_exactly_the_edges_it_leads_to(cell: tuple[int, int]) -> None:
    for char in map(chr, range(0x2500, 0x2580)):
        name = unicodedata.name(char)
        if "DIAGONAL" in name or "DASH" in name:
            continue
        assert edges(ink(char, *cell)) == set(arms(name)), name


@pytest.mark.parametrize("cell", CELL_SIZES)
def test_dashes_and_diagonals_are_drawn(cell: tuple[int, int]) -> None:
    solid = {"HORIZONTAL": ink("━", *cell), "VERTICAL": ink("┃", *cell)}
    for char in "┄┅┆┇┈┉┊┋╌╍╎╏":
        dashed = ink(char, *cell)
        whole = solid[unicodedata.name(char).split()[-1]]
        assert 0 < sum(dashed.histogram()[1:]) < sum(whole.histogram()[1:])
    assert all(ink(char, *cell).getbbox() for char in "╱╲╳")


def test_a_line_meets_the_next_cell_where_that_one_goes_on() -> None:
    for left, right in product("─┌╭├┼╰", "─┐╮┤┼╯"):
        first, second = ink(left), ink(right)
        ends = [y for y in range(H) if first.getpixel((W - 1, y))]
        assert ends == [y for y in range(H) if second.getpixel((0, y))] == [H // 2]


def test_double_lines_leave_their_inside_free() -> None:
    cross = ink("╬")
    assert cross.getpixel((W // 2, H // 2)) == 0
    assert {cross.getpixel((W // 2 + dx, H // 2 + dy)) for dx in (-2, 2) for dy in (-2, 2)} == {255}


@pytest.mark.parametrize("char", [chr(code) for code in range(0x2580, 0x25A0)])
def test_blocks_cover_what_their_name_says(char: str) -> None:
    parts = {"ONE EIGHTH": 1, "ONE QUARTER": 2, "THREE EIGHTHS": 3, "HALF": 4, "FIVE EIGHTHS": 5}
    parts |= {"THREE QUARTERS": 6, "SEVEN EIGHTHS": 7, "FULL": 8, "LIGHT": 2, "MEDIUM": 4, "DARK": 6}
    name = unicodedata.name(char)
    eighths = name.count("UPPER") * 2 + name.count("LOWER") * 2 if "QUADRANT" in name else 0
    eighths = eighths or next(value for words, value in parts.items() if words in name)
    image = ink(char)
    total = sum(value * count for value, count in enumerate(image.histogram())) / 255
    assert total == pytest.approx(W * H * eighths / 8, abs=H)


def test_braille_dots_stand_where_their_bits_say() -> None:
    assert ink("⠀").getbbox() is None
    quarters = [(x, y) for y in range(4) for x in range(2)]
    places = {0: (0, 0), 1: (0, 1), 2: (0, 2), 3: (1, 0), 4: (1, 1), 5: (1, 2), 6: (0, 3), 7: (1, 3)}
    for bit, place in places.items():
        image = ink(chr(0x2800 + (1 << bit)))
        inked = [
            (x, y) for x, y in quarters if image.crop((x * W // 2, y * 5, (x + 1) * W // 2, (y + 1) * 5)).getbbox()
        ]
        assert inked == [place]


def test_glyphs_of_terminal_programs_are_there() -> None:
    for char in "⏺⏸⏹⏴⏵⎿\ue0b0\ue0b1\ue0b2\ue0b3⎺⎻⎼⎽":
        assert ink(char).getbbox()
    assert shape("a", W, H) is None
