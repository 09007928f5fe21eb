"""What the tests of streams share."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import threading

from teleclaude.errors import GapError
from teleclaude.model import Gap
from teleclaude.streams import Follower, Stream

SEGMENT_BYTES = 4096


class Recorder:
    """A recorder as tmux starts one: by the shell, with the pane's output as its standard input."""

    def __init__(self, command: str) -> None:
        self.process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def write(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def end(self) -> None:
        """No more output: the recorder ends by itself, if it can."""
        with contextlib.suppress(BrokenPipeError):
            assert self.process.stdin is not None
            self.process.stdin.close()

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def reap(self) -> None:
        """Collect it in the background, as tmux does."""
        threading.Thread(target=self.process.wait, name="reap").start()

    def close(self) -> None:
        self.end()
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.process.pid, signal.SIGCONT)
        try:
            self.process.wait(2)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(2)


class Recorders:
    """Starts recorders and makes sure that none is left."""

    def __init__(self) -> None:
        self._all: list[Recorder] = []

    def start(self, command: str) -> Recorder:
        self._all.append(Recorder(command))
        return self._all[-1]

    async def rearm(self, command: str) -> None:
        """What tmux does on a second ``pipe-pane``: the old recorder's pipe is closed, the new one is started."""
        self._all[-1].end()
        await self.start_new(command)

    async def start_new(self, command: str) -> None:
        """Start another one; its process is made by a thread, as it would be by tmux."""
        await asyncio.to_thread(self.start, command)

    @property
    def newest(self) -> Recorder:
        return self._all[-1]

    def close(self) -> None:
        for recorder in self._all:
            recorder.close()


async def read_all(stream: Stream, start: int | None = None) -> bytes:
    """Every kept byte from ``start`` on, over holes."""
    parts: list[bytes] = []
    offset = stream.bounds().start if start is None else start
    while True:
        try:
            chunk = await stream.read(offset, 100_000)
        except GapError as error:
            offset = error.start
            continue
        if not chunk.data:
            return b"".join(parts)
        assert chunk.start == offset
        assert chunk.end == offset + len(chunk.data)
        parts.append(chunk.data)
        offset = chunk.end


async def collect(follower: Follower, until: int, timeout: float = 10) -> tuple[bytes, list[Gap]]:
    """What a follower tells until its offset is ``until``."""
    parts: list[bytes] = []
    gaps: list[Gap] = []
    while follower.offset < until:
        item = await follower.next(timeout)
        if isinstance(item, Gap):
            gaps.append(item)
            continue
        assert item is not None, f"nothing came at {follower.offset}"
        assert hasattr(item, "data"), item
        parts.append(item.data)
    return b"".join(parts), gaps
