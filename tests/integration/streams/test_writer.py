"""Streams that the daemon writes: in order, soon visible, nothing lost by a full disk that gets room again."""

from __future__ import annotations

import asyncio
import os
import random
from pathlib import Path

import pytest

from teleclaude.errors import NoSpaceError
from teleclaude.model import Chunk, Gap
from teleclaude.streams import Follower, Stream, StreamWriter, Watcher
from teleclaude.streams.layout import segment_name
from teleclaude.tasks import TaskRegistry
from tests.integration.streams.support import SEGMENT_BYTES, collect, read_all
from tests.support.wait import eventually


async def test_writes_the_same_layout(stream: Stream, tasks: TaskRegistry) -> None:
    data = os.urandom(100_000)
    chance = random.Random(3)
    async with StreamWriter(stream, tasks) as writer:
        position = 0
        while position < len(data):
            piece = data[position : position + chance.randrange(1, 5000)]
            await writer.write(piece)
            position += len(piece)
        assert writer.total == len(data)
        assert stream.writing
    assert not stream.writing
    assert stream.bounds().end == len(data)
    assert await read_all(stream) == data
    assert (stream.path / segment_name(0, 3)).stat().st_size == SEGMENT_BYTES
    assert (stream.path / segment_name(0, 3)).stat().st_mode & 0o777 == 0o600
    assert await read_all(await asyncio.to_thread(Stream.open, stream.path, 1)) == data


async def test_a_little_is_seen_soon(stream: Stream, tasks: TaskRegistry, watcher: Watcher) -> None:
    async with StreamWriter(stream, tasks) as writer, Follower(stream, watcher, 0) as follower:
        for number in range(5):
            await writer.write(b"%d" % number)
            assert await collect(follower, number + 1, 1) == (b"%d" % number, [])


async def test_another_writer_goes_on_behind_it(stream: Stream, tasks: TaskRegistry) -> None:
    for number in range(3):
        async with StreamWriter(stream, tasks) as writer:
            await writer.write(b"%d" % number * 5000)
    assert await read_all(stream) == b"0" * 5000 + b"1" * 5000 + b"2" * 5000
    assert stream.gaps() == []


async def test_cancelling_its_user_keeps_the_order(stream: Stream, tasks: TaskRegistry) -> None:
    data = [b"%06d" % number * 2000 for number in range(200)]
    written: list[bytes] = []

    async def write() -> None:
        for piece in data[len(written) :]:
            await writer.write(piece)
            written.append(piece)

    async with StreamWriter(stream, tasks) as writer:
        while len(written) < len(data):
            before = writer.total
            task = asyncio.gather(write())
            await asyncio.sleep(0.002)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if writer.total - before > sum(map(len, written)) - before:
                written.append(data[len(written)])  # the cancelled call had taken its piece
    assert await read_all(stream) == b"".join(data)


async def test_a_full_disk_is_said_and_nothing_is_lost_when_it_gets_room(full_disk: Path, tasks: TaskRegistry) -> None:
    ballast = full_disk / "ballast"
    ballast.write_bytes(bytes(700_000))
    stream = Stream(full_disk / "s" / "stdout", 65536)
    data = os.urandom(900_000)
    taken = 0
    async with StreamWriter(stream, tasks) as writer:
        full = False
        while not full:
            try:
                await writer.write(data[taken : taken + 10_000])
                taken += 10_000
            except NoSpaceError:
                full = True
        assert writer.total == taken < len(data)
        ballast.unlink()
        assert await eventually(lambda: writer.queued == 0)
        while taken < len(data):
            await writer.write(data[taken : taken + 10_000])
            taken += 10_000
    assert await read_all(stream) == data
    assert stream.gaps() == []


async def test_what_a_full_disk_took_in_the_end_is_a_hole(full_disk: Path, tasks: TaskRegistry) -> None:
    stream = Stream(full_disk / "s" / "stdout", 65536)
    data = os.urandom(2_000_000)
    async with StreamWriter(stream, tasks) as writer:
        await writer.write(data)
        with pytest.raises(NoSpaceError):
            await writer.aclose()
        await writer.aclose()
    end = stream.bounds().end
    assert 900_000 < end < 1 << 20
    assert await read_all(stream) == data[:end]
    assert stream.gaps() == [Gap(end, end, None, "disk_full")]


async def test_closed_means_closed(stream: Stream, tasks: TaskRegistry) -> None:
    writer = StreamWriter(stream, tasks)
    async with writer:
        await writer.write(b"x")
    with pytest.raises(RuntimeError):
        await writer.write(b"y")
    assert await stream.read(0) == Chunk(0, 1, 1, b"x")
