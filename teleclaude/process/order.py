"""One order over both streams: which piece of which was read when."""

from __future__ import annotations

import json

import structlog

from teleclaude.process.sink import Sink

log = structlog.get_logger(__name__)

MAX_ORDER_BYTES = 8 << 20
"""A program that takes turns with every byte would otherwise fill more of the disk with this than with its output."""


class Order:
    """Writes a line of JSON for each run of bytes that one stream had to itself, as soon as the other one speaks:

        {"seq": 1, "stream": "stdout", "from": 0, "to": 12}

    ``seq`` counts the lines from 1. Nothing is written for a command that uses one stream only: there the order is
    plain. After ``MAX_ORDER_BYTES`` a last line says ``"truncated": true``. What cannot be written costs the order
    alone.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink: Sink | None = sink
        self._ends: dict[str, int] = {}
        self._speaker = ""
        self._since = 0
        self._seq = 0
        self._size = 0
        self._pending = bytearray()

    def note(self, stream: str, size: int) -> None:
        """``size`` bytes more of ``stream`` have been read and are kept. Call it in the order of the reads."""
        if self._speaker != stream:
            if self._speaker:
                self._end_run()
            self._speaker, self._since = stream, self._ends.get(stream, 0)
        self._ends[stream] = self._ends.get(stream, 0) + size

    async def write(self) -> None:
        """Hand over what is complete. Never raises."""
        if self._pending and self._sink is not None:
            lines, self._pending = bytes(self._pending), bytearray()
            try:
                await self._sink.write(lines)
            except Exception:
                log.exception("order_not_kept")
                self._sink = None

    async def close(self) -> None:
        """Write what is left and close the sink, whose errors are raised."""
        if self._seq:
            self._end_run()
        await self.write()
        if self._sink is not None:
            await self._sink.close()

    def _end_run(self) -> None:
        if self._size >= MAX_ORDER_BYTES:
            return
        self._seq += 1
        line: dict[str, object] = {"seq": self._seq, "stream": self._speaker, "from": self._since}
        line["to"] = self._ends[self._speaker]
        data = json.dumps(line).encode() + b"\n"
        self._size += len(data)
        self._pending += data
        if self._size >= MAX_ORDER_BYTES:
            self._pending += json.dumps({"seq": self._seq + 1, "truncated": True}).encode() + b"\n"
