from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.screen.escapes import filter_for_terminal, split_escapes

HOSTILE = st.text(
    st.one_of(st.sampled_from("\x1b\x1b\x1b[]P_^X\\\x07\x9b\x9c\x9d\x90\x0e\x0f;:0123m?<\r\n\t\x7f"), st.characters()),
    max_size=60,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain ü 漢\n\tx", "plain ü 漢\n\tx"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07a\x1b]2;title\x1b\\b\x9d0;t\x9cc", "abc"),
        ("\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bP1$r0m\x1b\\a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd"),
        ("\x1b(0a\x1b)Bb\x1b7c\x1b=d\x1b#8e", "abcde"),
        ("\x1b]52;c;never closed\nnext line", "\nnext line"),
        ("\x1b]0;aborted\x1b[1mshown", "shown"),
        ("cut\x1b", "cut"),
        ("cut\x1b[38;5", "cut"),
        ("\x9b31mC1\x85\x8d", "C1"),
        ("a\rb\x08c\x00d\x07e\x7f", "abcde"),
        ("\u202egnp.exe\u2066\u2028", "gnp.exe"),
        ("lone \ud800 half", "lone \ufffd half"),
    ],
)
def test_what_could_act_on_a_terminal_is_removed(text: str, expected: str) -> None:
    assert filter_for_terminal(text) == expected


def test_styles_stay_when_asked_for_and_end_with_the_text() -> None:
    assert filter_for_terminal("\x1b[1;38:2::1:2:3mx\x1b[2J", keep_sgr=True) == "\x1b[1;38:2::1:2:3mx\x1b[0m"
    assert filter_for_terminal("\x1b[1mx\x1b[0m", keep_sgr=True) == "\x1b[1mx\x1b[0m"
    assert filter_for_terminal("\x1b[>4;2mx\x1b[?4my\x1b[1 mz", keep_sgr=True) == "xyz"


def test_an_overlong_style_sequence_is_dropped() -> None:
    assert filter_for_terminal(f"\x1b[{'1;' * 5000}mx", keep_sgr=True) == "x"


def test_parts_come_in_order() -> None:
    assert list(split_escapes("a\x1b[1mb\x1b[Kc\x1b[m")) == [("a", None), ("", "1"), ("b", None), ("c", None), ("", "")]


@given(HOSTILE)
def test_nothing_that_acts_is_left(text: str) -> None:
    filtered = filter_for_terminal(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", filtered)
    assert filter_for_terminal(filtered) == filtered


@given(HOSTILE)
def test_with_styles_only_sgr_is_left(text: str) -> None:
    kept = filter_for_terminal(text, keep_sgr=True)
    assert "\x1b" not in re.sub(r"\x1b\[[0-9;:]*m", "", kept)
    assert re.sub(r"\x1b\[[0-9;:]*m", "", kept) == filter_for_terminal(text)


def test_long_hostile_text_takes_linear_time() -> None:
    for piece in ("\x1b[", "\x1b]", "\x1b[1;", "\x9b\x1b", "\x1bP\x1b"):
        assert "\x1b" not in filter_for_terminal(piece * 100_000)
