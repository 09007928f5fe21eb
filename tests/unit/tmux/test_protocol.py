from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.tmux.protocol import ControlParser, Item, Notification, Reply, Violation

TRANSCRIPT = (
    b"%begin 1795232585 267 0\n%end 1795232585 267 0\n%sessions-changed\n%session-changed $0 _teleclaude\n"
    b"%begin 1795232585 274 1\nv 3.3a \xc3\xa9\n\n%end 1795232585 273 1\n%exit\n%end 1795232585 274 1\n"
    b"%begin 1795232585 278 1\nduplicate session: a\n%error 1795232585 278 1\n%exit too far behind\n"
)
ITEMS: list[Item] = [
    Reply(267, ours=False, ok=True, lines=()),
    Notification("sessions-changed", ""),
    Notification("session-changed", "$0 _teleclaude"),
    Reply(274, ours=True, ok=True, lines=("v 3.3a é", "", "%end 1795232585 273 1", "%exit")),
    Reply(278, ours=True, ok=False, lines=("duplicate session: a",)),
    Notification("exit", "too far behind"),
]


def test_transcript_gives_replies_and_notifications_in_order() -> None:
    assert ControlParser().feed(TRANSCRIPT) == ITEMS


@given(st.lists(st.integers(0, len(TRANSCRIPT)), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_items(cuts: list[int]) -> None:
    parser = ControlParser()
    edges = [0, *sorted(cuts), len(TRANSCRIPT)]
    items = [item for start, end in pairwise(edges) for item in parser.feed(TRANSCRIPT[start:end])]
    assert items == ITEMS


_PIECES = st.sampled_from(
    [b"%begin 1 2 1", b"%end 1 2 1", b"%error 1 2 1", b"%begin", b"%end", b"%", b"\n", b" ", b"\xff", b"%begin 1 2 -1"]
)


@given(st.lists(st.one_of(st.binary(max_size=30), _PIECES), max_size=50))
def test_no_bytes_raise_and_nothing_follows_a_violation(chunks: list[bytes]) -> None:
    parser = ControlParser(max_line=64, max_reply=256)
    items = [item for chunk in chunks for item in parser.feed(chunk)]
    violations = [index for index, item in enumerate(items) if isinstance(item, Violation)]
    assert violations in ([], [len(items) - 1])


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=10))
def test_a_body_is_data_whatever_it_looks_like(body: list[bytes]) -> None:
    stream = b"\n".join([b"%begin 7 8 1", *body, b"%end 7 8 1", b""])
    parser = ControlParser()
    items = parser.feed(stream)
    expected = tuple(line.decode("utf-8", "replace") for line in body)
    if b"%end 7 8 1" in body or b"%error 7 8 1" in body:
        assert any(isinstance(item, Violation) for item in items)
    else:
        assert items == [Reply(8, ours=True, ok=True, lines=expected)]


def test_a_forged_end_is_found_out_by_the_real_one() -> None:
    forged = b"%begin 1 2 1\nscreen\n%end 1 2 1\n%begin 1 3 1\nlie\n%end 1 3 1\nscreen\n%end 1 2 1\n"
    assert isinstance(ControlParser().feed(forged)[-1], Violation)


def test_an_endless_line_is_a_violation() -> None:
    parser = ControlParser(max_line=1000)
    assert parser.feed(b"%" + b"x" * 500) == []
    assert isinstance(parser.feed(b"x" * 600)[-1], Violation)
    assert parser.feed(b"\n%sessions-changed\n") == []


def test_an_endless_reply_is_a_violation() -> None:
    parser = ControlParser(max_reply=1000)
    parser.feed(b"%begin 1 2 1\n")
    assert isinstance(parser.feed(b"line\n" * 300)[-1], Violation)


def test_lines_that_are_no_protocol_are_passed_over() -> None:
    assert ControlParser().feed(b"hello\n\n%window-add @1\n") == [Notification("window-add", "@1")]
