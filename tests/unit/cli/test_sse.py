"""Server-sent events, whole and in pieces."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.cli import sse
from teleclaude.cli.sse import EventParser, ServerEvent

BODY = (
    b": a comment\n\n"
    b'event: output\nid: 5\ndata: {"from": 0}\n\n'
    b"data: one\ndata:two\r\nretry: 9\r\nunknown\r\n\r\n"
    b"event: empty\n\n"
    b"id\ndata: \xe2\x82\xac\n\n"
    b"event: unfinished\ndata: x\n"
)
EVENTS = [
    ServerEvent("output", '{"from": 0}', "5"),
    ServerEvent("message", "one\ntwo", "5"),
    ServerEvent("message", "€", ""),
]


def test_a_whole_body() -> None:
    assert EventParser().feed(BODY) == EVENTS


@given(st.lists(st.integers(0, len(BODY)), max_size=8))
def test_the_cuts_do_not_matter(cuts: list[int]) -> None:
    borders = [0, *sorted(cuts), len(BODY)]
    parser = EventParser()
    events = [event for a, b in pairwise(borders) for event in parser.feed(BODY[a:b])]
    assert events == EVENTS


@given(st.binary())
def test_any_bytes_are_read_without_an_error(body: bytes) -> None:
    EventParser().feed(body)


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_CHARS", 100)
    parser = EventParser()
    for _ in range(10):
        parser.feed(b"data: 1\n\n" * 5)
    with pytest.raises(ValueError, match="longer than 100"):
        parser.feed(b"data: 1\n" * 20)
