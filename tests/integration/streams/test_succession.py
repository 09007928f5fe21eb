"""Recorders killed, stopped, resumed late and replaced in any order, under daemons that come and go."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from contextlib import suppress
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teleclaude.errors import DeadlineError, GapError
from teleclaude.streams import Stream
from teleclaude.streams.recorder import wake
from tests.integration.streams.support import Recorder

SEGMENT_BYTES = 64
RECORD = re.compile(rb"(\d{7})\n")
STEPS = [
    *("write", "write", "kill", "stop", "resume", "wake"),
    *("rearm", "rearm_in_haste", "never_start", "settle", "reopen", "drop"),
]


class House:
    """One stream, its recorders as tmux has them (one pipe at a time), and everything that was ever seen."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stream = Stream(path, SEGMENT_BYTES)
        self.recorders: list[Recorder] = []
        self.seen: dict[int, int] = {}
        self.ends = [0]
        self.written = 0

    async def begin(self, timeout: float = 1.0) -> None:
        """What ``pipe-pane`` does: the old pipe is closed, whoever reads it, and another one opened."""
        with suppress(DeadlineError):
            await self.stream.rearm(self.start, timeout=timeout)

    async def start(self, command: str) -> None:
        for recorder in self.recorders:
            recorder.end()
        self.recorders.append(await asyncio.to_thread(Recorder, command))
        await self.stream.recorder_started(5)

    async def step(self, what: str) -> None:
        await getattr(self, f"_{what}")()

    async def _write(self) -> None:
        self.write(self.recorders[-1])

    async def _kill(self) -> None:
        self.recorders[-1].process.kill()
        await asyncio.to_thread(self.recorders[-1].process.wait, 5)

    async def _stop(self) -> None:
        self.recorders[-1].process.send_signal(signal.SIGSTOP)

    async def _resume(self) -> None:
        for recorder in self.recorders:
            recorder.process.send_signal(signal.SIGCONT)

    async def _wake(self) -> None:
        process = self.stream.recorder()
        if process is not None:
            wake(process)

    async def _rearm(self) -> None:
        await self.begin()

    async def _rearm_in_haste(self) -> None:
        await self.begin(timeout=0.0)

    async def _never_start(self) -> None:
        await self.stream.begin_generation("recorder_died")

    async def _settle(self) -> None:
        with suppress(DeadlineError):
            await self.stream.settle(0.01)

    async def _reopen(self) -> None:
        self.stream = await asyncio.to_thread(Stream.open, self.path, SEGMENT_BYTES)

    async def _drop(self) -> None:
        await self.stream.drop(self.stream.bounds().end - 200)

    def write(self, recorder: Recorder) -> None:
        if recorder.process.poll() is None:
            with suppress(BrokenPipeError):
                recorder.write(b"".join(b"%07d\n" % number for number in range(self.written, self.written + 20)))
        self.written += 20

    async def look(self) -> None:
        """Every byte that is there is the one that was there, in the order in which it was written."""
        bounds = self.stream.bounds()
        self.ends.append(bounds.end)
        offset, parts = bounds.start, [b""]
        while offset < bounds.end:
            try:
                chunk = await self.stream.read(offset, 100_000)
            except GapError as error:
                offset = error.start
                continue
            for at, byte in enumerate(chunk.data, chunk.start):
                assert self.seen.setdefault(at, byte) == byte, f"offset {at} means another byte than before"
            parts.append(chunk.data)
            offset = chunk.end
        numbers = [int(number) for number in RECORD.findall(b"".join(parts))]
        assert numbers == sorted(set(numbers))
        assert self.ends == sorted(self.ends)
        missing = bounds.start == 0 and numbers != list(range(numbers[-1] + 1 if numbers else 0))
        assert not missing or self.stream.gaps(), "something is missing and nothing says so"

    def close(self) -> None:
        for recorder in self.recorders:
            recorder.close()


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(steps=st.lists(st.sampled_from(STEPS), max_size=14))
async def test_no_offset_ever_stands_for_two_different_bytes(tmp_path: Path, steps: list[str]) -> None:
    house = House(tmp_path / os.urandom(8).hex() / "pty")
    try:
        await house.begin()
        for step in ["write", *steps, "write", "resume"]:
            await house.step(step)
            await house.look()
        await house.begin()
        await house.look()
        house.write(house.recorders[-1])
        house.recorders[-1].end()
        assert await house.stream.recorder_ended(5)
        await house.look()
        assert house.stream.settled
        assert b"%07d\n" % (house.written - 1) in (await house.stream.tail(100)).data
    finally:
        house.close()
        shutil.rmtree(house.path.parent)
