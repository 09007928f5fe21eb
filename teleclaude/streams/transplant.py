"""A stream's history from another computer, built up beside the streams and put in its place in one step. Blocking."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from teleclaude.errors import ConflictError, InvalidError
from teleclaude.model import Gap
from teleclaude.streams.directory import StreamDirectory, sync_directory
from teleclaude.streams.layout import Record
from teleclaude.streams.recorder import bar, this_boot

OPERATION = "stream.transplant"


class Transplant:
    """Bytes from offset ``start`` on, in one generation that no recorder ever writes to. Each write may be repeated."""

    def __init__(self, path: Path, *, start: int, segment_bytes: int) -> None:
        self._path = path
        self._files = StreamDirectory(path)
        self._start = start
        self._segment_bytes = segment_bytes

    def begin(self) -> None:
        """Make the directory, empty but for what an earlier try has brought."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._files.create()

    def end(self) -> int:
        """Up to where there are bytes."""
        last = self._last()
        if last < 0:
            return self._start
        return self._start + last * self._segment_bytes + Path(self._files.segment(0, last)).stat().st_size

    def write(self, offset: int, data: bytes) -> int:
        """Put ``data`` at ``offset``, which may not leave a hole; answers the end.

        Raises ``ConflictError`` for a hole and ``InvalidError`` for what lies before the start.
        """
        if offset < self._start:
            raise InvalidError(f"offset {offset} lies before the history, which begins at {self._start}")
        if offset > self.end():
            raise ConflictError(f"bytes before offset {offset} are missing; send them first", operation=OPERATION)
        self._put(offset, data)
        return self.end()

    def skip(self, end: int) -> int:
        """A hole up to ``end``: nothing is stored for it, but its offsets are taken. Answers the end."""
        here = self.end()
        while here < end:
            index, inside = divmod(here - self._start, self._segment_bytes)
            size = min(self._segment_bytes, inside + end - here)
            with open(self._files.segment(0, index), "ab", opener=_private) as file:
                file.truncate(size)
            here += size - inside
        return here

    def finish(self, gaps: Iterable[Gap]) -> None:
        """Everything is here: make it durable and a stream."""
        for index in range(self._last() + 1):
            with Path(self._files.segment(0, index)).open("rb") as file:
                os.fsync(file.fileno())
        self._files.write_gaps(gaps)
        self._files.write_record(0, Record(self._segment_bytes, self._start, None, this_boot()))
        bar(self._files.pid_file(0))
        sync_directory(self._path)

    def _put(self, offset: int, data: bytes) -> None:
        view = memoryview(data)
        while view:
            index, inside = divmod(offset - self._start, self._segment_bytes)
            piece = view[: self._segment_bytes - inside]
            with open(self._files.segment(0, index), "r+b", opener=_private) as file:
                file.seek(inside)
                file.write(piece)
            offset += len(piece)
            view = view[len(piece) :]

    def _last(self) -> int:
        index = -1
        while Path(self._files.segment(0, index + 1)).exists():
            index += 1
        return index


def discard(directory: Path) -> None:
    """Remove what was brought. Nothing there is fine."""
    shutil.rmtree(directory, ignore_errors=True)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
