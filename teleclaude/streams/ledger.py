"""What is known of one stream: its generations, its holes, where it begins and ends. Looks at files, changes none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import structlog

from teleclaude.errors import InternalError
from teleclaude.model import Gap
from teleclaude.streams.directory import Contents, StreamDirectory
from teleclaude.streams.layout import Generation, Kept, kept_segments
from teleclaude.streams.reader import zeros_at
from teleclaude.streams.recorder import RecorderProcess, read_claim, this_boot, writing_position

log = structlog.get_logger(__name__)

MAX_GAPS = 1024
"""Named holes per stream. Beyond it the oldest half of them falls, with the bytes around them, below retention."""

_PROBE = 5


class Ledger:
    """Shared by all that serve one stream. ``tell`` is called when something that others wait for has changed.

    ``end`` never shrinks: what was beyond it once is a hole when it goes. ``unwritten_gaps`` says that a hole was
    named which is not written down yet. With a ``ceiling`` what is recorded beyond it does not count.
    """

    def __init__(self, files: StreamDirectory, contents: Contents, tell: Callable[[], None]) -> None:
        self.files = files
        self.generations = contents.generations
        self.waiting = contents.waiting
        self.records = contents.records
        self.next_number = contents.next_number
        self.gaps = contents.gaps
        self.start = contents.start
        self.end = contents.end
        self.written_at = contents.written_at
        self.unwritten_gaps = not contents.gaps_written
        self.closed = False
        self.ceiling: int | None = None
        self.tell = tell
        self.name = f"{files.path.parent.name}/{files.path.name}"

    def look(self) -> None:
        """Learn the end from the newest segment's size. Segments are probed by name: the directory is not listed."""
        if not self.generations or self.closed:
            return
        newest = self.generations[-1]
        while _exists(self.files.segment(newest.number, newest.last + 1)):
            newest.last += 1
        status = self._status(newest)
        if status is None or status.st_size >= newest.segment_bytes:
            self._skip_missing(newest)
            status = self._status(newest) or status
        size = 0 if status is None else min(status.st_size, newest.segment_bytes)
        if status is not None:
            self.written_at = status.st_mtime
        end = _end_of(newest, size)
        if end < self.end:
            self._shrunk(newest, size)
        self.end = max(self.end, end if self.ceiling is None else min(end, self.ceiling))

    def miss(self, start: int, end: int) -> None:
        """Bytes ``[start, end)`` are not where they were written: name the hole, unless retention took them.

        Raises ``InternalError`` when they have neither a place nor a name, so that nobody asks for them for ever.
        """
        self.look()
        if end > self.start:
            self._lose(max(start, self.start), end)

    def gap_added(self) -> None:
        """To be called after a hole was named; whoever may next wait for the disk writes it down."""
        self.unwritten_gaps = True
        if len(self.gaps) > MAX_GAPS:
            self._fall_below_gaps()
        self.tell()

    def raise_start(self, start: int) -> None:
        """Everything below ``start`` is no longer kept."""
        self.start = start
        self.unwritten_gaps |= self.gaps.drop_below(start)
        self.tell()

    def kept(self) -> list[Kept]:
        """The kept segments, oldest first."""
        return list(kept_segments(self.generations, self.start, self.end))

    def is_newest(self, segment: Kept) -> bool:
        """Whether it is the one that may still be written to."""
        newest = self.generations[-1]
        return segment.generation == newest.number and segment.index >= newest.last

    def recorder_at_end(self) -> RecorderProcess | None:
        """The recorder that writes at the stream's end, alive or not."""
        number = self.generations[-1].number
        claim = read_claim(self.files.pid_file(number))
        return claim.process if claim is not None and self.records[number].boot == this_boot() else None

    def _status(self, newest: Generation) -> os.stat_result | None:
        return None if newest.is_empty else _stat(self.files.segment(newest.number, newest.last))

    def _skip_missing(self, newest: Generation) -> None:
        """The segment after the last one may have been taken away while the recorder went on to the one behind it."""
        if newest.last < 0:
            return
        for index in range(newest.last + 2, newest.last + _PROBE):
            if _exists(self.files.segment(newest.number, index)):
                newest.last = index
                while _exists(self.files.segment(newest.number, newest.last + 1)):
                    newest.last += 1
                return

    def _shrunk(self, newest: Generation, size: int) -> None:
        """Somebody cut the newest segment to ``size``. What was there is lost, and its offsets are not used again."""
        end = _end_of(newest, size)
        hole = self.gaps.covering(end)
        if hole is not None and hole.end >= self.end:
            return
        if not newest.is_empty:
            self.end = max(self.end, self._resumes_at(newest, size))
        self._lose(end, self.end)

    def _resumes_at(self, newest: Generation, size: int) -> int:
        """Where the recorder, which keeps its own position in a file that was cut to ``size``, goes on writing."""
        segment = self.files.segment(newest.number, newest.last)
        process = self.recorder_at_end()
        position = None if process is None else writing_position(process, Path(segment))
        status = _stat(segment)
        if status is not None and status.st_size > size:
            # It wrote meanwhile: before that the file holds zeros.
            return self.end + zeros_at(segment, self.end - newest.offset(newest.last))
        return 0 if position is None else newest.offset(newest.last, min(position, newest.segment_bytes))

    def _lose(self, start: int, end: int) -> None:
        if self.gaps.add_lost(start, end):
            log.warning("stream_bytes_missing", stream=self.name, start=start, end=end)
            self.gap_added()
        elif self.gaps.covering(start) is None:
            raise InternalError(f"bytes of stream {self.name} can be neither read nor named", operation="stream.read")

    def _fall_below_gaps(self) -> None:
        start = list(self.gaps)[MAX_GAPS // 2].start
        log.warning("stream_too_many_gaps", stream=self.name, start=start)
        self.start = max(self.start, start)
        self.gaps.drop_below(start)
        # As a hole it outlives the daemon, though the segment around it is kept.
        self.gaps.add(Gap(0, start, start, "retention"))


def _end_of(newest: Generation, size: int) -> int:
    return newest.base if newest.is_empty else newest.offset(newest.last, size)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- half the time of Path.stat, and done at every wake-up
    except FileNotFoundError:
        return None


def _exists(path: str) -> bool:
    return os.access(path, os.F_OK)  # a third of the time of a stat that finds nothing
