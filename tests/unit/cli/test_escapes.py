"""The escape filter: what may reach a terminal, and that it does not matter where a stream was cut."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.cli.escapes import ByteFilter, EscapeFilter, plain

SGR = re.compile(r"\x1b\[[0-9;:]*m")

hostile = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "\x1b",
                "\x1b[",
                "\x1b]",
                "\x1bP",
                "\x9b",
                "\x9d",
                "\x9c",
                "\x1b\\",
                "\x07",
                "\x18",
                "\r",
                "\n",
                "\r\n",
                "m",
                ";",
            ]
        ),
        st.sampled_from(["31", "1;31m", "?25h", "38:2:1:2:3m", "a", "é", "漢", " ", "\t", "\x7f", "\x00", "\x85"]),
        st.text(max_size=3),
    ),
    max_size=20,
).map("".join)


def whole(text: str, *, colours: bool = False) -> str:
    escapes = EscapeFilter(colours=colours)
    return escapes.feed(text) + escapes.close()


@pytest.mark.parametrize(
    ("given_text", "expected"),
    [
        ("plain\ttext\n", "plain\ttext\n"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b[?25l\x1b[2J\x1b[1;1Htop", "top"),
        ("\x1b]0;title\x07after", "after"),
        ("\x1b]52;c;cm0gLXJm\x1b\\after", "after"),
        ("\x9d0;title\x9cafter", "after"),
        ("\x1bP1$r0m\x1b\\after", "after"),
        ("\x1b]0;never ended\n", ""),
        ("\x1b]0;cancelled\x18after", "after"),
        ("\x1b]0;cut\x1b[31mafter", "after"),
        ("\x1b(Bafter\x1b7\x1b=", "after"),
        ("a\bb\x07c\x7fd\x85e\x00f", "abcdef"),
        ("one\r\ntwo\r\r\nthree\n", "one\ntwo\nthree\n"),
        ("10%\r20%\r\n", "10%\n20%\n"),
        ("\r\n\r\n", "\n\n"),
        ("50%\r\x1b[K\n", "50%\n"),
        ("left over \x1b[31", "left over "),
        ("x\x1b", "x"),
    ],
)
def test_only_text_is_left(given_text: str, expected: str) -> None:
    assert whole(given_text) == expected


def test_colours_are_kept_on_request_and_put_back() -> None:
    assert whole("\x1b[1;38:5:9mred\x1b[?1049h", colours=True) == "\x1b[1;38:5:9mred\x1b[0m"


def test_an_eight_bit_colour_is_written_in_seven_bits() -> None:
    assert whole("\x9b31mred", colours=True) == "\x1b[31mred\x1b[0m"


def test_private_and_intermediate_forms_of_m_are_no_colours() -> None:
    assert whole("\x1b[>4;2m\x1b[?4m\x1b[1 ma", colours=True) == "a"


def test_an_endless_sequence_is_not_held_for_ever() -> None:
    escapes = EscapeFilter()
    assert escapes.feed("\x1b[") == ""
    assert len("".join(escapes.feed("1;") for _ in range(1_000))) > 1_800


@given(hostile, st.booleans())
def test_no_control_character_survives(text: str, colours: bool) -> None:
    rest = SGR.sub("", whole(text, colours=colours)) if colours else whole(text)
    assert all(character in "\n\t" or unicodedata.category(character) != "Cc" for character in rest)


@given(st.lists(hostile, max_size=6), st.booleans())
def test_the_cuts_do_not_matter(pieces: list[str], colours: bool) -> None:
    escapes = EscapeFilter(colours=colours)
    piecewise = "".join(escapes.feed(piece) for piece in pieces) + escapes.close()
    assert piecewise == whole("".join(pieces), colours=colours)


@given(hostile, st.booleans())
def test_every_character_alone_gives_the_same(text: str, colours: bool) -> None:
    escapes = EscapeFilter(colours=colours)
    assert "".join(map(escapes.feed, text)) + escapes.close() == whole(text, colours=colours)


@given(st.text(alphabet=st.characters(exclude_categories=["Cc", "Cs"])))
def test_text_without_controls_passes_unchanged(text: str) -> None:
    assert whole(text, colours=True) == text


def test_a_character_cut_between_two_pieces_is_put_together() -> None:
    escapes = ByteFilter()
    assert escapes.feed(b"\xe2\x82") + escapes.feed(b"\xac!") + escapes.close() == "€!"


def test_bytes_that_are_no_utf_8_are_shown_as_such() -> None:
    escapes = ByteFilter()
    assert escapes.feed(b"a\xff") + escapes.feed(b"b\xe2") + escapes.close() == "a\ufffdb\ufffd"


def test_plain_is_one_line() -> None:
    assert plain("a\n\x1b[31mb\tc\r\nd") == "a b c d"
