"""A live cursor on a stream. It reads at its owner's pace; one that is not asked costs nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Literal, Self

from teleclaude.errors import GapError, NotFoundError
from teleclaude.model import Chunk, Gap
from teleclaude.streams.stream import Stream
from teleclaude.streams.watch import Watch, Watcher

Mode = Literal["lossless", "latest"]

LATEST_BYTES = 256 * 1024
"""A follower of mode ``latest`` that is further behind than this goes straight to the end."""

RECHECK_SECONDS = 30.0
"""Once in this time a waiting follower looks by itself."""


@dataclass(frozen=True, slots=True)
class Ended:
    """Nothing follows after ``offset``. ``deleted``: the stream itself is gone."""

    offset: int
    deleted: bool = False


class Follower:
    """Enter it, then ask for one thing after the other. Bytes come in order, each once, and every hole has a name."""

    def __init__(self, stream: Stream, watcher: Watcher, start: int, *, mode: Mode = "lossless") -> None:
        """``start`` may lie beyond the end: nothing comes then until the stream has got there."""
        self._stream = stream
        self._offset = start
        self._mode = mode
        self._watching = watcher.watch(stream)
        self._watch: Watch | None = None
        self._final: int | None = None
        self._woken = False
        self._busy = False
        self._told: set[Gap] = set()

    async def __aenter__(self) -> Self:
        self._watch = self._watching.__enter__()
        self._stream.add_follower()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Stop following. Does nothing the second time."""
        if self._watch is not None:
            self._watch = None
            self._watching.__exit__(None, None, None)
            self._stream.remove_follower()

    @property
    def offset(self) -> int:
        """Where the next byte will come from."""
        return self._offset

    def finish(self, end: int) -> None:
        """Nothing will be written from ``end`` on: once there, ``next`` answers ``Ended``."""
        self._final = end
        if self._watch is not None:
            self._watch.poke()

    def wake(self) -> None:
        """Let ``next`` come back with None at once, the one that waits or the one to come."""
        self._woken = True
        if self._watch is not None:
            self._watch.poke()

    async def next(self, timeout: float | None = None) -> Chunk | Gap | Ended | None:
        """The next bytes (at most 64 KiB), the next hole, or the end; None after ``timeout`` seconds or a ``wake``.

        Nothing is lost when it is cancelled: the same comes again.
        """
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        if self._busy:
            await asyncio.sleep(0)  # one that is behind would never let anybody else run
        while True:
            item = await self._ready()
            self._busy = item is not None
            if item is not None:
                return item
            if self._woken:
                self._woken = False
                return None
            if self._watch is None:
                return Ended(self._offset)
            left = RECHECK_SECONDS if deadline is None else deadline - loop.time()
            if left <= 0:
                return None
            await self._watch.changed(min(left, RECHECK_SECONDS))

    async def _ready(self) -> Chunk | Gap | Ended | None:
        """What there is without waiting for the stream to grow."""
        chunk = self._stream.shared_chunk(self._offset)
        if chunk is None:
            if self._stream.closed:
                return Ended(self._offset, deleted=True)
            gap = self._next_gap()
            if gap is not None:
                return gap
            try:
                chunk = await self._stream.read_shared(self._offset)
            except GapError:
                return self._next_gap()
            except NotFoundError:
                return Ended(self._offset, deleted=True)
        if chunk.data:
            self._offset = chunk.end
            self._told.clear()
            return chunk
        if self._final is not None and self._offset >= self._final:
            return Ended(self._offset)
        return None

    def _next_gap(self) -> Gap | None:
        """The hole that begins at the offset, or the part of one that lies before it; the offset then passes it."""
        start = self._stream.start
        if self._offset < start:
            return self._pass(Gap(self._offset, start, start - self._offset, "retention"))
        for gap in self._stream.gaps_after(self._offset):
            if gap.start > self._offset:
                break
            if gap.end > self._offset:
                return self._pass(Gap(self._offset, gap.end, gap.end - self._offset, gap.reason))
            if gap not in self._told:
                self._told.add(gap)
                return gap
        if self._mode == "latest":
            end = self._stream.bounds().end
            if end - self._offset > LATEST_BYTES:
                return self._pass(Gap(self._offset, end, end - self._offset, "skipped"))
        return None

    def _pass(self, gap: Gap) -> Gap:
        self._offset = gap.end
        self._told.clear()
        return gap
