from __future__ import annotations

import io
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from teleclaude.errors import InvalidError
from teleclaude.model import Cursor, Screen
from teleclaude.screen.glyphs import glyph
from teleclaude.screen.palette import BACKGROUND, FOREGROUND, PALETTE, Rgb
from teleclaude.screen.png import CELL_SIZES, MAX_PIXELS, cell_size, render_png

W, H = CELL_SIZES[0]


def a_screen(*rows: str, cols: int = 20, height: int = 0, cursor: tuple[int, int] | None = None) -> Screen:
    x, y = cursor or (0, 0)
    return Screen(
        cols=cols,
        rows=height or max(len(rows), 1),
        cursor=Cursor(x, y, cursor is not None),
        alternate=False,
        title="",
        lines=(),
        ansi_lines=rows,
        offset=0,
        exact=True,
    )


def picture(screen: Screen) -> Image.Image:
    image = Image.open(io.BytesIO(render_png(screen)))
    image.load()
    assert image.format == "PNG"
    assert image.mode == "RGB"
    return image


def cell(image: Image.Image, column: int, row: int = 0, cells: int = 1) -> Image.Image:
    return image.crop((column * W, row * H, (column + cells) * W, (row + 1) * H))


def colors_of(image: Image.Image) -> list[Rgb]:
    """Most frequent first."""
    counted = image.getcolors(W * H * 4)
    assert counted is not None
    found: list[Rgb] = []
    for _, color in sorted(counted, key=lambda pair: -pair[0]):
        assert isinstance(color, tuple)
        found.append((color[0], color[1], color[2]))
    return found


def test_the_grid_gives_the_size() -> None:
    assert picture(a_screen("x", cols=7, height=3)).size == (7 * W, 3 * H)


def test_the_same_screen_gives_the_same_bytes() -> None:
    screen = a_screen("\x1b[1mbold\x1b[0m 漢 ⠋ ─ \x1b[4:3mx", cursor=(1, 0))
    assert render_png(screen) == render_png(screen)


def test_threads_draw_at_the_same_time() -> None:
    screens = [a_screen(f"\x1b[{style}m{text}") for style in (0, 1, 3) for text in ("abcXYZ", "éß漢🚀", "⠋─█✔")]
    expected = [render_png(screen) for screen in screens]
    glyph.cache_clear()
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(render_png, screens * 8)) == expected * 8


def test_text_is_drawn_in_its_own_cell_and_color() -> None:
    image = picture(a_screen("a\x1b[31m█\x1b[0m \x1b[48;2;1;2;3m "))
    assert colors_of(cell(image, 0))[0] == BACKGROUND
    assert cell(image, 0).convert("L").getextrema() != (24, 24)
    assert colors_of(cell(image, 1)) == [PALETTE[1]]
    assert colors_of(cell(image, 2)) == [BACKGROUND]
    assert colors_of(cell(image, 3)) == [(1, 2, 3)]
    assert colors_of(cell(image, 4)) == [BACKGROUND]


def test_colors_carry_over_to_the_next_row() -> None:
    image = picture(a_screen("\x1b[44m  ", "  \x1b[49m "))
    assert colors_of(cell(image, 0, 1)) == [PALETTE[4]]
    assert colors_of(cell(image, 2, 1)) == [BACKGROUND]


