from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.api import OutputExit, OutputState, OutputText
from teleclaude.errors import NotFoundError
from teleclaude.model import Chunk, Gap
from teleclaude_rest.frames import FrameCache, error_frame, output_frame


def parse(frame: bytes) -> dict[str, str]:
    """One event by the rules of the format: lines end at CR, LF or CRLF, and an empty one ends the event."""
    assert frame.endswith(b"\n\n")
    lines = frame.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n")
    assert lines[-2:] == ["", ""]
    fields = [line.split(": ", 1) for line in lines[:-2]]
    found = dict(fields)
    assert len(found) == len(fields)
    return found


def test_output_as_bytes() -> None:
    assert output_frame(Chunk(3, 5, 9, b"\xff\n")) == (
        b'id: 5\nevent: output\ndata: {"from":3,"to":5,"b64":"/wo="}\n\n'
    )


@given(st.text())
def test_no_text_breaks_out_of_its_event(text: str) -> None:
    fields = parse(output_frame(OutputText(0, 1, text)))
    assert fields.keys() == {"id", "event", "data"}
    assert json.loads(fields["data"])["text"] == text


@given(st.dictionaries(st.text(), st.text() | st.integers() | st.none()))
def test_no_exit_breaks_out_of_its_event(data: dict[str, object]) -> None:
    fields = parse(output_frame(OutputExit(data)))
    assert (fields["event"], json.loads(fields["data"])) == ("exit", data)


def test_items_that_move_no_offset_have_no_id() -> None:
    assert parse(output_frame(OutputState("exited"))).keys() == {"event", "data"}
    assert parse(output_frame(Gap(3, 7, 4, "retention")))["id"] == "7"


def test_an_error_is_told_as_a_problem() -> None:
    fields = parse(error_frame(NotFoundError("gone", operation="x")))
    assert (fields["event"], json.loads(fields["data"])["code"]) == ("error", "not_found")


def test_one_item_is_encoded_once() -> None:
    built = []

    def build(item: Chunk) -> bytes:
        built.append(item)
        return item.data

    cache = FrameCache(limit=2)
    first, second, third = (Chunk(n, n + 1, 3, b"%d" % n) for n in range(3))
    assert [cache.get(item, build) for item in (first, first, second, first, third)] == [b"0", b"0", b"1", b"0", b"2"]
    assert built == [first, second, third]
    cache.get(first, build)
    assert built == [first, second, third, first]


def test_equal_items_are_told_apart_by_identity() -> None:
    cache = FrameCache()
    for _ in range(1000):
        assert cache.get(Chunk(0, 1, 1, b"a"), lambda item: item.data) == b"a"
        assert cache.get(Chunk(0, 1, 1, b"b"), lambda item: item.data) == b"b"
