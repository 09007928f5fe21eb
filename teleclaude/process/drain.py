"""Both output streams of an execution, read by one routine into their sinks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from teleclaude.model import StreamTotals
from teleclaude.process.order import Order
from teleclaude.process.pipes import OutputPipe
from teleclaude.process.sink import Sink

log = structlog.get_logger(__name__)

FLUSH_SECONDS = 10.0
"""How long a sink may take for what is still in its pipe, and how long it may take to close."""

ORDER = "order"

_GLANCE_SECONDS = 0.05


class Meter:
    """Counts a stream and cuts it at ``cap`` bytes: the first bytes are kept, all are counted. Pure."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._kept = 0
        self._total = 0

    @property
    def overflowed(self) -> bool:
        return self._total > self._cap

    @property
    def totals(self) -> StreamTotals:
        return StreamTotals(start=0, end=self._kept, total=self._total, truncated=self._total > self._kept)

    def count(self, data: bytes) -> bytes:
        """The part of ``data`` that is within the cap."""
        self._total += len(data)
        return data[: max(0, self._cap - self._kept)]

    def keep(self, data: bytes) -> None:
        """``data`` has been written."""
        self._kept += len(data)


class Outputs:
    """Reads every stream to its end. Owns the descriptors and the sinks: ``finish`` closes both.

    ``changed`` is called after each piece and after a failure; then look at ``overflowed`` and ``error``. A sink called
    ``ORDER`` gets the order in which the pieces were read.
    """

    def __init__(
        self, descriptors: Mapping[str, int], sinks: Mapping[str, Sink], cap: int, changed: Callable[[], None]
    ) -> None:
        self._order = Order(sinks[ORDER]) if ORDER in sinks else None
        self._pipes = {name: OutputPipe(descriptor) for name, descriptor in descriptors.items()}
        self._sinks = {name: sinks[name] for name in descriptors}
        self._meters = {name: Meter(cap) for name in descriptors}
        self._changed = changed
        self._gate = asyncio.Event()
        self._gate.set()
        self._readers: dict[str, asyncio.Task[None]] = {}
        self.error: str | None = None

    @property
    def totals(self) -> dict[str, StreamTotals]:
        return {name: meter.totals for name, meter in self._meters.items()}

    @property
    def overflowed(self) -> bool:
        return any(meter.overflowed for meter in self._meters.values())

    def start(self, spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]]) -> None:
        """Begin to read; ``spawn`` starts a task with a name."""
        self._readers = {name: spawn(self._read(name), f"read-{name}") for name in self._pipes}

    def hold(self) -> None:
        """Read nothing more until ``proceed``."""
        self._gate.clear()

    def proceed(self) -> None:
        self._gate.set()

    async def wait_end(self, timeout: float) -> bool:
        """Wait until every stream has ended; False after ``timeout`` seconds."""
        running = self._running()
        return not running or not (await asyncio.wait(running.values(), timeout=timeout))[1]

    async def flush(self) -> None:
        """The writers are gone: read what they left. A pipe that is empty and has no end is held by a stranger.

        A sink that does not take it in ``FLUSH_SECONDS`` is an error of that stream.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FLUSH_SECONDS
        while not await self.wait_end(_GLANCE_SECONDS):
            stuck = [name for name in self._running() if not self._pipes[name].is_empty]
            if not stuck:
                return
            if loop.time() > deadline:
                self.error = self.error or f"{stuck[0]}: not everything could be stored in time"
                return

    async def finish(self) -> None:
        """Stop reading, then close sinks and pipes. What a sink refuses is in ``error``."""
        running = self._running()
        for reader in running.values():
            reader.cancel()
        if running:
            await asyncio.wait(running.values())
        for name, sink in self._sinks.items():
            await self._close(name, sink)
        if self._order is not None:
            await self._close(ORDER, self._order)
        self.close_pipes()

    def close_pipes(self) -> None:
        """Close the descriptors alone. Nobody may be reading."""
        for pipe in self._pipes.values():
            pipe.close()

    async def _read(self, name: str) -> None:
        """Read until the end of the pipe.

        Beyond the cap it goes on reading and discards: a closed or a full pipe would change what the program does.
        """
        pipe, sink, meter = self._pipes[name], self._sinks[name], self._meters[name]
        try:
            while data := await pipe.read(self._gate):
                if kept := meter.count(data):
                    if self._order is not None:
                        self._order.note(name, len(kept))
                    await sink.write(kept)
                    meter.keep(kept)
                    if self._order is not None:
                        await self._order.write()
                self._changed()
                # A fast program always has more, and the others on the loop want their turn.
                await asyncio.sleep(0)
        except Exception as error:
            log.exception("stream_failed", stream=name)
            self._fail(name, error)

    async def _close(self, name: str, sink: Sink | Order) -> None:
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await sink.close()
        except Exception as error:
            log.exception("sink_not_closed", stream=name)
            if name != ORDER:
                self._fail(name, error)

    def _running(self) -> dict[str, asyncio.Task[None]]:
        return {name: reader for name, reader in self._readers.items() if not reader.done()}

    def _fail(self, name: str, error: Exception) -> None:
        self.error = self.error or f"{name}: {type(error).__name__}: {error}"
        self._changed()
