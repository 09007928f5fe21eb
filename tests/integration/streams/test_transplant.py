"""A stream that moves: its history built up elsewhere, its offsets going on, its end standing still meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from teleclaude.errors import ConflictError, InvalidError
from teleclaude.model import Bounds, Gap
from teleclaude.streams import Follower, Stream, StreamStore, StreamWriter, Transplant, Watcher
from teleclaude.tasks import TaskRegistry
from tests.integration.streams.support import SEGMENT_BYTES, collect, read_all

START = 777


def transplant_of(store: StreamStore, folder: str = "pty", start: int = START) -> Transplant:
    return Transplant(store.staging("H1") / folder, start=start, segment_bytes=SEGMENT_BYTES)


def bring(transplant: Transplant, data: bytes, chance: random.Random) -> int:
    """In pieces of any size, some of them twice; answers where they end."""
    transplant.begin()
    position = 0
    while position < len(data):
        piece = data[position : position + chance.randrange(1, 3000)]
        for _ in range(chance.randrange(1, 3)):
            transplant.write(START + position, piece)
        position += len(piece)
    end = transplant.end()
    transplant.finish([])
    return end


@pytest.mark.parametrize("size", [0, 1, SEGMENT_BYTES - 1, SEGMENT_BYTES, 5 * SEGMENT_BYTES + 3])
async def test_bytes_arrive_in_pieces_that_may_be_repeated(store: StreamStore, tasks: TaskRegistry, size: int) -> None:
    data = os.urandom(size)
    transplant = transplant_of(store, "streams/pty")
    assert await asyncio.to_thread(bring, transplant, data, random.Random(size)) == START + size
    assert await asyncio.to_thread(store.staged) == ["H1"]
    stream = await store.install("S1", store.staging("H1") / "streams")
    assert stream.bounds() == Bounds(START, START + size)
    assert await read_from(stream, START) == data
    async with StreamWriter(stream, tasks) as writer:
        await writer.write(b"and on")
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    assert await read_from(again, START) == data + b"and on"
    assert again.gaps() == []


async def read_from(stream: Stream, offset: int) -> bytes:
    parts: list[bytes] = []
    while data := (await stream.read(offset)).data:
        parts.append(data)
        offset += len(data)
    return b"".join(parts)


async def test_holes_keep_their_offsets(store: StreamStore) -> None:
    gap = Gap(START + 6, START + 10_000, 9994, "disk_full")

    def build() -> None:
        transplant = transplant_of(store)
        transplant.begin()
        transplant.write(START, b"before")
        assert transplant.skip(START + 10_000) == START + 10_000
        assert transplant.skip(START + 10_000) == START + 10_000
        transplant.write(START + 10_000, b"after")
        transplant.finish([gap])

    await asyncio.to_thread(build)
    stream = await store.install("S1", store.staging("H1"))
    assert stream.gaps() == [gap]
    assert (await stream.read(START)).data == b"before"
    assert (await stream.read(START + 10_000)).data == b"after"


async def test_what_does_not_follow_is_refused(store: StreamStore) -> None:
    def refuse() -> None:
        transplant = transplant_of(store)
        transplant.begin()
        with pytest.raises(ConflictError, match="are missing"):
            transplant.write(START + 1, b"x")
        with pytest.raises(InvalidError, match="before the history"):
            transplant.write(START - 1, b"x")

    await asyncio.to_thread(refuse)


async def test_what_comes_takes_the_place_of_what_was_here(store: StreamStore, tasks: TaskRegistry) -> None:
    old = await store.create("S1")
    async with StreamWriter(old, tasks) as writer:
        await writer.write(b"old")
    await asyncio.to_thread(bring, transplant_of(store), b"older and longer", random.Random(1))
    new = await store.install("S1", store.staging("H1"))
    assert old.closed
    assert store.get("S1") is new
    assert await read_from(new, START) == b"older and longer"
    await store.uninstall("S1", store.staging("H1"))
    assert new.closed
    assert store.get("S1").bounds() == Bounds(0, 0)
    assert await read_from(await store.install("S1", store.staging("H1")), START) == b"older and longer"


async def test_a_frozen_stream_goes_on_as_if_nothing_had_been(
    stream: Stream, tasks: TaskRegistry, watcher: Watcher
) -> None:
    async with StreamWriter(stream, tasks) as writer, Follower(stream, watcher, 0) as follower:
        await writer.write(b"before")
        assert await collect(follower, 6, 2) == (b"before", [])
        stream.freeze(stream.bounds().end)
        await writer.write(b" meanwhile")
        await writer.flush()
        assert stream.bounds().end == 6
        assert await follower.next(0.05) is None
        stream.thaw()
        assert await collect(follower, 16, 2) == (b" meanwhile", [])
    assert stream.gaps() == []


@pytest.mark.parametrize("end", [0, 1, SEGMENT_BYTES, SEGMENT_BYTES + 1, 3 * SEGMENT_BYTES])
async def test_what_was_recorded_beyond_is_cut(stream: Stream, tasks: TaskRegistry, end: int) -> None:
    data = os.urandom(3 * SEGMENT_BYTES + 5)
    async with StreamWriter(stream, tasks) as writer:
        await writer.write(data)
    await asyncio.to_thread(_reopen_frozen, stream.path)
    stream.freeze(end)
    await stream.cut()
    await stream.cut()
    stream.thaw()
    assert stream.bounds() == Bounds(0, end)
    assert await read_all(stream) == data[:end]
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    assert (again.bounds(), again.gaps()) == (Bounds(0, end), [])
    async with StreamWriter(again, tasks) as writer:
        await writer.write(b"anew")
    assert await read_all(again) == data[:end] + b"anew"


def _reopen_frozen(path: Path) -> None:
    """A daemon that starts anew freezes before anybody reads."""
    stream = Stream.open(path, SEGMENT_BYTES)
    stream.freeze(1)
    assert stream.bounds() == Bounds(0, 1)
