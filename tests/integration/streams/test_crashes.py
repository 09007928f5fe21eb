"""The daemon is killed at any moment: an offset that was seen once means the same byte for ever."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from pathlib import Path

from teleclaude.errors import GapError
from teleclaude.streams import Stream
from tests.integration.streams.support import Recorders

ROUNDS = 12

DAEMON = """
import asyncio, os, random, signal, subprocess, sys
from pathlib import Path
from teleclaude.streams import Stream

async def main(path, seed):
    chance = random.Random(seed)
    stream = Stream.open(path, 512) if path.exists() else Stream(path, 512)
    await stream.settle(0.05)
    recorders = []
    has_started = False

    def start(command):
        nowhere = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        recorders.append(subprocess.Popen(["/bin/sh", "-c", command], stdin=subprocess.PIPE, **nowhere))

    while True:
        old = recorders.pop() if recorders else None
        command = await stream.begin_generation("recorder_died")
        if old and has_started and chance.random() < 0.3:
            os.kill(old.pid, signal.SIGSTOP)
        if chance.random() < 0.9:
            await asyncio.to_thread(start, command)
            recorders[-1].stdin.write(chance.randbytes(chance.randrange(1, 3000)))
            recorders[-1].stdin.flush()
            has_started = chance.random() < 0.7 and await stream.recorder_started(1)
        if old:
            old.stdin.close()
        if chance.random() < 0.7:
            await stream.settle(0.02)
        if chance.random() < 0.3:
            await stream.drop(stream.bounds().end - 20_000)
        print("turn", flush=True)

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


async def see(stream: Stream, seen: dict[int, int]) -> None:
    """Compare every byte that is there with what was there before."""
    bounds = stream.bounds()
    offset = bounds.start
    while offset < bounds.end:
        try:
            chunk = await stream.read(offset, 50_000)
        except GapError as error:
            offset = error.start
            continue
        for at, byte in enumerate(chunk.data, chunk.start):
            assert seen.setdefault(at, byte) == byte, f"offset {at} means another byte than before"
        offset = chunk.end


async def turns(daemon: asyncio.subprocess.Process, count: int) -> None:
    """Wait until the daemon has gone round ``count`` times."""
    assert daemon.stdout is not None
    async with asyncio.timeout(20):
        while count and not daemon.stdout.at_eof():
            count -= await daemon.stdout.readline() == b"turn\n"


async def test_offsets_survive_kills_at_any_moment(tmp_path: Path, recorders: Recorders) -> None:
    """X1"""
    path = tmp_path / "s" / "pty"
    seen: dict[int, int] = {}
    ends = [0]
    for number in range(ROUNDS):
        daemon = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", DAEMON, str(path), str(number)), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        chance = random.Random(number)
        try:
            await turns(daemon, chance.randrange(1, 10))
            await asyncio.sleep(chance.random() * 0.05)
        finally:
            daemon.kill()
            _, errors = await daemon.communicate()
        assert b"Traceback" not in errors, errors.decode()
        stream = await asyncio.to_thread(Stream.open, path, 512)
        await see(stream, seen)
        ends.append(stream.bounds().end)
    assert ends == sorted(ends)
    stream = await asyncio.to_thread(Stream.open, path, 512)
    await stream.settle(0.05)
    await stream.rearm(recorders.start_new, timeout=0.05)
    assert stream.settled
    await see(stream, seen)
    assert not any(gap.bytes for gap in stream.gaps()), "nobody cut a file"