def test_reverse_dim_and_conceal() -> None:
    image = picture(a_screen("\x1b[7m \x1b[27;2m█\x1b[22;8m█"))
    assert colors_of(cell(image, 0)) == [FOREGROUND]
    assert colors_of(cell(image, 1)) == [((FOREGROUND[0] + BACKGROUND[0]) // 2,) * 3]
    assert colors_of(cell(image, 2)) == [BACKGROUND]


def test_bold_has_more_ink() -> None:
    image = picture(a_screen("m\x1b[1mm"))
    plain, bold = (sum(cell(image, column).convert("L").tobytes()) for column in (0, 1))
    assert bold > plain


def test_a_wide_character_takes_two_cells() -> None:
    image = picture(a_screen("漢█", "🚀█", "👨‍👩‍👧█", "🇩🇪█"))
    for row in range(4):
        assert cell(image, 0, row, cells=2).getbbox()
        assert colors_of(cell(image, 2, row)) == [FOREGROUND]
        assert colors_of(cell(image, 3, row)) == [BACKGROUND]


def test_marks_stand_on_their_letter() -> None:
    image = picture(a_screen("x\u0302█"))
    bare = picture(a_screen("x█"))
    assert cell(image, 0).tobytes() != cell(bare, 0).tobytes()
    assert cell(image, 1).tobytes() == cell(bare, 1).tobytes()


def test_a_missing_glyph_is_a_box() -> None:
    image = cell(picture(a_screen("\U000f0000")), 0)
    assert image.getpixel((1, H // 2)) == FOREGROUND
    assert image.getpixel((W // 2, H // 2)) == BACKGROUND


@pytest.mark.parametrize("code", ["4", "21", "4:3", "4:4", "4:5", "9", "53"])
def test_lines_through_and_beside_text(code: str) -> None:
    image = picture(a_screen(f"\x1b[{code};58;5;196m  "))
    expected = FOREGROUND if code in {"9", "53"} else PALETTE[196]
    assert set(colors_of(cell(image, 1))) == {BACKGROUND, expected}


@pytest.mark.parametrize("column", [0, 1, 3, 19])
def test_the_cursor_swaps_the_colors_of_its_cell(column: int) -> None:
    image = picture(a_screen("a 漢", cursor=(column, 0)))
    cells = [colors_of(cell(image, each))[0] for each in range(20)]
    marked = {0: [0], 1: [1], 3: [2, 3], 19: [19]}[column]
    assert [each for each in range(20) if cells[each] == FOREGROUND] == marked


def test_a_cursor_below_the_text_or_past_the_last_column_is_shown() -> None:
    assert colors_of(cell(picture(a_screen("a", height=3, cursor=(4, 2))), 4, 2)) == [FOREGROUND]
    assert colors_of(cell(picture(a_screen("a", cursor=(20, 0))), 19)) == [FOREGROUND]


def test_a_hidden_cursor_is_not_shown() -> None:
    assert colors_of(picture(a_screen(" "))) == [BACKGROUND]


def test_rows_and_columns_beyond_the_size_are_cut() -> None:
    image = picture(a_screen("x" * 50, "y", "z", cols=10, height=2))
    assert image.size == (10 * W, 2 * H)


def test_large_screens_get_smaller_cells_and_a_limit() -> None:
    assert cell_size(120, 40) == CELL_SIZES[0]
    assert cell_size(500, 200) == CELL_SIZES[1]
    assert cell_size(1000, 200) == CELL_SIZES[2]
    with pytest.raises(InvalidError, match="1000x1000"):
        render_png(a_screen("x", cols=1000, height=1000))
    for size in CELL_SIZES:
        assert size[0] * size[1] * 3 < MAX_PIXELS


@pytest.mark.parametrize(("cols", "height"), [(0, 5), (5, -1)])
def test_a_screen_without_cells_is_refused(cols: int, height: int) -> None:
    with pytest.raises(InvalidError, match="no cells"):
        render_png(a_screen("x", cols=cols, height=height))


def test_without_pillow_the_error_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['PIL'] = None\n"
        "from teleclaude.errors import UnavailableError\n"
        "from teleclaude.model import Cursor, Screen\n"
        "from teleclaude.screen.png import render_png\n"
        "try: render_png(Screen(1, 1, Cursor(0, 0, True), False, '', (), ('x',), 0, True))\n"
        "except UnavailableError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert "pip install '.[image]'" in done.stdout


@pytest.mark.parametrize("text", ["漢", "语", "か", "カ", "한", "。", "Ａ"])
def test_chinese_japanese_and_korean_are_drawn(text: str) -> None:
    drawn = cell(picture(a_screen(f"{text}█")), 0, cells=2)
    assert drawn.getbbox()
    assert drawn.tobytes() != cell(picture(a_screen("\U00030000█")), 0, cells=2).tobytes()


def test_a_wide_character_without_a_glyph_is_a_box_of_two_cells() -> None:
    code = (
        "import sys; sys.modules['manimgx_fonts_cjk'] = None\n"
        "from teleclaude.screen.glyphs import glyph\n"
        "box = glyph('漢', 2, (10, 20), False, False)\n"
        "assert box.size == (20, 20) and box.getbbox() == (1, 4, 19, 17), box.getbbox()\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


def test_the_bundled_font_is_enough() -> None:
    code = (
        "import sys; sys.modules |= {'fontpkg_jetbrains_mono': None, 'manimgx_fonts': None}\n"
        "from teleclaude.screen.glyphs import glyph\n"
        "def ink(char): return glyph(char, 1, (10, 20), True, True).tobytes()\n"
        "for char in 'aé✔': assert ink(char) != ink('\U000f0000')\n"
    )
    subprocess.run([sys.executable, "-c", code], timeout=30, check=True)


def test_importing_it_does_not_import_pillow() -> None:
    code = "import sys, teleclaude.screen.png, teleclaude.screen.sgr; print('PIL' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=4), st.integers(0, 30), st.integers(0, 5))
def test_any_text_can_be_drawn(rows: list[str], x: int, y: int) -> None:
    assert picture(a_screen(*rows, height=4, cursor=(x, y))).size == (20 * W, 4 * H)
