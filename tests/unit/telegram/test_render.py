"""Texts: counted as Telegram counts, and without anything that a phone would not show."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import Prompt, PromptKind, PromptOption
from teleclaude_telegram import render

ANY = st.text(alphabet=st.characters(), max_size=300)


def utf16(text: str) -> int:
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


@given(ANY)
def test_units_are_those_of_utf16(text: str) -> None:
    assert render.units(text) == utf16(text)


@given(ANY, st.integers(2, 60))
def test_head_and_tail_fit(text: str, limit: int) -> None:
    assert utf16(render.head(text, limit)) <= limit
    shown, whole = render.tail(text, limit)
    assert utf16(shown) <= limit
    assert text.endswith(shown)
    assert whole == (shown == text)


@given(ANY)
def test_nothing_raw_is_left(text: str) -> None:
    shown = render.clean(text)
    assert not [
        char for char in shown if (char < " " and char != "\n") or char == "\x1b" or "\ud800" <= char <= "\udfff"
    ]


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("one\r\ntwo", "one\ntwo"),
        ("10%\r50%\r100%", "100%"),
        ("a\tb", "a       b"),
        ("\x1b[201~", ""),
        ("safe\u202etxt.exe", "safetxt.exe"),
    ],
)
def test_clean(raw: str, shown: str) -> None:
    assert render.clean(raw) == shown


@given(ANY, ANY)
def test_entities_stay_within_their_text(above: str, below: str) -> None:
    text = render.bold(above) + render.Text("\n") + render.pre(below)
    total = utf16(text.body)
    for entity in text.entities:
        assert entity["length"] > 0
        assert entity["offset"] + entity["length"] <= total


@pytest.mark.parametrize(
    ("text", "worth"),
    [("$ ", False), ("", False), (" \n", False), ("user@host:~$ ", False), ("hi\n$ ", True), ("done", True)],
)
def test_a_shell_that_waits_is_not_worth_a_message(text: str, worth: bool) -> None:
    assert render.worth_saying(text) is worth


@pytest.mark.parametrize(
    ("raw", "draws"),
    [
        (b"plain\r\n", False),
        (b"\x1b[32mgreen\x1b[0m", False),
        (b"\x1b[2J\x1b[H", True),
        (b"\x1b[3A", True),
        (b"\x1b[?1049h", True),
        (b"\x1b[?2004h$ ", False),
    ],
)
def test_programs_that_move_about(raw: bytes, draws: bool) -> None:
    assert render.draws(raw) is draws


def test_a_question_says_what_it_is_about_and_what_to_do() -> None:
    prompt = Prompt(PromptKind.SECRET, "Password:", (), (PromptOption("Yes", ("y",)),), "f")
    text = render.question(prompt, ["$ sudo ls", "Password:"])
    assert "❓ Password:" in text.body
    assert "sudo ls" in text.body
    assert "removed" in text.body
