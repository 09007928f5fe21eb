"""The output of one cell, from its pipe to its sink, and afterwards to wherever late output goes."""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections.abc import Awaitable, Callable

import structlog

from teleclaude.model import StreamTotals
from teleclaude.process import Sink
from teleclaude.process.drain import Meter
from teleclaude.process.pipes import OutputPipe

log = structlog.get_logger(__name__)

Late = Callable[[bytes], Awaitable[None]]


class CellOutput:
    """Owns the pipe's reading end and the sink. ``run`` is its task; ``finish`` ends the cell's part of it.

    ``cell`` and ``stream`` say in the log whose output it is.
    """

    def __init__(self, descriptor: int, sink: Sink, cap: int, late: Late, *, cell: str, stream: str) -> None:
        self._log = log.bind(execution_id=cell, stream=stream)
        self._descriptor = descriptor
        self._pipe = OutputPipe(descriptor)
        self._sink = sink
        self._meter = Meter(cap)
        self._late = late
        self._open = asyncio.Event()
        self._open.set()
        self._progress = asyncio.Event()
        self._taken = self._handled = 0
        self._unread = 0
        self._over = self._ended = False

    @property
    def ended(self) -> bool:
        """Whether nobody holds the writing end any more and everything is read."""
        return self._ended

    @property
    def totals(self) -> StreamTotals:
        totals = self._meter.totals
        if not self._unread:
            return totals
        return StreamTotals(end=totals.end, total=totals.total + self._unread, truncated=True)

    async def run(self) -> None:
        """Read to the end of the pipe. Beyond the cap it is read and discarded."""
        try:
            while data := await self._pipe.read(self._open):
                self._taken += len(data)
                await self._take(data)
                self._handled += len(data)
                self._progress.set()
                # A fast program always has more, and the others on the loop want their turn.
                await asyncio.sleep(0)
        finally:
            self._ended = True
            self._pipe.close()
            self._progress.set()

    async def finish(self, timeout: float) -> None:
        """The cell is over: wait until what it wrote is in the sink, ``timeout`` seconds at most, and close the sink.

        What was not stored in time counts in ``totals.total`` alone.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        target = self._taken + self._readable()
        while self._handled < target and not self._ended:
            self._progress.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._progress.wait()
            except TimeoutError:
                self._log.warning("cell_output_not_stored", waiting_bytes=target - self._handled)
                self._unread = self._readable()
                break
        self._over = True
        try:
            async with asyncio.timeout(timeout):
                await self._sink.close()
        except Exception:
            self._log.exception("cell_sink_not_closed")

    async def _take(self, data: bytes) -> None:
        if self._over:
            await self._late(data)
            return
        kept = self._meter.count(data)
        if not kept:
            return
        try:
            await self._sink.write(kept)
        except Exception:
            # The result matters more than its output; what is missing shows in the totals.
            self._log.exception("cell_output_not_written")
            return
        if not self._is_over():
            self._meter.keep(kept)

    def _readable(self) -> int:
        """How many bytes are in the pipe. Everything that was written before is among them."""
        if self._ended:
            return 0
        count: int = struct.unpack("i", fcntl.ioctl(self._descriptor, termios.FIONREAD, b"\0" * 4))[0]
        return count

    def _is_over(self) -> bool:
        return self._over
