"""Lines and their offsets, however a stream is cut into pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import InvalidError
from teleclaude.streams import find_lines, make_finder
from teleclaude.streams.search import MAX_LINE_BYTES


def test_offsets_are_those_of_the_line() -> None:
    data = b"one\r\n\x1b[31mt\x1b[0mwo\r\nthree"
    [line], at = find_lines(data, 100, make_finder(text="two"), limit=9, last=True)
    assert (line.start, line.end, line.text) == (105, 119, "two")
    assert data[line.start - 100 : line.end - 100] == b"\x1b[31mt\x1b[0mwo\r\n"
    assert at == 100 + len(data)


def test_an_unfinished_line_waits_for_its_end() -> None:
    assert find_lines(b"one\ntw", 0, make_finder(text="tw"), limit=9, last=False) == ([], 4)
    [line], at = find_lines(b"one\ntw", 0, make_finder(text="tw"), limit=9, last=True)
    assert (line.start, at) == (4, 6)


def test_the_limit_stops_at_the_next_line() -> None:
    lines, at = find_lines(b"a\na\na\n", 0, make_finder(regex="^a$"), limit=2, last=True)
    assert ([line.start for line in lines], at) == ([0, 2], 4)


def test_a_line_without_end_is_searched_in_pieces() -> None:
    data = b"x" * (2 * MAX_LINE_BYTES) + b"needle"
    lines, at = find_lines(data, 0, make_finder(text="needle"), limit=9, last=False)
    assert (lines, at) == ([], 2 * MAX_LINE_BYTES)
    [line], _ = find_lines(data[at:], at, make_finder(text="needle"), limit=9, last=True)
    assert line.start == 2 * MAX_LINE_BYTES


def test_a_bad_expression_is_said() -> None:
    with pytest.raises(InvalidError):
        make_finder(regex="(")


@given(st.lists(st.text(alphabet="ab\x1b[m é", max_size=8), max_size=12), st.integers(1, 9))
def test_pages_do_not_matter(texts: list[str], page: int) -> None:
    data = "".join(f"{text}\r\n" for text in texts).encode()
    finder = make_finder(text="a")
    whole, _ = find_lines(data, 0, finder, limit=99, last=True)
    found, at, size = [], 0, page
    while at < len(data):
        piece = data[at : at + size]
        lines, after = find_lines(piece, at, finder, limit=99, last=at + size >= len(data))
        found += lines
        size = page if after > at else size + page
        at = after
    assert found == whole
