"""Followers: every byte once and in order, at each one's own pace, with every hole named."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest

from teleclaude.model import Chunk, Gap
from teleclaude.streams import Ended, Follower, Stream, StreamStore, Watcher, make_watcher
from teleclaude.streams.follow import LATEST_BYTES
from teleclaude.streams.layout import segment_name
from teleclaude.streams.watch import BURST, COALESCE_SECONDS
from teleclaude.tasks import TaskRegistry
from tests.integration.streams.support import SEGMENT_BYTES, Recorders, collect, read_all
from tests.support.wait import eventually


async def test_tells_what_is_there_and_what_comes(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"before ")
    assert await eventually(lambda: stream.bounds().end == 7)
    async with Follower(stream, watcher, 0) as follower:
        assert await follower.next(5) == Chunk(0, 7, 7, b"before ")
        assert await follower.next(0.01) is None
        recorder.write(b"after")
        assert await collect(follower, 12) == (b"after", [])
        assert follower.offset == 12


async def test_follows_over_segments_and_generations(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    data = os.urandom(50_000)
    recorders.start(await stream.begin_generation())
    async with Follower(stream, watcher, 0) as follower:
        recorders.newest.write(data[:20_000])
        assert (await collect(follower, 20_000))[0] == data[:20_000]
        await stream.rearm(recorders.rearm)
        recorders.newest.write(data[20_000:])
        rest, gaps = await collect(follower, 50_000)
        assert rest == data[20_000:]
        assert gaps == [Gap(20_000, 20_000, None, "recorder_died")]


async def test_a_hole_at_the_end_is_told_before_anything_comes(
    stream: Stream, watcher: Watcher, recorders: Recorders
) -> None:
    recorders.start(await stream.begin_generation()).write(b"a")
    async with Follower(stream, watcher, 0) as follower:
        assert (await collect(follower, 1))[0] == b"a"
        await stream.rearm(recorders.rearm)
        gap = Gap(1, 1, None, "recorder_died")
        assert await follower.next(5) == gap
        assert await follower.next(0.05) is None
        recorders.newest.write(b"b")
        assert await follower.next(5) == Chunk(1, 2, 2, b"b")
    async with Follower(stream, watcher, 0) as late:
        assert await collect(late, 2) == (b"ab", [gap])


async def test_below_retention_the_hole_is_named(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"x" * 20_000)
    assert await eventually(lambda: stream.bounds().end == 20_000)
    async with Follower(stream, watcher, 0) as follower:
        assert await stream.drop(10_000) == Gap(0, 8192, 8192, "retention")
        assert await follower.next(5) == Gap(0, 8192, 8192, "retention")
        item = await follower.next(5)
        assert isinstance(item, Chunk)
        assert (item.start, item.end) == (8192, 20_000)


async def test_what_was_cut_is_named(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"x" * 10_000)
    assert await eventually(lambda: stream.bounds().end == 10_000)
    os.truncate(stream.path / segment_name(0, 0), 96)
    async with Follower(stream, watcher, 0) as follower:
        data, gaps = await collect(follower, 10_000)
        assert len(data) == 10_000 - 4000
        assert gaps == [Gap(96, 4096, 4000, "truncated")]


async def test_latest_skips_to_the_end(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"x" * (LATEST_BYTES + 1))
    end = LATEST_BYTES + 1
    assert await eventually(lambda: stream.bounds().end == end)
    async with Follower(stream, watcher, 0, mode="latest") as follower:
        assert await follower.next(5) == Gap(0, end, end, "skipped")
        recorder.write(b"new")
        assert await follower.next(5) == Chunk(end, end + 3, end + 3, b"new")
    async with Follower(stream, watcher, 100, mode="latest") as near:
        assert (await collect(near, end + 3))[1] == []


async def test_ends_after_the_last_byte(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"data")
    assert await eventually(lambda: stream.bounds().end == 4)
    async with Follower(stream, watcher, 0) as follower:
        follower.finish(4)
        assert await follower.next(5) == Chunk(0, 4, 4, b"data")
        assert await follower.next(5) == Ended(4)
        assert await follower.next(5) == Ended(4)
    async with Follower(stream, watcher, 4) as waiting:
        next_item = asyncio.gather(waiting.next(5))
        await asyncio.sleep(0)
        waiting.finish(4)
        (item,) = await next_item
        assert item == Ended(4)


async def test_a_deleted_stream_ends_its_followers(store: StreamStore, recorders: Recorders) -> None:
    stream = await store.create("s1")
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"data")
    async with store.follow(stream, 0) as follower, store.follow(stream, 4) as waiting:
        assert (await collect(follower, 4))[0] == b"data"
        next_item = asyncio.gather(waiting.next(5))
        await asyncio.sleep(0)
        await store.delete("s1")
        (item,) = await next_item
        assert item == Ended(4, deleted=True)
        assert await follower.next(5) == Ended(4, deleted=True)


async def test_woken_it_comes_back_once(stream: Stream, watcher: Watcher) -> None:
    await stream.begin_generation()
    async with Follower(stream, watcher, 0) as follower, Follower(stream, watcher, 0) as other:
        items = asyncio.gather(follower.next(5), other.next(0.1))
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        began = loop.time()
        follower.wake()
        assert list(await items) == [None, None]
        assert loop.time() - began < 3
        follower.wake()
        assert await follower.next(5) is None
        assert await follower.next(0.01) is None


async def test_a_cancelled_wait_loses_nothing(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    chance = random.Random(1)
    data = os.urandom(30_000)
    parts: list[bytes] = []

    async def write() -> None:
        for position in range(0, len(data), 100):
            recorder.write(data[position : position + 100])
            await asyncio.sleep(0.001)

    async with Follower(stream, watcher, 0) as follower:
        writing = asyncio.gather(write())
        while follower.offset < len(data):
            try:
                async with asyncio.timeout(chance.random() * 0.005):
                    item = await follower.next(5)
            except TimeoutError:
                continue
            assert isinstance(item, Chunk)
            parts.append(item.data)
        await writing
    assert b"".join(parts) == data


async def test_a_hundred_followers_share_what_is_read(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    followers = [Follower(stream, watcher, 0) for _ in range(100)]
    for follower in followers:
        await follower.__aenter__()
    assert watcher.watched_streams == 1
    waiting = asyncio.gather(*(follower.next(5) for follower in followers))
    await asyncio.sleep(0)
    recorder.write(b"x" * 3000)
    chunks = await waiting
    assert chunks[0] is not None
    assert len({id(chunk) for chunk in chunks}) == 1
    for follower in followers:
        await follower.aclose()
        await follower.aclose()
    assert watcher.watched_streams == 0
    assert not stream.listeners
    assert stream.shared_chunk(0) is None


async def test_followers_at_different_places_meet(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"x" * 200_000)
    assert await eventually(lambda: stream.bounds().end == 200_000)
    async with Follower(stream, watcher, 17) as one, Follower(stream, watcher, 1234) as other:
        await one.next(5)
        await other.next(5)
        assert one.offset == other.offset == 65_536
        first, second = await one.next(5), await other.next(5)
        assert first is second


async def test_many_paces_one_truth(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    data = os.urandom(300_000)
    recorder = recorders.start(await stream.begin_generation())
    chance = random.Random(2)

    async def follow(start: int, pause: float) -> bytes:
        parts: list[bytes] = []
        async with Follower(stream, watcher, start) as follower:
            while follower.offset < len(data):
                item = await follower.next(10)
                assert isinstance(item, Chunk)
                parts.append(item.data)
                await asyncio.sleep(pause * chance.random())
        return b"".join(parts)

    def write() -> None:
        for position in range(0, len(data), 1000):
            recorder.write(data[position : position + 1000])

    starts = [0, 1, 999, 65_536, 100_000, 299_999, 300_000]
    writing = asyncio.to_thread(write)
    *read, _ = await asyncio.gather(*(follow(start, start / 1e7) for start in starts), writing)
    assert [got == data[start:] for got, start in zip(read, starts, strict=True)] == [True] * len(starts)


async def test_a_stalled_follower_holds_nobody_up(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    async with Follower(stream, watcher, 0) as stalled, Follower(stream, watcher, 0) as lively:
        recorder.write(b"x" * 100_000)
        assert len((await collect(lively, 100_000))[0]) == 100_000
        recorder.signal(signal.SIGSTOP)
        assert len((await collect(stalled, 100_000))[0]) == 100_000


async def test_what_inotify_does_not_take_is_looked_at(
    stream: Stream, tasks: TaskRegistry, recorders: Recorders
) -> None:
    """Here a directory that is not there yet; the same goes when the user has no watches left."""
    async with make_watcher(tasks) as watcher:
        with watcher.watch(stream) as watch:
            recorders.start(await stream.begin_generation()).write(b"x")
            assert await eventually(lambda: stream.bounds().end == 1)
            assert await watch.changed(5)
        assert watcher.watched_streams == 0


async def test_followers_behind_let_others_run(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"x" * 500_000)
    assert await eventually(lambda: stream.bounds().end == 500_000)
    turns = 0

    async def catch_up() -> None:
        async with Follower(stream, watcher, 0) as follower:
            await collect(follower, 500_000)

    catching_up = [asyncio.gather(catch_up()) for _ in range(3)]
    while not all(future.done() for future in catching_up):
        await asyncio.sleep(0)
        turns += 1
    await asyncio.gather(*catching_up)
    assert turns >= 500_000 // 65_536


async def test_what_is_no_longer_in_memory_comes_from_the_disk(
    stream: Stream, watcher: Watcher, recorders: Recorders
) -> None:
    data = os.urandom(200_000)
    recorders.start(await stream.begin_generation()).write(data)
    assert await eventually(lambda: stream.bounds().end == 200_000)
    await asyncio.to_thread(_forget_cached, stream.path)

    async def follow() -> list[Chunk]:
        chunks: list[Chunk] = []
        async with Follower(stream, watcher, 0) as follower:
            while follower.offset < len(data):
                item = await follower.next(10)
                assert isinstance(item, Chunk)
                chunks.append(item)
        return chunks

    read = await asyncio.gather(*(follow() for _ in range(5)))
    for chunks in read:
        assert b"".join(chunk.data for chunk in chunks) == data


def _forget_cached(folder: Path) -> None:
    for file in folder.iterdir():
        descriptor = os.open(file, os.O_RDONLY)
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


async def test_changes_are_seen_once(stream: Stream, watcher: Watcher) -> None:
    with watcher.watch(stream) as watch:
        assert not await watch.changed(0.01)
        stream.tell()
        assert await watch.changed(5)
        assert not await watch.changed(0.01)
        watch.poke()
        assert await watch.changed(5)
        assert not await watch.changed(0.01)
        for _ in range(1000):
            stream.tell()
        changes = 0
        while await watch.changed(0.05):
            changes += 1
        assert changes <= 3


async def test_a_short_burst_is_told_at_once_and_a_long_one_together(stream: Stream, watcher: Watcher) -> None:
    loop = asyncio.get_running_loop()
    with watcher.watch(stream) as watch:
        for _ in range(BURST):
            stream.tell()
            assert await watch.changed(0)
        began, told = loop.time(), 0
        for _ in range(10 * BURST):
            stream.tell()
            told += await watch.changed(0)
        assert told <= (loop.time() - began) / COALESCE_SECONDS + BURST / 2
        stream.tell()
        assert await watch.changed(1)


async def test_an_idle_stream_costs_nothing(store: StreamStore, watcher: Watcher, tasks: TaskRegistry) -> None:
    for number in range(20):
        await store.create(f"s{number}")
    assert watcher.watched_streams == 0
    async with store.follow(store.get("s3"), 0):
        assert watcher.watched_streams == 1
    assert watcher.watched_streams == 0
    assert await eventually(lambda: sum(tasks.counts.active.values()) == 0)


async def test_reads_while_retention_runs_after_it(stream: Stream, watcher: Watcher, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    data = os.urandom(40 * SEGMENT_BYTES)
    seen = bytearray(len(data))
    async with Follower(stream, watcher, 0) as follower:
        writing = asyncio.gather(asyncio.to_thread(recorder.write, data))
        while follower.offset < len(data):
            item = await follower.next(10)
            if isinstance(item, Gap):
                assert item.reason == "retention"
                continue
            assert isinstance(item, Chunk)
            seen[item.start : item.end] = item.data
            assert item.data == data[item.start : item.end]
            await stream.drop(item.end - SEGMENT_BYTES)
        await writing
    assert seen[-SEGMENT_BYTES:] == data[-SEGMENT_BYTES:]
    assert (await read_all(stream)) == data[stream.bounds().start :]


@pytest.mark.parametrize("start", [0, 5])
async def test_beyond_the_end_it_waits(stream: Stream, watcher: Watcher, recorders: Recorders, start: int) -> None:
    recorder = recorders.start(await stream.begin_generation())
    async with Follower(stream, watcher, start) as follower:
        recorder.write(b"0123456789")
        assert (await collect(follower, 10))[0] == b"0123456789"[start:]
