"""The ink of one character cell: from rules, from a chain of fonts, or a box that says a glyph is missing.

The first font is a package of the ``image`` extra, the second comes with this package, so that a picture is possible
without the first; the others are used where installed (Chinese, Japanese and Korean have 33 MB of their own, which the
``cjk`` extra brings). Fonts of the system are not looked at: the same screen gives the same picture on every
computer with the same packages.
"""

from __future__ import annotations

import importlib.util
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from teleclaude.screen.cmap import covered
from teleclaude.screen.shapes import shape

_INK = 255
_REGULAR_WEIGHT, _BOLD_WEIGHT = 400, 700
_FIRST_INDICATOR, _LAST_INDICATOR = "\U0001f1e6", "\U0001f1ff"


@dataclass(frozen=True, slots=True)
class _Source:
    package: str
    file: str
    italic: str | None = None


_TEXT_FONTS = (
    _Source("fontpkg_jetbrains_mono", "files/JetBrainsMono[wght].ttf", "files/JetBrainsMono-Italic[wght].ttf"),
    _Source("teleclaude.screen", "data/DejaVuSansMono.ttf"),
)
_EMOJI_FONT = _Source("manimgx_fonts", "NotoEmoji[wght].ttf")
_OTHER_FONTS = (
    _Source("manimgx_fonts", "NotoSansSymbols[wght].ttf"),
    *(
        _Source("manimgx_fonts", f"NotoSans{script}[wght].ttf")
        for script in ("", "Arabic", "Hebrew", "Devanagari", "Bengali", "Tamil", "Telugu", "Thai", "Lao", "Georgian")
    ),
    _Source("manimgx_fonts_cjk", "NotoSansCJK-VF.otf.ttc"),
)


@lru_cache(maxsize=4096)
def glyph(cluster: str, cells: int, cell: tuple[int, int], bold: bool, italic: bool) -> Image.Image:
    """The ink of a grapheme ``cluster`` over ``cells`` cells of ``cell`` (width, height) pixels, as a mode-L mask.

    The mask has exactly that size; what a font draws outside is cut off. It is shared: do not change it.
    """
    size = (cell[0] * cells, cell[1])
    if _is_flag(cluster):
        return _letters(cluster, size, bold=bold)
    text = _drawable(cluster)
    if not text:
        return Image.new("L", size)
    drawn = shape(text[0], *size)
    if drawn is not None:
        return drawn
    source = _source_for(text[0], wide=cells > 1)
    if source is None:
        return _missing(size)
    kept = text[0] + "".join(mark for mark in text[1:] if ord(mark) in _coverage(source))
    return _from_font(source, kept, size, bold=bold, italic=italic)


def baseline(height: int) -> int:
    """Where letters stand in a cell of this height, in pixels from its top."""
    return round(height * 0.76)


def _drawable(cluster: str) -> str:
    """What can be drawn of a cluster without a text shaper: its first character and the marks on it."""
    text = unicodedata.normalize("NFC", cluster)
    marks = [char for char in text[1:] if unicodedata.category(char) == "Mn" and not _is_selector(char)]
    return (text[0] + "".join(marks)).strip()


def _is_flag(cluster: str) -> bool:
    return all(_FIRST_INDICATOR <= char <= _LAST_INDICATOR for char in cluster)


def _letters(flag: str, size: tuple[int, int], *, bold: bool) -> Image.Image:
    """A flag as the letters of its country."""
    image = Image.new("L", size)
    width = size[0] // len(flag)
    for index, indicator in enumerate(flag):
        letter = chr(ord(indicator) - ord(_FIRST_INDICATOR) + ord("A"))
        image.paste(glyph(letter, 1, (width, size[1]), bold, italic=False), (index * width, 0))
    return image


def _is_selector(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f"


def _source_for(char: str, *, wide: bool) -> _Source | None:
    chain = (_EMOJI_FONT, *_TEXT_FONTS, *_OTHER_FONTS) if wide else (*_TEXT_FONTS, _EMOJI_FONT, *_OTHER_FONTS)
    return next((source for source in chain if ord(char) in _coverage(source)), None)


def _from_font(source: _Source, text: str, size: tuple[int, int], *, bold: bool, italic: bool) -> Image.Image:
    width, height = size
    points = round(height * 0.8)
    font = _font(source, points, bold, italic)
    while _ink_width(font, text[0]) > width + 1 and points > 4:
        points -= 1
        font = _font(source, points, bold, italic)
    image = Image.new("L", size)
    draw = ImageDraw.Draw(image)
    for char in text:
        left, _, right, _ = font.getbbox(char, anchor="ls")
        # A text font places letters within the cell by itself; other glyphs and marks are centred by their ink.
        placed = source in _TEXT_FONTS and char == text[0]
        x = (width - font.getlength(char)) / 2 if placed else (width - (right + left)) / 2
        draw.text((x, baseline(height)), char, fill=_INK, font=font, anchor="ls")
    return image


def _ink_width(font: ImageFont.FreeTypeFont, char: str) -> float:
    left, _, right, _ = font.getbbox(char, anchor="ls")
    return right - left


def _missing(size: tuple[int, int]) -> Image.Image:
    image = Image.new("L", size)
    width, height = size
    ImageDraw.Draw(image).rectangle((1, height // 5, width - 2, height * 4 // 5), outline=_INK)
    return image


@cache
def _path(source: _Source, italic: bool) -> Path | None:
    spec = importlib.util.find_spec(source.package)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / ((source.italic if italic else None) or source.file)
    return path if path.is_file() else None


@cache
def _coverage(source: _Source) -> frozenset[int]:
    path = _path(source, italic=False)
    return covered(path.read_bytes()) if path is not None else frozenset()


@lru_cache(maxsize=64)
def _font(source: _Source, points: int, bold: bool, italic: bool) -> ImageFont.FreeTypeFont:
    path = _path(source, italic) or _path(source, italic=False)
    if path is None:
        raise FileNotFoundError(source.file)
    # Basic layout: no ligatures across cells, and no dependence on a shaping library.
    font = ImageFont.truetype(path, points, layout_engine=ImageFont.Layout.BASIC)
    if "[wght]" in path.name or "-VF" in path.name:
        font.set_variation_by_axes([_BOLD_WEIGHT if bold else _REGULAR_WEIGHT])
    return font
