from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import InvalidError, TooLargeError
from teleclaude.tmux.line import Value, control_line
from teleclaude.tmux.text import MAX_TEXT_BYTES, TYPED_BYTES, Pasted, Typed, longest_line, plan, sanitise, typing


@pytest.mark.parametrize(
    "text", ["", "ls -l", "-R", "C-c", "a;", "\x03", "\x1b[A", "tab\t", "\r", "é😀", "x" * TYPED_BYTES]
)
def test_one_line_is_typed_as_it_is(text: str) -> None:
    assert plan(text) == Typed(text.encode())


def test_several_lines_are_pasted() -> None:
    assert plan("a\nb\r\nc\rd") == Pasted(b"a\nb\nc\nd")


def test_a_long_line_is_pasted_unless_that_would_drop_controls() -> None:
    assert plan("x" * (TYPED_BYTES + 1)) == Pasted(b"x" * (TYPED_BYTES + 1))
    assert plan("\x03" + "x" * TYPED_BYTES) == Typed(b"\x03" + b"x" * TYPED_BYTES)


def test_t21_nothing_in_a_paste_can_end_it() -> None:
    assert sanitise("x\x1b[201~\ncmd\n\x9b201~\x7f\x00\x07\ty") == "x[201~\ncmd\n201~\ty"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_sanitised_text_has_no_controls_but_tab_and_newline(text: str) -> None:
    result = sanitise(text)
    assert all(character in "\t\n" or not (ord(character) < 32 or 127 <= ord(character) < 160) for character in result)
    assert sanitise(result) == result


def test_t38_text_has_a_limit() -> None:
    plan("x" * MAX_TEXT_BYTES)
    with pytest.raises(TooLargeError):
        plan("é" * (MAX_TEXT_BYTES // 2 + 1))


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(InvalidError):
        plan("a\ud83d")


@given(st.binary(max_size=10_000))
def test_typing_gives_every_byte_once_in_short_lines(data: bytes) -> None:
    commands = typing("%3", data)
    typed = b"".join(bytes.fromhex(part.text) for item in commands for part in item.parts if isinstance(part, Value))
    assert typed == data
    assert all(len(control_line((item,))) <= 8192 for item in commands)


def test_the_longest_line_counts_bytes() -> None:
    assert longest_line("a\nééé\rb") == 6
