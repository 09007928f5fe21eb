"""Streams that the daemon itself writes, in the same layout: output of executions."""

from __future__ import annotations

import asyncio
import errno
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Self

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import NoSpaceError
from teleclaude.streams.stream import Stream
from teleclaude.streams.worker import in_thread

log = structlog.get_logger(__name__)

BATCH_BYTES = 64 * 1024
BATCH_SECONDS = 0.05
RETRY_SECONDS = 0.5

_OWNER = "streams"


class StreamWriter:
    """Appends to a stream as its only writer. Readers see bytes at once, or 50 ms after those before.

    An async context manager: leaving it writes out what is left.
    """

    def __init__(self, stream: Stream, tasks: Tasks) -> None:
        self.total = 0
        self._stream = stream
        self._tasks = tasks
        self._appender: _Appender | None = None
        self._dirty = asyncio.Event()
        self._flusher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Begin a generation. Raises ``NoSpaceError``."""
        self._appender = _Appender(await self._stream.begin_written(), self._stream.segment_bytes)
        self._stream.writing = True
        self._flusher = self._tasks.spawn(self._flush_late(), name=f"write {self._stream.path.name}", owner=_OWNER)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    @property
    def queued(self) -> int:
        """Bytes taken and not yet written."""
        return 0 if self._appender is None else self._appender.queued

    async def write(self, data: bytes) -> None:
        """Append ``data``, waiting while the disk is behind.

        Raises ``NoSpaceError`` when more than 64 KiB wait for a full disk already: ``data`` was not taken then.
        """
        appender = self._open_appender()
        if appender.queued >= BATCH_BYTES:
            await self.flush()
        appender.put(data)
        self.total += len(data)
        if appender.queued < BATCH_BYTES:
            self._dirty.set()
            return
        with suppress(NoSpaceError):  # it was taken; the next call says that there is no room
            await self.flush()

    async def flush(self) -> None:
        """Write out everything taken so far. Raises ``NoSpaceError``; what could not be written is kept for later."""
        try:
            await in_thread(self._open_appender().drain)
        except OSError as error:
            raise _mapped(error) from error
        finally:
            self._seen()

    async def aclose(self) -> None:
        """Write out what is left and close. Raises ``NoSpaceError`` after naming the hole. Does nothing twice."""
        appender, self._appender = self._appender, None
        if appender is None:
            return
        try:
            if self._flusher is not None:
                self._flusher.cancel()
                with suppress(asyncio.CancelledError):
                    await self._flusher
        finally:
            self._stream.writing = False
            await self._close(appender)

    async def _close(self, appender: _Appender) -> None:
        if appender.close_at_once():
            return
        try:
            await in_thread(appender.close)
        except OSError as error:
            await self._stream.name_hole("disk_full")
            raise _mapped(error) from error
        finally:
            self._seen()

    def _seen(self) -> None:
        self._stream.bounds()
        self._stream.tell()

    async def _flush_late(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            try:
                await self.flush()
            except NoSpaceError:
                log.warning("output_waits_for_space", stream=str(self._stream.path), queued=self.queued)
                await asyncio.sleep(RETRY_SECONDS)
                self._dirty.set()
            await asyncio.sleep(BATCH_SECONDS)

    def _open_appender(self) -> _Appender:
        if self._appender is None:
            raise RuntimeError("the writer is closed")
        return self._appender


class _Appender:
    """The files of one written generation. ``put`` is the loop's; ``drain`` and ``close`` run in any worker thread."""

    def __init__(self, segment: Callable[[int], str], segment_bytes: int) -> None:
        self._segment = segment
        self._segment_bytes = segment_bytes
        self._queue: deque[bytes] = deque()
        self._rest = memoryview(b"")
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._index = 0
        self._position = 0
        # Each is changed by one side only, so their difference needs no lock.
        self._taken = 0
        self._written = 0

    @property
    def queued(self) -> int:
        return self._taken - self._written

    def put(self, data: bytes) -> None:
        self._queue.append(data)
        self._taken += len(data)

    def drain(self) -> None:
        """Write what is queued, in order. After an ``OSError`` the rest is still there."""
        with self._lock:
            while self._rest or self._queue:
                if not self._rest:
                    self._rest = memoryview(b"".join(self._take_all()))
                self._write_some()

    def close(self) -> None:
        try:
            self.drain()
        finally:
            with self._lock:
                self._close_segment()

    def close_at_once(self) -> bool:
        """``close`` on the loop, when nothing is left to write and no thread is at it; else False."""
        if self.queued or not self._lock.acquire(blocking=False):
            return False
        try:
            self._close_segment()
        finally:
            self._lock.release()
        return True

    def _take_all(self) -> Iterator[bytes]:
        while self._queue:
            yield self._queue.popleft()

    def _write_some(self) -> None:
        if self._position == self._segment_bytes:
            self._close_segment()
            self._index += 1
            self._position = 0
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
            self._descriptor = os.open(self._segment(self._index), flags, 0o600)
        written = os.write(self._descriptor, self._rest[: self._segment_bytes - self._position])
        self._position += written
        self._written += written
        self._rest = self._rest[written:]

    def _close_segment(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _mapped(error: OSError) -> Exception:
    if error.errno not in (errno.ENOSPC, errno.EDQUOT):
        return error
    return NoSpaceError("the disk is full, so output cannot be kept; free some space", operation="stream.write")
