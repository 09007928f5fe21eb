"""Our ends of an execution's pipes, on the event loop."""

from __future__ import annotations

import asyncio
import os
from typing import Self

from teleclaude.errors import ConflictError, LimitError

READ_BYTES = 64 << 10
"""A Linux pipe holds as much, so more is rarely there at once: pipe(7)."""

MAX_PENDING_BYTES = 1 << 20


class OutputPipe:
    """The reading end of stdout or stderr. Owns the descriptor."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor
        self._waits = False

    @property
    def is_empty(self) -> bool:
        """Whether a reader waits here for more to come."""
        return self._waits

    async def read(self, gate: asyncio.Event) -> bytes:
        """The next bytes, at most ``READ_BYTES``; empty at the end. Nothing is read while ``gate`` is not set."""
        while True:
            await gate.wait()
            if self._descriptor is None:
                return b""
            try:
                return os.read(self._descriptor, READ_BYTES)
            except BlockingIOError:
                await self._readable(self._descriptor)

    def close(self) -> None:
        """Does nothing the second time. Nobody may be reading."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    async def _readable(self, descriptor: int) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(descriptor, ready.set)
        self._waits = True
        try:
            await ready.wait()
        finally:
            self._waits = False
            loop.remove_reader(descriptor)


class InputPipe:
    """The writing end of stdin. Owns the descriptor; needs the running loop.

    What the program does not read yet is kept, up to ``MAX_PENDING_BYTES`` beyond the first text.
    """

    def __init__(self, descriptor: int, first: bytes = b"") -> None:
        self._loop = asyncio.get_running_loop()
        self._descriptor: int | None = descriptor
        self._pending = bytearray(first)
        self._room = MAX_PENDING_BYTES + len(first)
        self._closing = False
        self._waits = False
        self._flush()

    @classmethod
    def fed(cls, descriptor: int, text: str | bool) -> Self:
        """Text is the whole input; otherwise the pipe stays open."""
        if not isinstance(text, str):
            return cls(descriptor)
        pipe = cls(descriptor, text.encode())
        pipe.finish()
        return pipe

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None and not self._closing

    def write(self, data: bytes) -> None:
        """Hand over ``data``, all or nothing. Raises ``ConflictError`` when it is closed (by whom ever), ``LimitError``
        when the program has too much left to read.
        """
        if not self.is_open:
            raise ConflictError("standard input is closed", operation="execution.input")
        if len(self._pending) + len(data) > self._room:
            raise LimitError(
                f"the program has {len(self._pending)} bytes of input left to read; send less, or later",
                operation="execution.input",
            )
        self._pending += data
        self._flush()

    def finish(self) -> None:
        """Close it once everything handed over is written."""
        self._closing = True
        self._flush()

    def close(self) -> None:
        """Close it now; what is pending is dropped. Does nothing the second time."""
        if self._descriptor is not None:
            self._wait(False)
            os.close(self._descriptor)
            self._descriptor = None
        self._pending.clear()

    def _flush(self) -> None:
        if self._descriptor is None:
            return
        try:
            while self._pending:
                written = os.write(self._descriptor, self._pending[:READ_BYTES])
                del self._pending[:written]
        except BlockingIOError:
            self._wait(True)
            return
        except OSError:
            # The program closed its end or is gone: nobody will read the rest.
            self.close()
            return
        self._wait(False)
        if self._closing:
            self.close()

    def _wait(self, on: bool) -> None:
        if self._descriptor is None or on == self._waits:
            return
        self._waits = on
        if on:
            self._loop.add_writer(self._descriptor, self._flush)
        else:
            self._loop.remove_writer(self._descriptor)
