"""Terminal output as text: what goes, what stays, and that the cutting into pieces never shows."""

from __future__ import annotations

import re
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.streams.text import TextDecoder, decode_page


def decoded(data: bytes) -> str:
    decoder = TextDecoder()
    return decoder.feed(data) + decoder.finish()


ALPHABET = st.sampled_from(
    [
        *(b"\x1b", b"\x1b[", b"\x1b]", b"\x1bP", b"\x1b_", b"\x1b\\", b"\x1b(", b"\x07", b"\x18", b"\x00", b"\x08"),
        *(b"\r", b"\n", b"\r\n", b"\t", b"a", b"m", b"B", b";", b"0", b" ", b"?", b"\x7f"),
        *(b"\xc2\x9b", b"\xc2\x9d", b"\xc2\x9c", b"\xc2\x85", b"\xc2", b"\x9b", b"\xe2\x82\xac", b"\xe2\x82", b"\xe2"),
        *(b"\xf0\x9f\x98\x80", b"\xf0\x9f", b"\xc3\xa9", b"\xff", b"\x80", b"\xed\xa0\x80", b"\xe0\x80"),
    ]
)
STREAMS = st.lists(ALPHABET, max_size=24).map(b"".join) | st.binary(max_size=40)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain\r\nline\n", "plain\nline\n"),
        (b"\x1b[1;31mred\x1b[0m", "red"),
        (b"\x1b[?2004h\x1b[>4;1m\x1b[0 q$ ", "$ "),
        (b"\x1b]0;title\x07after", "after"),
        (b"\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link"),
        (b"\x1bP1$r0m\x1b\\a\x1b_apc \x07 still\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd"),
        (b"\x1bPtmux;\x1b\x1b]52;c;eA==\x07\x1b\\x", "x"),
        (b"\x1b(B\x1b)0\x1b=\x1b>\x1b7\x1b8\x1bcx\x1b%G", "x"),
        (b"\xc2\x9b31mred\xc2\x9b0m \xc2\x9dtitle\xc2\x9cend\xc2\x85", "red end"),
        (b"\x9b31m", "\ufffd31m"),
        (b"a\x07b\x00c\x08d\x0be\x0cf\x7fg\x0eh", "abcdefgh"),
        (b"tab\tcr\rkept\r\r\n", "tab\tcr\rkept\r\n"),
        (b"\r\x1b[K\n", "\n"),
        ("h\u00e9llo \u20ac \U0001f600".encode(), "h\u00e9llo \u20ac \U0001f600"),
        (b"bad \xff\xe2\x82 end \xe2\x82", "bad \ufffd\ufffd end \ufffd"),
        (b"\xe2\x82\x1b[m\xac", "\ufffd\ufffd"),
        (b"\x1b[31\x1b[0mx", "x"),
        (b"\x1b]never ended\x1b[0mx", "x"),
        (b"\x1b]cancelled\x18x", "x"),
        (b"\x1b[12", ""),
        (b"end\r", "end\r"),
    ],
)
def test_removes_what_terminals_do_not_show(data: bytes, text: str) -> None:
    assert decoded(data) == text


@given(st.text(alphabet=st.characters(blacklist_categories=["Cs", "Cc"]) | st.sampled_from("\t\n"), max_size=60))
def test_keeps_plain_text(text: str) -> None:
    assert decoded(text.encode()) == text


@given(STREAMS, st.lists(st.integers(0, 60), max_size=6))
def test_any_cutting_gives_the_same_text(data: bytes, cuts: list[int]) -> None:
    decoder = TextDecoder()
    parts: list[str] = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        parts.append(decoder.feed(data[start:end]))
    assert "".join(parts) + decoder.finish() == decoded(data)


@given(STREAMS, st.lists(st.integers(0, 60), max_size=3), STREAMS)
def test_a_fresh_decoder_goes_on_where_nothing_is_pending(data: bytes, cuts: list[int], rest: bytes) -> None:
    decoder = TextDecoder()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    text = "".join([decoder.feed(data[start:end]) for start, end in pairwise(edges)])
    assert 0 <= decoder.pending <= len(data)
    assert text + decoded(data[len(data) - decoder.pending :] + rest) == decoded(data + rest)


@given(STREAMS)
def test_shows_no_control_characters(data: bytes) -> None:
    assert re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", decoded(data)) is None


@given(STREAMS, STREAMS)
def test_the_next_page_goes_on_exactly(data: bytes, rest: bytes) -> None:
    text, taken = decode_page(data)
    assert 0 < taken <= len(data) or not data
    if taken < len(data):
        assert text + decoded(data[taken:] + rest) == decoded(data + rest)


def test_a_page_within_one_sequence_is_taken_whole() -> None:
    assert decode_page(b"\x1b]0;a title that does not end here") == ("", 34)


def test_a_sequence_without_an_end_takes_no_memory() -> None:
    decoder = TextDecoder()
    assert decoder.feed(b"\x1b]0;") == ""
    block = b"x" * 65536
    tracemalloc.start()
    try:
        for _ in range(64):
            assert decoder.feed(block) == ""
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * len(block)
    assert decoder.pending == 4 + 64 * len(block)
    assert decoder.feed(b"\x07x") == "x"
    assert decoder.pending == 0


def test_hostile_sequences_take_linear_time() -> None:
    data = b"\r" + b"\x1b]\x00\x00\x00\x00" * 5000 + b"\x18x\r" + b"\x1b[\x00" * 5000
    assert decoded(data) == "\rx\r"
