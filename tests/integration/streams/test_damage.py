"""What others do to the files: every byte that is not what it was is named, never made up."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import signal
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teleclaude.errors import GapError, InternalError, NotFoundError
from teleclaude.model import Bounds, Gap
from teleclaude.streams import Stream
from teleclaude.streams.layout import GAPS_NAME, record_name, segment_name
from teleclaude.streams.ledger import MAX_GAPS
from tests.integration.streams.support import SEGMENT_BYTES, Recorder, Recorders, read_all
from tests.support.wait import eventually


async def recorded(stream: Stream, recorders: Recorders, data: bytes) -> Recorder:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(data)
    assert await eventually(lambda: stream.bounds().end == len(data))
    return recorder


def random_bytes(count: int) -> bytes:
    """Without zeros: those are what holes read as."""
    return bytes(random.Random(count).choices(range(1, 256), k=count))


async def reopened(stream: Stream) -> Stream:
    return await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)


async def test_a_segment_cut_short_is_a_hole(stream: Stream, recorders: Recorders) -> None:
    """X50"""
    data = random_bytes(20_000)
    await recorded(stream, recorders, data)
    os.truncate(stream.path / segment_name(0, 1), 100)
    assert (await stream.read(0, 20_000)).data == data[: SEGMENT_BYTES + 100]
    with pytest.raises(GapError) as caught:
        await stream.read(SEGMENT_BYTES + 100)
    assert caught.value.start == 2 * SEGMENT_BYTES
    gap = Gap(SEGMENT_BYTES + 100, 2 * SEGMENT_BYTES, SEGMENT_BYTES - 100, "truncated")
    assert stream.gaps() == [gap]
    assert await read_all(stream) == data[: gap.start] + data[gap.end :]
    await stream.write_down_gaps()
    assert (await reopened(stream)).gaps() == [gap]


async def test_segments_taken_away_are_a_hole(stream: Stream, recorders: Recorders) -> None:
    data = random_bytes(20_000)
    await recorded(stream, recorders, data)
    for index in (1, 2):
        (stream.path / segment_name(0, index)).unlink()
    gap = Gap(SEGMENT_BYTES, 3 * SEGMENT_BYTES, 2 * SEGMENT_BYTES, "truncated")
    assert await read_all(stream) == data[: gap.start] + data[gap.end :]
    assert stream.gaps() == [gap]
    assert (await reopened(stream)).gaps() == [gap]


@pytest.mark.parametrize("kept", [0, 1, 1000])
async def test_cutting_what_is_being_written_is_a_hole_and_the_rest_is_exact(
    stream: Stream, recorders: Recorders, kept: int
) -> None:
    data = random_bytes(6000)
    recorder = await recorded(stream, recorders, data)
    os.truncate(stream.path / segment_name(0, 1), kept)
    assert stream.bounds() == Bounds(0, 6000)
    gap = Gap(SEGMENT_BYTES + kept, 6000, 6000 - SEGMENT_BYTES - kept, "truncated")
    assert stream.gaps() == [gap]
    recorder.write(b"after")
    assert await eventually(lambda: stream.bounds().end == 6005)
    assert await read_all(stream) == data[: gap.start] + b"after"
    assert stream.gaps() == [gap]


async def test_what_was_cut_before_anybody_saw_it_is_in_the_hole(stream: Stream, recorders: Recorders) -> None:
    data = random_bytes(3000)
    recorder = await recorded(stream, recorders, data[:2000])
    recorder.write(data[2000:])
    segment = stream.path / segment_name(0, 0)
    assert await eventually(lambda: segment.stat().st_size == 3000)
    os.truncate(segment, 100)
    assert stream.bounds().end == 3000
    assert stream.gaps() == [Gap(100, 3000, 2900, "truncated")]
    recorder.write(b"after")
    assert await eventually(lambda: stream.bounds().end == 3005)
    assert await read_all(stream) == data[:100] + b"after"


async def test_a_segment_that_vanished_before_anybody_saw_it_is_a_hole(stream: Stream, recorders: Recorders) -> None:
    data = random_bytes(3 * SEGMENT_BYTES - 10)
    recorder = await recorded(stream, recorders, data[:100])
    recorder.write(data[100:])
    assert await eventually((stream.path / segment_name(0, 2)).exists)
    (stream.path / segment_name(0, 1)).unlink()
    assert await eventually(lambda: stream.bounds().end == len(data))
    assert await read_all(stream) == data[:SEGMENT_BYTES] + data[2 * SEGMENT_BYTES :]
    assert stream.gaps() == [Gap(SEGMENT_BYTES, 2 * SEGMENT_BYTES, SEGMENT_BYTES, "truncated")]


async def test_a_cut_that_nobody_saw_is_found_by_the_hole_it_left(tmp_path: Path, recorders: Recorders) -> None:
    stream = Stream(tmp_path / "s" / "pty", 1 << 20)
    data = random_bytes(300_000)
    recorder = await recorded(stream, recorders, data)
    os.truncate(stream.path / segment_name(0, 0), 5000)
    recorder.write(b"after" * 1000)
    assert await eventually(lambda: (stream.path / segment_name(0, 0)).stat().st_size == 305_000)
    assert stream.bounds().end == 305_000
    assert await read_all(stream) == data[:5000] + b"after" * 1000
    assert stream.gaps() == [Gap(5000, 300_000, 295_000, "truncated")]


async def test_offsets_of_lost_bytes_are_not_used_again(stream: Stream, recorders: Recorders) -> None:
    await recorded(stream, recorders, random_bytes(3000))
    os.truncate(stream.path / segment_name(0, 0), 10)
    assert stream.bounds().end == 3000
    await stream.write_down_gaps()
    assert (await reopened(stream)).bounds() == Bounds(0, 3000)
    await stream.rearm(recorders.rearm)
    recorders.newest.write(b"new")
    assert await eventually(lambda: stream.bounds().end == 3003)
    for known in (stream, await reopened(stream)):
        assert (await known.read(3000)).data == b"new"
        assert known.gaps() == [Gap(10, 3000, 2990, "truncated"), Gap(3000, 3000, None, "recorder_died")]


async def test_a_segment_moved_away_while_it_is_written_is_a_hole(stream: Stream, recorders: Recorders) -> None:
    data = random_bytes(SEGMENT_BYTES * 3)
    recorder = await recorded(stream, recorders, data[:100])
    (stream.path / segment_name(0, 0)).rename(stream.path / "elsewhere")
    assert stream.bounds().end == 100
    recorder.write(data[100:])
    assert await eventually(lambda: stream.bounds().end == len(data))
    assert await read_all(stream) == data[SEGMENT_BYTES:]
    assert stream.gaps() == [Gap(0, SEGMENT_BYTES, SEGMENT_BYTES, "truncated")]


async def test_a_hole_named_once_stays_named(stream: Stream, recorders: Recorders) -> None:
    data = random_bytes(10_000)
    recorder = await recorded(stream, recorders, data)
    os.truncate(stream.path / segment_name(0, 0), 0)
    await read_all(stream)
    await stream.write_down_gaps()
    shutil.copy(stream.path / segment_name(0, 1), stream.path / segment_name(0, 0))
    again = await reopened(stream)
    assert again.gaps() == [Gap(0, SEGMENT_BYTES, SEGMENT_BYTES, "truncated")]
    assert await read_all(again) == data[SEGMENT_BYTES:]
    assert recorder.process.poll() is None


async def test_zeros_that_a_program_wrote_are_bytes(tmp_path: Path, recorders: Recorders) -> None:
    stream = Stream(tmp_path / "s" / "pty", 1 << 20)
    await recorded(stream, recorders, bytes(200_000))
    assert await read_all(stream) == bytes(200_000)
    assert stream.gaps() == []


async def test_a_lost_record_is_said_and_nothing_is_guessed(stream: Stream, recorders: Recorders) -> None:
    await recorded(stream, recorders, b"data")
    (stream.path / record_name(0)).unlink()
    with pytest.raises(InternalError, match=r"0\.json is missing"):
        await reopened(stream)
    (stream.path / record_name(0)).write_text("{}")
    with pytest.raises(InternalError, match=r"0\.json cannot be read"):
        await reopened(stream)


async def test_a_torn_line_of_gaps_is_left_out(stream: Stream, recorders: Recorders) -> None:
    await recorded(stream, recorders, b"data")
    await stream.rearm(recorders.rearm)
    with (stream.path / GAPS_NAME).open("ab") as file:
        file.write(b'{"start": 17, "en')
    again = await reopened(stream)
    assert again.gaps() == [Gap(4, 4, None, "recorder_died")]
    await again.write_down_gaps()
    assert (stream.path / GAPS_NAME).read_bytes().endswith(b"}\n")


async def test_files_of_others_do_not_matter(stream: Stream, recorders: Recorders) -> None:
    await recorded(stream, recorders, b"data")
    for name in ("notes.txt", "0.00", "x.json", "0.json.new", "-1.000000000", "0.000000000~"):
        (stream.path / name).write_text("other")
    assert await read_all(await reopened(stream)) == b"data"


async def test_a_link_in_place_of_a_segment_is_not_followed(
    stream: Stream, recorders: Recorders, tmp_path: Path
) -> None:
    await recorded(stream, recorders, b"data")
    secret = tmp_path / "secret"
    secret.write_bytes(b"key!")
    segment = stream.path / segment_name(0, 0)
    segment.unlink()
    segment.symlink_to(secret)
    assert await read_all(stream) == b""
    assert stream.gaps() == [Gap(0, 4, 4, "truncated")]


async def test_deleted_means_gone(stream: Stream, recorders: Recorders) -> None:
    await recorded(stream, recorders, b"data")
    stream.close()
    for call in (stream.read(0), stream.begin_generation(), stream.settle()):
        with pytest.raises(NotFoundError):
            await call
    assert stream.closed


async def test_holes_are_bounded(stream: Stream, recorders: Recorders) -> None:
    await recorded(stream, recorders, b"x" * 3 * (MAX_GAPS + 1))
    for index in range(MAX_GAPS + 1):
        stream._ledger.miss(3 * index + 1, 3 * index + 2)
    assert len(stream.gaps()) <= MAX_GAPS // 2 + 2
    start = stream.bounds().start
    assert start == 3 * (MAX_GAPS // 2) + 1
    await stream.write_down_gaps()
    assert (await reopened(stream)).bounds() == stream.bounds()


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(st.integers(1, 300), st.binary(min_size=0, max_size=900), st.integers(0, 900)), min_size=1, max_size=5
    )
)
async def test_every_kept_offset_gives_its_byte(tmp_path: Path, lives: list[tuple[int, bytes, int]]) -> None:
    """Random segment sizes, generations and retention: a byte keeps its offset for ever."""
    path = tmp_path / os.urandom(8).hex() / "pty"
    expected, floor = b"", 0
    stream = Stream(path, 1)
    recorders = Recorders()
    try:
        for segment_bytes, data, keep in lives:
            if path.exists():
                stream = await asyncio.to_thread(Stream.open, path, segment_bytes)
            stream.segment_bytes = segment_bytes
            await stream.rearm(recorders.start_new, reason=None)
            recorders.newest.write(data)
            recorders.newest.end()
            assert await stream.recorder_ended(5)
            expected += data
            assert stream.bounds().end == len(expected)
            floor = max(floor, len(expected) - keep)
            await stream.drop(floor, newest_too=keep % 2 == 0)
            bounds = stream.bounds()
            assert bounds.end == len(expected)
            assert bounds.start <= floor
            for known in (stream, await reopened(stream)):
                assert known.bounds() == bounds
                assert await read_all(known) == expected[bounds.start :]
                for offset in range(bounds.start, bounds.end, 97):
                    assert (await known.read(offset, 50)).data == expected[offset : offset + 50]
    finally:
        recorders.close()
        shutil.rmtree(path.parent)


async def test_a_reader_far_behind_does_not_need_the_recorder(stream: Stream, recorders: Recorders) -> None:
    data = random_bytes(50_000)
    recorder = await recorded(stream, recorders, data)
    recorder.signal(signal.SIGSTOP)
    assert await read_all(stream) == data
    chunk = await stream.read(10, 49_000)
    assert chunk.data == data[10:49_010]
