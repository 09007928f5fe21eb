"""Waiting for text: found wherever the pieces are cut, and the offset is just after it."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import InvalidError
from teleclaude.model import Chunk
from teleclaude.streams.match import REGEX_WINDOW, Match, Matcher, make_matcher
from teleclaude.streams.text import TextDecoder
from tests.unit.streams.test_text import STREAMS, decoded


def feed(matcher: Matcher, data: bytes, start: int = 0, cuts: list[int] | None = None) -> Match | None:
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts or []), len(data)]
    for low, high in pairwise(edges):
        match = matcher.feed(Chunk(start + low, start + high, start + len(data), data[low:high]))
        if match is not None:
            return match
    return matcher.finish()


def test_finds_a_literal_and_says_where_it_ends() -> None:
    match = feed(make_matcher(text="done", start=100), b"is \x1b[1mdo\x1b[0mne\r\n$ ", start=100)
    assert match == Match("done", (), 100 + len(b"is \x1b[1mdo\x1b[0mne"))


def test_finds_an_expression_with_groups() -> None:
    match = feed(make_matcher(regex=r"exit (\d+)( .)?"), b"command exit 17\r\n")
    assert match is not None
    assert (match.text, match.groups) == ("exit 17", ("17", None))


def test_finds_over_pieces() -> None:
    data = "caf\u00e9 done\r\nnext".encode()
    for cut in range(len(data)):
        assert feed(make_matcher(text="\u00e9 done\n"), data, cuts=[cut]) == Match("\u00e9 done\n", (), len(data) - 4)
        match = feed(make_matcher(regex="f\u00e9 d.*\nn"), data, cuts=[cut])
        assert match is not None
        assert match.offset == len(data) - 3


@given(
    STREAMS,
    STREAMS,
    st.lists(st.integers(0, 80), max_size=5),
    st.sampled_from(["a", "\r", "\n", "\ufffd", "a\r", "m;0"]),
)
def test_text_after_the_offset_is_the_text_after_the_match(
    head: bytes, tail: bytes, cuts: list[int], needle: str
) -> None:
    data = head + tail
    match = feed(make_matcher(text=needle), data, start=7, cuts=cuts)
    whole = decoded(data)
    at = whole.find(needle)
    assert (match is not None) == (at >= 0)
    if match is not None:
        assert 7 <= match.offset <= 7 + len(data)
        assert decoded(data[match.offset - 7 :]) == whole[at + len(needle) :]


@given(STREAMS, st.lists(st.integers(0, 80), max_size=5))
def test_pieces_do_not_change_which_literal_is_found(data: bytes, cuts: list[int]) -> None:
    assert feed(make_matcher(text="0m"), data, cuts=cuts) == feed(make_matcher(text="0m"), data)


def test_the_beginning_is_the_beginning_even_when_it_is_out_of_the_window() -> None:
    line = b"x" * 65536
    matcher = make_matcher(regex="^x")
    first = matcher.feed(Chunk(0, 1, 1, b"y"))
    assert first is None
    offset = 1
    for _ in range(REGEX_WINDOW // len(line) + 2):
        assert matcher.feed(Chunk(offset, offset + len(line), 0, line)) is None
        offset += len(line)
    assert matcher.feed(Chunk(offset, offset + 3, 0, b"^x\n")) is None


def test_a_boundary_is_found_when_the_next_piece_shows_it() -> None:
    matcher = make_matcher(regex=r"foo\B")
    assert matcher.feed(Chunk(0, 3, 3, b"foo")) is None
    assert matcher.feed(Chunk(3, 4, 4, b"d")) == Match("foo", (), 3)


def test_text_on_both_sides_of_a_hole_is_not_one_text() -> None:
    matcher = make_matcher(text="ab")
    assert matcher.feed(Chunk(0, 1, 9, b"a")) is None
    assert matcher.feed(Chunk(5, 6, 9, b"b")) is None
    assert matcher.feed(Chunk(6, 8, 9, b"ab")) == Match("ab", (), 8)


def test_what_is_held_back_counts_at_the_end() -> None:
    matcher = make_matcher(text="end\r")
    assert matcher.feed(Chunk(0, 4, 4, b"end\r")) is None
    assert matcher.finish() == Match("end\r", (), 4)


def test_a_literal_needs_only_its_own_length_of_the_past() -> None:
    matcher = make_matcher(text="needle")
    for index in range(100):
        assert matcher.feed(Chunk(index * 1000, index * 1000 + 1000, 0, b"x" * 1000)) is None
    assert len(matcher._seen) <= 6


@pytest.mark.parametrize("regex", ["(", "a{2000}", r"(a)\1", "(?=x)", "[z-a]"])
def test_refuses_what_re2_does_not_take(regex: str) -> None:
    with pytest.raises(InvalidError, match="not valid RE2"):
        make_matcher(regex=regex)


def test_a_hostile_expression_takes_linear_time() -> None:
    assert feed(make_matcher(regex="(x+x+)+y"), b"x" * 60_000) is None


def test_copies_do_not_share_state() -> None:
    decoder = TextDecoder()
    decoder.feed(b"\x1b[3")
    other = decoder.copy()
    assert other.feed(b"1mred") == "red"
    assert decoder.feed(b"2mgreen") == "green"
