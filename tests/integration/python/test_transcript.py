"""A session's transcript on a disk that is full for a while."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from teleclaude.clock import SystemClock
from teleclaude.model import CompletedState, Ending
from teleclaude.service.python.transcript import Transcript
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from tests.support.faults import fill, small_disk

CHUNK = b"x" * (64 << 10)


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted")
async def test_what_a_full_disk_cost_is_a_named_hole_and_the_rest_is_kept(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    clock = SystemClock()
    with small_disk(disk, "1m"):
        async with (
            TaskRegistry(clock) as tasks,
            make_watcher(tasks) as watcher,
            StreamStore(disk / "streams", watcher=watcher, segment_bytes=1 << 20) as streams,
        ):
            stream = await streams.create("S1")
            transcript = Transcript("S1", stream, tasks)
            await transcript.write(b"before\n")
            fill(disk / "fill")
            for _ in range(4):
                await transcript.write(CHUNK)
            (disk / "fill").unlink()
            await transcript.write(b"after\n")
            await transcript.show(CompletedState(Ending(completed_at=clock.now())))
            end = stream.bounds().end
            assert (await stream.read(0, 64)).data.startswith(b"before\n")
            assert (await stream.read(end - 6, 64)).data == b"after\n"
            assert end < 4 * len(CHUNK)
            assert [gap.reason for gap in stream.gaps()] == ["not_kept"]
            await transcript.aclose()
