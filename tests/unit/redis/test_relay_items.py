"""What a relay writes is what a watcher reads, and a watcher shows no byte twice and none out of turn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.api import OutputExit, OutputHandedOff, OutputItem, OutputState
from teleclaude.errors import GapError, InvalidError
from teleclaude.model import Chunk, Gap, Principal, Role
from teleclaude.wire.output import FollowOutput, ReadOutput
from teleclaude_redis.envelope import Envelope
from teleclaude_redis.relay import described, described_item, name_of
from teleclaude_redis.watch import Lease, RemoteFollower

ITEMS: Sequence[OutputItem] = (
    Chunk(3, 6, 9, b"\0\xffx"),
    Gap(1, 4, 3, "retention"),
    Gap(4, 4, None, "recorder_died"),
    OutputState("running"),
    OutputExit({"state": "exited", "code": 0}),
    OutputHandedOff("east", "S1", 4),
)


def entry(item: OutputItem, end: int = 9) -> Envelope:
    about, body = described(item, end)
    return Envelope(kind="output", sender="south", to="*", id="r", ts=0, body=body, about=about)


@pytest.mark.parametrize("item", ITEMS, ids=["chunk", "gap", "unknown gap", "state", "exit", "handed_off"])
def test_every_item_survives_the_way(item: OutputItem) -> None:
    assert described_item(entry(item)) == item


@pytest.mark.parametrize("about", [{}, {"item": "output", "from": 0, "to": 5, "end": 5}, {"item": "gap"}, {"item": 1}])
def test_what_no_relay_writes_is_refused(about: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        described_item(Envelope(kind="output", sender="south", to="*", id="r", ts=0, body=b"abc", about=about))


def test_streams_have_names_of_their_own() -> None:
    assert name_of("S1", None) == name_of("S1", "pty") == "S1"
    assert name_of("E1", "stderr") == "E1:stderr"


DATA = bytes(range(256))


class Calls:
    """Answers reads from ``DATA``, of which nothing before ``start`` is kept."""

    def __init__(self, start: int = 0) -> None:
        self.start = start

    async def call(self, _computer: str, _principal: Principal, read: ReadOutput, **_: Any) -> Chunk:
        assert read.from_ is not None
        if read.from_ < self.start:
            raise GapError("gone", start=self.start)
        data = DATA[read.from_ : read.from_ + min(read.limit, 7)]
        return Chunk(read.from_, read.from_ + len(data), len(DATA), data)


def follower(start: int = 0, *, mode: str = "lossless", kept: int = 0) -> RemoteFollower:
    means: Any = type("Means", (), {"computer": "south", "calls": Calls(kept)})()
    request = FollowOutput(id="S1", mode=cast(Any, mode))
    lease = Lease(relay="r", id="S1", after="0-0", start=0, end=0)
    return RemoteFollower(means, Principal("x", Role.OWNER), request, lease, "w", start, start, "0-0")


async def show_all(following: RemoteFollower, items: Sequence[OutputItem]) -> list[OutputItem]:
    for item in items:
        following.take_in(item, entry(item, len(DATA)))
    found: list[OutputItem] = []
    while (shown := await following.ready()) is not None:
        found.append(shown)
    return found


def piece(start: int, end: int) -> Chunk:
    return Chunk(start, end, len(DATA), DATA[start:end])


@given(
    st.lists(st.tuples(st.integers(0, 256), st.integers(0, 256)).map(sorted), max_size=12),
    st.integers(0, 256),
)
async def test_any_pieces_give_every_byte_once_and_in_order(pieces: list[list[int]], start: int) -> None:
    following = follower(start)
    items = await show_all(following, [piece(low, high) for low, high in pieces if low < high])
    assert b"".join(item.data for item in items if isinstance(item, Chunk)) == DATA[start : following.offset]
    assert following.offset >= max((high for low, high in pieces if low < high), default=0)


async def test_what_is_gone_is_a_gap() -> None:
    items = await show_all(follower(0, kept=100), [piece(120, 130)])
    assert items[0] == Gap(0, 100, 100, "retention")
    assert b"".join(item.data for item in items[1:] if isinstance(item, Chunk)) == DATA[100:130]


async def test_latest_skips_what_it_missed() -> None:
    assert await show_all(follower(0, mode="latest"), [piece(120, 130)]) == [
        Gap(0, 120, 120, "skipped"),
        piece(120, 130),
    ]


async def test_the_end_comes_after_all_output() -> None:
    items = await show_all(follower(250), [OutputExit({"state": "exited"})])
    assert b"".join(item.data for item in items if isinstance(item, Chunk)) == DATA[250:]
    assert items[-1] == OutputExit({"state": "exited"})


async def test_gaps_are_told_once_and_never_twice() -> None:
    gap = Gap(10, 20, 10, "disk_full")
    assert await show_all(follower(10), [gap, gap]) == [gap]
    assert await show_all(follower(15), [gap]) == [Gap(15, 20, 5, "disk_full")]
    assert await show_all(follower(30), [gap]) == []
