"""Texts and their markup, read as Telegram reads them."""

from __future__ import annotations

import html

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.testing.telegram.html import parse_html
from teleclaude.testing.telegram.markdown import parse_markdown, parse_markdown_v2
from teleclaude.testing.telegram.refusal import ApiError
from teleclaude.testing.telegram.text import blank, check_entities, cleaned, units

ANY = st.text(max_size=60)
MARKUP = st.text(alphabet="ab<>/&;=\"' _*[]()~`|>\\!\n.😀é", max_size=40)


@given(ANY)
def test_units_are_those_of_utf_16(text: str) -> None:
    assert units(text) == sum(2 if ord(character) > 0xFFFF else 1 for character in text)


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\u200e\u2060\ufeff", "\u00ad"])
def test_nothing_to_be_seen(text: str) -> None:
    assert blank(text)


def test_entities_move_with_the_text() -> None:
    text, entities = cleaned(
        "  😀ab \n", [{"type": "bold", "offset": 0, "length": 5}, {"type": "code", "offset": 6, "length": 2}]
    )
    assert (text, entities) == ("😀ab", [{"type": "bold", "offset": 0, "length": 3}])


@given(ANY)
def test_escaped_html_is_plain_text(text: str) -> None:
    assert parse_html(html.escape(text)) == (text.replace("'", "'"), [])


@given(ANY)
def test_escaped_markdown_is_plain_text(text: str) -> None:
    escaped = "".join(f"\\{character}" if character in r"_*[]()~`>#+-=|{}.!\\" else character for character in text)
    assert parse_markdown_v2(escaped) == (text, [])


@given(MARKUP)
def test_markup_is_read_or_refused_and_fits(text: str) -> None:
    for parser in (parse_html, parse_markdown_v2, parse_markdown):
        try:
            shown, entities = parser(text)
        except ApiError:
            continue
        check_entities(shown, entities)


@given(ANY, st.integers(-1, 70), st.integers(-1, 70))
def test_entities_fit_or_are_refused(text: str, offset: int, length: int) -> None:
    data = text.encode("utf-16-le")
    try:
        check_entities(text, [{"type": "bold", "offset": offset, "length": length}])
    except ApiError:
        return
    data[2 * offset : 2 * (offset + length)].decode("utf-16-le")
    assert 0 <= offset < offset + length <= units(text)
