from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.process import order as module
from teleclaude.process.order import Order
from tests.support.commands import MemorySink

PIECES = st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.integers(1, 70_000)), max_size=50)


def runs(pieces: list[tuple[str, int]]) -> list[tuple[str, int]]:
    """The same bytes, with neighbours of one stream put together."""
    joined: list[tuple[str, int]] = []
    for stream, size in pieces:
        if joined and joined[-1][0] == stream:
            joined[-1] = (stream, joined[-1][1] + size)
        else:
            joined.append((stream, size))
    return joined


@given(PIECES)
async def test_c27_the_lines_tell_what_was_read(pieces: list[tuple[str, int]]) -> None:
    sink = MemorySink()
    order = Order(sink)
    for stream, size in pieces:
        order.note(stream, size)
        await order.write()
    await order.close()
    lines = [json.loads(line) for line in sink.data.splitlines()]
    expected = runs(pieces)
    if len(expected) < 2:
        assert lines == []
        return
    assert [(line["stream"], line["to"] - line["from"]) for line in lines] == expected
    assert [line["seq"] for line in lines] == list(range(1, len(expected) + 1))
    ends: dict[str, int] = {}
    for line in lines:
        assert line["from"] == ends.get(line["stream"], 0)
        ends[line["stream"]] = line["to"]


async def test_it_has_a_bound_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_ORDER_BYTES", 200)
    sink = MemorySink()
    order = Order(sink)
    for _ in range(1000):
        order.note("stdout", 1)
        order.note("stderr", 1)
        await order.write()
    await order.close()
    lines = [json.loads(line) for line in sink.data.splitlines()]
    assert len(sink.data) < 400
    assert lines[-1] == {"seq": len(lines), "truncated": True}
    assert sum("truncated" in line for line in lines) == 1
