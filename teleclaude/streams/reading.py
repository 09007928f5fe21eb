"""Reads of one stream: bounded, on the loop where that cannot wait, shared by followers at the same place."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from contextlib import suppress

from teleclaude.errors import GapError
from teleclaude.model import Chunk
from teleclaude.streams.layout import extents
from teleclaude.streams.ledger import Ledger
from teleclaude.streams.reader import Fetched, NotCachedError, Stretch, fetch

LOOP_READ_BYTES = 64 * 1024
"""Up to this much is read on the loop, if it is in the page cache; more goes to a worker thread."""

_SHARED_CHUNKS = 8
_OPERATION = "stream.read"


class Reading:
    """Serves the bytes of ``ledger``'s stream, and keeps the latest chunks while there are followers to share them."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._followers = 0
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._from_disk: dict[int, asyncio.Future[Fetched]] = {}

    async def read(self, start: int, limit: int) -> Chunk:
        """See ``Stream.read``."""
        while True:
            stop = self._stop(start, limit)
            if stop <= start:
                return Chunk(start, start, self._ledger.end, b"")
            chunk = self._made(start, await self._fetch(start, stop))
            if chunk is not None:
                return chunk

    async def tail(self, count: int) -> Chunk:
        """See ``Stream.tail``."""
        self._ledger.look()
        end = self._ledger.end
        start = max(self._ledger.start, end - count)
        while True:
            try:
                chunk = await self.read(start, count)
            except GapError as error:
                start = error.start
                continue
            if not chunk.data or chunk.end >= end:
                return chunk
            start = chunk.end

    def shared_chunk(self, start: int) -> Chunk | None:
        """What another follower has read from ``start`` a moment ago."""
        return self._chunks.get(start)

    async def read_shared(self, start: int) -> Chunk:
        """Like ``read``, but all followers at one place get the very same object, and they meet at every 64 KiB.

        The bytes stop at every hole, those of unknown length included.
        """
        while True:
            stop = self._stop(start, LOOP_READ_BYTES - start % LOOP_READ_BYTES)
            place = self._ledger.gaps.next_place(start)
            stop = stop if place is None else min(stop, place)
            if stop <= start:
                return Chunk(start, start, self._ledger.end, b"")
            chunk = self._made(start, await self._fetch_shared(start, stop))
            if chunk is not None:
                return self._share(chunk)

    def add_follower(self) -> None:
        self._followers += 1

    def remove_follower(self) -> None:
        self._followers -= 1
        if not self._followers:
            self._chunks.clear()

    def forget(self) -> None:
        """Drop the shared chunks."""
        self._chunks.clear()

    def _share(self, chunk: Chunk) -> Chunk:
        known = self._chunks.get(chunk.start)
        if known is not None and known.end >= chunk.end:
            return known
        if self._followers:
            self._chunks[chunk.start] = chunk
            if len(self._chunks) > _SHARED_CHUNKS:
                self._chunks.popitem(last=False)
        return chunk

    def _stop(self, start: int, limit: int) -> int:
        """Where a read from ``start`` ends: at the limit, the stream's end or the next hole of known length."""
        ledger = self._ledger
        ledger.look()
        if start < ledger.start:
            raise GapError(
                f"offset {start} is no longer kept; read from {ledger.start}", start=ledger.start, operation=_OPERATION
            )
        hole = ledger.gaps.covering(start)
        if hole is not None:
            raise GapError(
                f"offset {start} was lost ({hole.reason}); read from {hole.end}", start=hole.end, operation=_OPERATION
            )
        stop = min(ledger.end, start + limit)
        next_hole = ledger.gaps.next_hole(start)
        return stop if next_hole is None else min(stop, next_hole)

    def _made(self, start: int, fetched: Fetched) -> Chunk | None:
        """None when the first byte is not there; it has a name then, so the next try says which."""
        if fetched.lost is not None:
            self._ledger.miss(*fetched.lost)
        if not fetched.data:
            return None
        return Chunk(start, start + len(fetched.data), self._ledger.end, fetched.data)

    def _stretches(self, start: int, stop: int) -> list[Stretch]:
        return [
            Stretch(
                self._ledger.files.segment(extent.generation, extent.index),
                extent.position,
                extent.length,
                extent.offset,
            )
            for extent in extents(self._ledger.generations, start, stop)
        ]

    async def _fetch(self, start: int, stop: int) -> Fetched:
        stretches = self._stretches(start, stop)
        if stop - start <= LOOP_READ_BYTES:
            with suppress(NotCachedError):
                return fetch(stretches, wait=False)
        return await asyncio.to_thread(fetch, stretches, wait=True)

    async def _fetch_shared(self, start: int, stop: int) -> Fetched:
        """One read of the disk for all who want the same bytes; it goes on when one of them stops waiting."""
        stretches = self._stretches(start, stop)
        with suppress(NotCachedError):
            return fetch(stretches, wait=False)
        reading = self._from_disk.get(start)
        if reading is None:
            reading = asyncio.get_running_loop().run_in_executor(None, lambda: fetch(stretches, wait=True))
            self._from_disk[start] = reading
            reading.add_done_callback(lambda done: self._has_read(start, done))
        return await asyncio.shield(reading)

    def _has_read(self, start: int, reading: asyncio.Future[Fetched]) -> None:
        self._from_disk.pop(start, None)
        if not reading.cancelled():
            reading.exception()  # each reader gets it; with none left it is nobody's
