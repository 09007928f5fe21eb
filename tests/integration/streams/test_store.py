"""All streams together: found again after a restart, kept within their bounds, gone with their owner."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from teleclaude.errors import InternalError, InvalidError, NotFoundError
from teleclaude.model import Bounds, Gap
from teleclaude.streams import Dropped, Stream, StreamStore, StreamWriter, Watcher
from teleclaude.streams.layout import record_name
from teleclaude.tasks import TaskRegistry
from tests.integration.streams.support import SEGMENT_BYTES, Recorders, read_all
from tests.support.wait import eventually


async def fill(stream: Stream, tasks: TaskRegistry, data: bytes) -> None:
    async with StreamWriter(stream, tasks) as writer:
        await writer.write(data)


async def test_streams_are_found_again(
    store: StreamStore, watcher: Watcher, tasks: TaskRegistry, tmp_path: Path
) -> None:
    await fill(await store.create("s1"), tasks, b"terminal")
    await fill(await store.create("e1", "stdout"), tasks, b"out")
    await fill(await store.create("e1", "stderr"), tasks, b"err")
    assert store.usage() == 14
    async with StreamStore(tmp_path / "streams", watcher=watcher, segment_bytes=1) as again:
        assert await read_all(again.get("s1")) == b"terminal"
        assert await read_all(again.get("e1", "stderr")) == b"err"
        assert again.usage() == 14
    assert (tmp_path / "streams").stat().st_mode & 0o777 == 0o700
    assert store.directory("s1").stat().st_mode & 0o777 == 0o700


async def test_one_directory_is_one_stream(store: StreamStore) -> None:
    stream = await store.create("s1")
    assert store.get("s1") is stream
    assert store.get("other") is store.get("other")
    with pytest.raises(InternalError):
        await store.create("s1")


async def test_what_was_never_recorded_is_empty(store: StreamStore) -> None:
    stream = store.get("python")
    assert stream.bounds() == Bounds(0, 0)
    assert stream.written_at() is None
    assert await read_all(stream) == b""
    assert not store.directory("python").exists()


async def test_a_stream_appears_with_its_first_generation(store: StreamStore, recorders: Recorders) -> None:
    stream = store.get("rebuilt")
    recorders.start(await stream.begin_generation()).write(b"x")
    assert await eventually(lambda: stream.bounds().end == 1)


@pytest.mark.parametrize("owner", ["", "..", "a/b", "/etc", ".deleted-1", "a\n", "x" * 200])
async def test_names_stay_inside(store: StreamStore, owner: str) -> None:
    for call in (store.get, store.directory):
        with pytest.raises(InvalidError):
            call(owner)
    with pytest.raises(InvalidError):
        store.get("s1", owner)
    with pytest.raises(InvalidError):
        await store.delete(owner)


async def test_deleting_takes_everything(store: StreamStore, tasks: TaskRegistry, tmp_path: Path) -> None:
    await fill(await store.create("e1", "stdout"), tasks, b"out")
    await fill(await store.create("e1", "stderr"), tasks, b"err")
    (store.directory("e1") / "files").mkdir()
    (store.directory("e1") / "files" / "x").write_text("x")
    await store.delete("e1")
    await store.delete("e1")
    assert list((tmp_path / "streams").iterdir()) == []
    assert store.usage() == 0
    assert await read_all(await store.create("e1", "stdout")) == b""


async def test_deleting_waits_for_what_has_begun(store: StreamStore, recorders: Recorders) -> None:
    stream = await store.create("s1")
    recorders.start(await stream.begin_generation())
    await stream.recorder_started(5)
    await stream.begin_generation("recorder_died")
    changing = asyncio.gather(stream.settle(0.2), stream.begin_generation(), return_exceptions=True)
    await asyncio.sleep(0.01)
    await store.delete("s1")
    settled, begun = await changing
    assert settled is None
    assert isinstance(begun, NotFoundError)
    assert not store.directory("s1").exists()
    with pytest.raises(NotFoundError):
        await stream.begin_generation()
    assert not store.directory("s1").exists()


async def test_a_deletion_cut_off_is_completed(watcher: Watcher, tmp_path: Path) -> None:
    left = tmp_path / "streams" / ".deleted-00" / "pty"
    left.mkdir(parents=True)
    async with StreamStore(tmp_path / "streams", watcher=watcher, segment_bytes=1):
        assert list((tmp_path / "streams").iterdir()) == []


async def test_a_damaged_stream_does_not_stop_the_others(
    store: StreamStore, watcher: Watcher, tasks: TaskRegistry, tmp_path: Path
) -> None:
    await fill(await store.create("good"), tasks, b"good")
    bad = await store.create("bad")
    await fill(bad, tasks, b"bad")
    (bad.path / record_name(0)).write_text("no record")
    async with StreamStore(tmp_path / "streams", watcher=watcher, segment_bytes=1) as again:
        assert await read_all(again.get("good")) == b"good"
        for call in (again.get("bad").read(0), again.get("bad").begin_generation()):
            with pytest.raises(InternalError, match=r"bad/pty cannot be used: 0\.json cannot be read"):
                await call
        assert again.get("bad").bounds() == Bounds(0, 0)


async def test_retention_takes_whole_old_segments(store: StreamStore, tasks: TaskRegistry) -> None:
    stream = await store.create("s1")
    data = os.urandom(10 * SEGMENT_BYTES + 100)
    await fill(stream, tasks, data)
    dropped = await store.retain(retention_bytes=3 * SEGMENT_BYTES, disk_bytes=1 << 30, live=set())
    start = 8 * SEGMENT_BYTES
    assert dropped == [Dropped("s1", "pty", Gap(0, start, start, "retention"))]
    assert stream.bounds() == Bounds(start, len(data))
    assert await read_all(stream) == data[start:]
    assert len(list(stream.path.glob("0.0*"))) == 3
    assert await store.retain(retention_bytes=3 * SEGMENT_BYTES, disk_bytes=1 << 30, live=set()) == []
    assert (await asyncio.to_thread(Stream.open, stream.path, 1)).bounds() == stream.bounds()


async def test_the_newest_segment_stays_whatever_the_bound(store: StreamStore, tasks: TaskRegistry) -> None:
    stream = await store.create("s1")
    await fill(stream, tasks, b"x" * 100)
    assert await store.retain(retention_bytes=1, disk_bytes=1 << 30, live=set()) == []
    assert await store.retain(retention_bytes=1, disk_bytes=1, live={"s1"}) == []
    assert stream.bounds() == Bounds(0, 100)


async def test_the_disk_budget_takes_the_oldest_of_all(store: StreamStore, tasks: TaskRegistry) -> None:
    old, new = await store.create("old"), await store.create("new")
    await fill(old, tasks, b"x" * 4 * SEGMENT_BYTES)
    await fill(new, tasks, b"y" * 4 * SEGMENT_BYTES)
    for file in old.path.glob("0.0*"):
        os.utime(file, (1, 1))
    dropped = await store.retain(retention_bytes=1 << 30, disk_bytes=5 * SEGMENT_BYTES, live={"new"})
    assert [(one.owner, one.gap.end) for one in dropped] == [("old", 3 * SEGMENT_BYTES)]
    await store.retain(retention_bytes=1 << 30, disk_bytes=4 * SEGMENT_BYTES, live={"new"})
    assert old.bounds() == Bounds(4 * SEGMENT_BYTES, 4 * SEGMENT_BYTES)
    await store.retain(retention_bytes=1 << 30, disk_bytes=0, live={"new"})
    assert new.bounds() == Bounds(3 * SEGMENT_BYTES, 4 * SEGMENT_BYTES)
    assert store.usage() == SEGMENT_BYTES


async def test_a_stream_emptied_by_the_budget_goes_on_with_new_offsets(
    store: StreamStore, tasks: TaskRegistry, recorders: Recorders
) -> None:
    stream = await store.create("s1")
    await fill(stream, tasks, b"x" * 5000)
    await store.retain(retention_bytes=1 << 30, disk_bytes=0, live=set())
    for known in (stream, await asyncio.to_thread(Stream.open, stream.path, 1)):
        assert known.bounds() == Bounds(5000, 5000)
        assert known.gaps() == []
    recorders.start(await stream.begin_generation()).write(b"y")
    assert await eventually(lambda: stream.bounds() == Bounds(5000, 5001))
    assert stream.gaps() == []
    assert await read_all(await asyncio.to_thread(Stream.open, stream.path, 1)) == b"y"


async def test_what_is_being_recorded_keeps_its_newest_segment(
    store: StreamStore, recorders: Recorders, tasks: TaskRegistry
) -> None:
    """Even when nobody says that it is alive."""
    stream = await store.create("s1")
    recorders.start(await stream.begin_generation()).write(b"x" * 5000)
    assert await eventually(lambda: stream.bounds().end == 5000)
    await store.retain(retention_bytes=1 << 30, disk_bytes=0, live=set())
    assert stream.bounds() == Bounds(SEGMENT_BYTES, 5000)
    recorders.newest.write(b"y" * 10)
    assert await eventually(lambda: stream.bounds().end == 5010)
    assert sum(tasks.counts.active.values()) == 0
