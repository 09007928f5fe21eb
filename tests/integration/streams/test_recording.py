"""Real recorders: nothing is lost, every hole has a name, and no offset stands for two bytes."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
from pathlib import Path

import pytest

from teleclaude.errors import DeadlineError, GapError, NoSpaceError
from teleclaude.model import Bounds, Chunk, Gap
from teleclaude.streams import Stream
from teleclaude.streams.layout import GAPS_NAME, MAX_INDEX, pid_name, record_name, segment_name
from teleclaude.tasks import process_start_time
from tests.integration.streams.support import SEGMENT_BYTES, Recorders, read_all
from tests.support.wait import eventually


async def ends_at(stream: Stream, end: int) -> None:
    assert await eventually(lambda: stream.bounds().end >= end)
    assert stream.bounds().end == end


def lines(first: int, count: int) -> bytes:
    return b"".join(b"%07d\n" % number for number in range(first, first + count))


async def test_records_from_the_first_byte(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(lines(0, 3000))
    await ends_at(stream, 24_000)
    assert await read_all(stream) == lines(0, 3000)
    assert stream.bounds() == Bounds(0, 24_000)
    assert stream.gaps() == []
    assert (stream.path / segment_name(0, 5)).stat().st_size == 24_000 - 5 * SEGMENT_BYTES


async def test_files_are_for_nobody_else(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"secret")
    await ends_at(stream, 6)
    assert stream.path.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in stream.path.iterdir()} == {0o600}


@pytest.mark.parametrize("name", ["a%Y", "a b", "it's", "$HOME", "a;b", "#{x}", "-n", "ünï"])
async def test_any_directory_name_will_do(tmp_path: Path, recorders: Recorders, name: str) -> None:
    stream = Stream(tmp_path / name / "pty", SEGMENT_BYTES)
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"x" * 5000)
    await ends_at(stream, 5000)


async def test_the_recorder_says_who_it_is(stream: Stream, recorders: Recorders) -> None:
    assert stream.recorder_alive() is False
    command = await stream.begin_generation()
    assert stream.recorder_alive() is None
    recorder = recorders.start(command)
    process = await stream.recorder_started(5)
    assert process is not None
    assert process.pid == recorder.process.pid
    assert process.start_time == process_start_time(process.pid)
    assert stream.recorder() == process
    assert stream.recorder_alive() is True
    assert await stream.recorder_ended(0.01) is False
    recorder.end()
    assert await stream.recorder_ended(5)
    assert stream.recorder_alive() is False


async def test_a_recorder_that_never_comes_is_not_waited_for_long(stream: Stream) -> None:
    await stream.begin_generation()
    assert await stream.recorder_started(0.05) is None
    assert not await stream.recorder_ended(0.05)
    assert stream.recorder_alive() is None


async def test_rearming_goes_on_with_the_next_offset(stream: Stream, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"a" * 5000)
    await ends_at(stream, 5000)
    await stream.rearm(recorders.rearm)
    recorders.newest.write(b"b" * 5000)
    await ends_at(stream, 10_000)
    assert await read_all(stream) == b"a" * 5000 + b"b" * 5000
    assert stream.gaps() == [Gap(5000, 5000, None, "recorder_died")]
    assert stream.settled


async def test_a_killed_recorder_leaves_a_named_hole(stream: Stream, recorders: Recorders) -> None:
    """X6"""
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"a" * 5000)
    await ends_at(stream, 5000)
    recorder.signal(signal.SIGKILL)
    recorder.reap()
    assert await stream.recorder_ended(5)
    await stream.rearm(recorders.rearm)
    recorders.newest.write(b"b")
    await ends_at(stream, 5001)
    assert stream.gaps() == [Gap(5000, 5000, None, "recorder_died")]


async def test_a_restart_without_loss_leaves_no_hole(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"a" * 10)
    recorder.end()
    assert await stream.recorder_ended(5)
    await stream.rearm(recorders.rearm, reason=None)
    recorders.newest.write(b"b" * 10)
    await ends_at(stream, 20)
    assert stream.gaps() == []


async def test_a_stopped_recorder_is_killed_and_its_rest_is_a_hole(stream: Stream, recorders: Recorders) -> None:
    """X7"""
    old = recorders.start(await stream.begin_generation())
    old.write(b"a" * 5000)
    await ends_at(stream, 5000)
    old.signal(signal.SIGSTOP)
    old.write(b"lost" * 100)
    old.reap()
    settling = asyncio.get_running_loop().time()
    await stream.rearm(recorders.rearm, reason=None, timeout=0.2)
    assert asyncio.get_running_loop().time() - settling < 2
    assert old.process.wait(5) == -signal.SIGKILL
    recorders.newest.write(b"b")
    await ends_at(stream, 5001)
    assert (await stream.read(4999)).data == b"ab"
    assert stream.gaps() == [Gap(5000, 5000, None, "recorder_died")]


async def test_bytes_wait_until_the_old_recorder_has_ended(stream: Stream, recorders: Recorders) -> None:
    old = recorders.start(await stream.begin_generation())
    old.write(b"a")
    await ends_at(stream, 1)
    new = recorders.start(await stream.begin_generation("recorder_died"))
    new.write(b"new")
    await stream.recorder_started(5)
    assert not stream.settled
    old.write(b"b" * 5000)
    await ends_at(stream, 5001)
    settling = asyncio.gather(stream.settle())
    old.end()
    await settling
    await ends_at(stream, 5004)
    assert (await stream.read(5000)).data == b"bnew"


async def test_a_recorder_that_starts_too_late_records_nothing(stream: Stream, recorders: Recorders) -> None:
    first = recorders.start(await stream.begin_generation())
    first.write(b"a")
    await ends_at(stream, 1)
    late = await stream.begin_generation("recorder_died")
    await stream.settle(0)
    assert stream.settled
    recorder = recorders.start(late)
    assert await asyncio.to_thread(recorder.process.wait, 5) == 1
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    for known in (stream, again):
        assert "/2.pid" in await known.begin_generation(), "a number that was given out is not given out again"
        await known.settle(0)
        (stream.path / "2.pid").unlink()
    first.write(b"b")
    await ends_at(stream, 2)
    assert stream.recorder_alive() is True
    assert stream.gaps() == []


async def test_a_number_given_up_leaves_nothing_in_the_end(stream: Stream, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation())
    await stream.recorder_started(5)
    for _ in range(3):
        await stream.begin_generation("recorder_died")
        await stream.settle(0)
        assert len(list(stream.path.iterdir())) == 3
    await stream.rearm(recorders.rearm)
    await stream.recorder_started(5)
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    assert {file.name for file in again.path.iterdir()} == {GAPS_NAME, "4.json", "4.pid"}


async def test_a_superseded_recorder_that_starts_too_late_records_nothing(stream: Stream, recorders: Recorders) -> None:
    late = await stream.begin_generation()
    await stream.rearm(recorders.start_new, reason=None)
    assert await asyncio.to_thread(recorders.start(late).process.wait, 5) == 1
    assert await stream.recorder_started(5) is not None
    assert stream.recorder_alive() is True
    assert stream.gaps() == [Gap(0, 0, None, "recorder_died")]


async def test_a_start_that_fails_leaves_the_old_recorder_alone(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"a")
    await ends_at(stream, 1)

    async def fail(_command: str) -> None:
        raise DeadlineError("tmux is away", operation="test")

    with pytest.raises(DeadlineError):
        await stream.rearm(fail)
    await stream.settle(0)
    recorder.write(b"b")
    await ends_at(stream, 2)
    assert stream.settled
    assert stream.gaps() == []


async def test_an_interrupted_change_is_completed_at_start(stream: Stream, recorders: Recorders) -> None:
    old = recorders.start(await stream.begin_generation())
    old.write(b"a" * 100)
    await ends_at(stream, 100)
    new = recorders.start(await stream.begin_generation("recorder_died"))
    await stream.recorder_started(5)
    new.write(b"b" * 100)
    old.end()
    await asyncio.to_thread(old.process.wait, 5)
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    assert not again.settled
    assert again.bounds() == Bounds(0, 100)
    await again.settle()
    await ends_at(again, 200)
    assert again.gaps() == [Gap(100, 100, None, "recorder_died")]


async def test_a_hole_is_durable_before_the_base_is(stream: Stream, recorders: Recorders) -> None:
    """A crash between the two steps repeats the first one, which changes nothing."""
    old = recorders.start(await stream.begin_generation())
    old.write(b"a" * 100)
    await ends_at(stream, 100)
    recorders.start(await stream.begin_generation("recorder_died"))
    await stream.recorder_started(5)
    waiting = (stream.path / record_name(1)).read_bytes()
    old.end()
    await asyncio.to_thread(old.process.wait, 5)
    await stream.settle()
    (stream.path / record_name(1)).write_bytes(waiting)
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    await again.settle()
    assert again.bounds() == Bounds(0, 100)
    assert again.gaps() == [Gap(100, 100, None, "recorder_died")]


async def test_everything_is_the_same_after_opening_again(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    for number in range(3):
        recorder.write(lines(number * 1000, 1000))
        await ends_at(stream, 8000 * (number + 1))
        await stream.rearm(recorders.rearm)
        recorder = recorders.newest
    again = await asyncio.to_thread(Stream.open, stream.path, 999)
    assert again.bounds() == stream.bounds()
    assert again.gaps() == stream.gaps()
    assert await read_all(again) == lines(0, 3000)


async def test_generations_may_have_segments_of_other_sizes(tmp_path: Path, recorders: Recorders) -> None:
    expected = b""
    path = tmp_path / "s" / "pty"
    stream = Stream(path, 100)
    for size in (100, 7, 4096):
        if path.exists():
            stream = await asyncio.to_thread(Stream.open, path, size)
        await stream.rearm(recorders.start_new, reason=None)
        data = os.urandom(1000)
        recorders.newest.write(data)
        expected += data
        await ends_at(stream, len(expected))
        recorders.newest.end()
        assert await stream.recorder_ended(5)
    assert await read_all(stream) == expected


async def test_a_claim_of_another_boot_means_nothing(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    await stream.recorder_started(5)
    record = stream.path / record_name(0)
    record.write_text(record.read_text().replace('"boot": "', '"boot": "another'))
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    assert again.recorder_alive() is False
    assert again.recorder() is None
    await again.begin_generation()
    assert again.settled
    assert recorder.process.poll() is None


async def test_a_stranger_with_the_recorders_number_is_not_touched(stream: Stream, recorders: Recorders) -> None:
    """X17"""
    stranger = recorders.start("exec cat")
    await stream.begin_generation()
    stat = Path(f"/proc/{stranger.process.pid}/stat").read_text()
    started = str(process_start_time(stranger.process.pid))
    (stream.path / pid_name(0)).write_text(stat.replace(started, "17"))
    assert stream.recorder_alive() is False
    await stream.rearm(recorders.start_new, timeout=0)
    assert stranger.process.poll() is None


async def test_a_recorder_without_a_written_pid_is_found(stream: Stream, recorders: Recorders) -> None:
    recorder = recorders.start(await stream.begin_generation())
    recorder.write(b"a")
    await ends_at(stream, 1)
    (stream.path / pid_name(0)).write_bytes(b"")
    assert stream.recorder_alive() is None
    recorder.signal(signal.SIGSTOP)
    recorder.reap()
    await stream.rearm(recorders.rearm, timeout=0.1)
    assert recorder.process.wait(5) == -signal.SIGKILL


async def test_a_full_disk_is_said_and_recovered_from(full_disk: Path, recorders: Recorders) -> None:
    """X18"""
    stream = Stream(full_disk / "s" / "pty", 65536)
    recorder = recorders.start(await stream.begin_generation())
    data = os.urandom(2 << 20)
    with pytest.raises(BrokenPipeError):
        recorder.write(data)
    recorder.reap()
    assert await stream.recorder_ended(5)
    end = stream.bounds().end
    assert 900_000 < end < 1 << 20
    with pytest.raises(NoSpaceError):
        await stream.rearm(recorders.start_new)
    await stream.drop(end // 2)
    await stream.rearm(recorders.start_new)
    recorders.newest.write(b"again")
    await ends_at(stream, end + 5)
    assert stream.gaps() == [Gap(end, end, None, "disk_full")]
    start = stream.bounds().start
    assert await read_all(stream) == data[start:end] + b"again"


async def test_generations_without_bytes_do_not_pile_up(stream: Stream, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation()).write(b"a")
    await ends_at(stream, 1)
    for _ in range(10):
        await stream.rearm(recorders.rearm)
    await stream.recorder_started(5)
    assert len(list(stream.path.iterdir())) <= 6
    assert stream.gaps() == [Gap(1, 1, None, "recorder_died")]


async def test_a_recorder_at_the_end_of_its_numbers_is_followed_by_another(
    stream: Stream, recorders: Recorders
) -> None:
    """``split`` ends after its last suffix; that looks like any other death."""
    recorder = recorders.start(await stream.begin_generation())
    await stream.recorder_started(5)
    recorder.signal(signal.SIGKILL)
    recorder.reap()
    assert await stream.recorder_ended(5)
    for index in (MAX_INDEX - 1, MAX_INDEX):
        (stream.path / segment_name(0, index)).write_bytes(b"x" * SEGMENT_BYTES)
    again = await asyncio.to_thread(Stream.open, stream.path, SEGMENT_BYTES)
    end = (MAX_INDEX + 1) * SEGMENT_BYTES
    assert again.bounds() == Bounds(end - 2 * SEGMENT_BYTES, end)
    await again.rearm(recorders.start_new)
    recorders.newest.write(b"on")
    await ends_at(again, end + 2)
    assert again.gaps() == [Gap(end, end, None, "recorder_died")]


async def test_a_million_lines_are_exact(tmp_path: Path) -> None:
    stream = Stream(tmp_path / "s" / "pty", 1 << 20)
    command = await stream.begin_generation()
    run = ["/bin/sh", "-c", f"seq 1000000 | /bin/sh -c {shlex.quote(command)}"]
    assert await asyncio.to_thread(subprocess.call, run) == 0
    assert (await read_all(stream)) == b"".join(b"%d\n" % number for number in range(1, 1_000_001))


async def test_reads_say_what_they_are(stream: Stream, recorders: Recorders) -> None:
    recorders.start(await stream.begin_generation(base=1000)).write(b"0123456789")
    await ends_at(stream, 1010)
    assert await stream.read(1000) == Chunk(1000, 1010, 1010, b"0123456789")
    assert await stream.read(1003, 2) == Chunk(1003, 1005, 1010, b"34")
    assert await stream.read(1010) == Chunk(1010, 1010, 1010, b"")
    assert await stream.read(5000) == Chunk(5000, 5000, 1010, b"")
    assert await stream.tail(3) == Chunk(1007, 1010, 1010, b"789")
    assert (await stream.tail(100)).data == b"0123456789"
    with pytest.raises(GapError) as caught:
        await stream.read(999)
    assert caught.value.start == 1000
    assert [stream.resolve(asked, 7) for asked in (None, 0, 1005, -3, -100)] == [7, 0, 1005, 1007, 1000]
    written_at = stream.written_at()
    assert written_at is not None
    assert abs(written_at - (stream.path / segment_name(0, 0)).stat().st_mtime) < 1
