"""One stream: append-only bytes with offsets, kept in a directory that a recorder (or a ``StreamWriter``) fills."""

from __future__ import annotations

import asyncio
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from teleclaude.errors import GapError, InternalError, NotFoundError
from teleclaude.model import Bounds, Chunk, Gap
from teleclaude.streams.directory import Contents, StreamDirectory
from teleclaude.streams.layout import Generation, Kept, extents, kept_segments, recorder_command
from teleclaude.streams.reader import Fetched, NotCachedError, Stretch, fetch, zeros_at
from teleclaude.streams.recorder import RecorderProcess, writing_position
from teleclaude.streams.succession import SETTLE_SECONDS, Succession
from teleclaude.streams.worker import in_thread

log = structlog.get_logger(__name__)

LOOP_READ_BYTES = 64 * 1024
"""Up to this much is read on the loop, if it is in the page cache; more goes to a worker thread."""

MAX_GAPS = 1024
"""Named holes per stream. Beyond it the oldest half of the stream's holes falls, bytes included, below retention."""

_PROBE = 16
_SHARED_CHUNKS = 8
_OPERATION = "stream.read"


class Stream:
    """Offsets only grow, and no offset ever stands for two different bytes.

    Not thread-safe: it belongs to the event loop. Reading and ``bounds`` never need the recorder or its goodwill.
    """

    def __init__(
        self,
        path: Path,
        segment_bytes: int,
        contents: Contents | None = None,
        *,
        fault: InternalError | None = None,
    ) -> None:
        """``segment_bytes`` is for generations to come; ``contents`` is what ``StreamDirectory.load`` found, nothing
        for a new stream. With ``fault`` every use of it fails, saying why.
        """
        contents = contents or Contents()
        self.path = path
        self.segment_bytes = segment_bytes
        self.listeners: set[Callable[[], None]] = set()
        self.followers = 0
        self.writing = False
        """Whether the daemon itself writes to it."""
        self._files = StreamDirectory(path)
        self._generations = contents.generations
        self._gaps = contents.gaps
        self._start = contents.start
        self._end = contents.end
        self._written_at = contents.written_at
        self._unwritten_gaps = not contents.gaps_written
        self._closed = False
        self._fault = fault
        self._changing = asyncio.Lock()
        self._succession = Succession(
            self._files,
            contents,
            lock=self._changing,
            final_end=self._final_end,
            name_gap=self._name_gap,
            tell=self.tell,
        )
        self._chunks: OrderedDict[int, Chunk] = OrderedDict()
        self._reading: dict[int, asyncio.Future[Fetched]] = {}

    @classmethod
    def open(cls, path: Path, segment_bytes: int) -> Stream:
        """Load the stream in directory ``path``. Blocking.

        Raises ``InternalError`` when records that offsets depend on are gone, ``FileNotFoundError`` without a stream.
        """
        return cls(path, segment_bytes, StreamDirectory(path).load())

    @property
    def closed(self) -> bool:
        """Whether the stream was deleted (or the daemon lets go of it)."""
        return self._closed

    def close(self) -> None:
        """End all followers. Does nothing the second time."""
        self._closed = True
        self._chunks.clear()
        self.tell()

    def tell(self) -> None:
        """Wake whoever follows: something about the stream changed."""
        for listener in tuple(self.listeners):
            listener()

    @property
    def known_bytes(self) -> int:
        """How many bytes were kept when somebody last looked."""
        return self._end - self._start

    @property
    def start(self) -> int:
        """The oldest kept offset."""
        return self._start

    # What there is

    def bounds(self) -> Bounds:
        """The kept part, from two or three calls of stat."""
        self._look()
        return Bounds(self._start, self._end)

    def written_at(self) -> float | None:
        """When bytes last arrived (seconds since the epoch, the file's own time); None when none ever did."""
        self._look()
        return self._written_at

    def gaps(self) -> list[Gap]:
        """All named holes within the kept part, in order. A reader of bytes never sees them; a follower is told."""
        return list(self._gaps)

    def gaps_after(self, offset: int) -> list[Gap]:
        """Holes that a reader at ``offset`` still has before it, the one it stands in or at first."""
        return list(self._gaps.after(offset))

    def resolve(self, asked: int | None, default: int) -> int:
        """An offset from what a client wrote: ``-N`` is the last N bytes or all there are, None is ``default``."""
        if asked is None:
            return default
        bounds = self.bounds()
        return asked if asked >= 0 else max(bounds.start, bounds.end + asked)

    # Reading

    async def read(self, start: int, limit: int = LOOP_READ_BYTES) -> Chunk:
        """Up to ``limit`` bytes from offset ``start``, over all segments and generations; empty past the end.

        The bytes stop at a hole of known length; one of unknown length has no place of its own, ``gaps`` tells of it.
        Raises ``GapError`` when ``start`` is below retention or inside such
        a hole (``start`` is then where bytes go on), ``NotFoundError`` after the stream was deleted.
        """
        self._refuse_unusable()
        while True:
            stop = self._stop(start, limit)
            if stop <= start:
                return Chunk(start, start, self._end, b"")
            fetched = await self._fetch(start, stop)
            if fetched.lost is not None:
                self._miss(*fetched.lost)
            if fetched.data:
                return Chunk(start, start + len(fetched.data), self._end, fetched.data)

    async def tail(self, count: int) -> Chunk:
        """The last ``count`` bytes, or all there are; they begin after the last hole among them."""
        bounds = self.bounds()
        start = max(bounds.start, bounds.end - count)
        while True:
            try:
                chunk = await self.read(start, count)
            except GapError as error:
                start = error.start
                continue
            if not chunk.data or chunk.end >= bounds.end:
                return chunk
            start = chunk.end

    def shared_chunk(self, start: int) -> Chunk | None:
        """What another follower has read from ``start`` a moment ago."""
        return self._chunks.get(start)

    async def read_shared(self, start: int) -> Chunk:
        """Like ``read``, but all followers at one place get the very same object, and they meet at every 64 KiB.

        The bytes stop at every hole, those of unknown length included.
        """
        self._refuse_unusable()
        while True:
            stop = self._stop(start, LOOP_READ_BYTES - start % LOOP_READ_BYTES)
            place = self._gaps.next_place(start)
            stop = stop if place is None else min(stop, place)
            if stop <= start:
                return Chunk(start, start, self._end, b"")
            fetched = await self._fetch(start, stop, shared=True)
            if fetched.lost is not None:
                self._miss(*fetched.lost)
            if fetched.data:
                return self._share(Chunk(start, start + len(fetched.data), self._end, fetched.data))

    def add_follower(self) -> None:
        self.followers += 1

    def remove_follower(self) -> None:
        self.followers -= 1
        if not self.followers:
            self._chunks.clear()

    def _share(self, chunk: Chunk) -> Chunk:
        known = self._chunks.get(chunk.start)
        if known is not None and known.end >= chunk.end:
            return known
        if self.followers:
            self._chunks[chunk.start] = chunk
            if len(self._chunks) > _SHARED_CHUNKS:
                self._chunks.popitem(last=False)
        return chunk

    def _stop(self, start: int, limit: int) -> int:
        """Where a read from ``start`` ends: at the limit, the stream's end or the next hole."""
        self._look()
        if start < self._start:
            raise GapError(
                f"offset {start} is no longer kept; read from {self._start}", start=self._start, operation=_OPERATION
            )
        hole = self._gaps.covering(start)
        if hole is not None:
            raise GapError(
                f"offset {start} was lost ({hole.reason}); read from {hole.end}", start=hole.end, operation=_OPERATION
            )
        stop = min(self._end, start + limit)
        next_hole = self._gaps.next_hole(start)
        return stop if next_hole is None else min(stop, next_hole)

    async def _fetch(self, start: int, stop: int, *, shared: bool = False) -> Fetched:
        stretches = [
            Stretch(self._files.segment(extent.generation, extent.index), extent.position, extent.length, extent.offset)
            for extent in extents(self._generations, start, stop)
        ]
        if stop - start <= LOOP_READ_BYTES:
            with suppress(NotCachedError):
                return fetch(stretches, wait=False)
        if not shared:
            return await asyncio.to_thread(fetch, stretches, wait=True)
        return await self._fetch_once(start, stretches)

    async def _fetch_once(self, start: int, stretches: list[Stretch]) -> Fetched:
        """One read of the disk for all who want the same bytes; it goes on when one of them stops waiting."""
        reading = self._reading.get(start)
        if reading is None:
            loop = asyncio.get_running_loop()
            reading = loop.run_in_executor(None, lambda: fetch(stretches, wait=True))
            self._reading[start] = reading
            reading.add_done_callback(lambda done: self._read_done(start, done))
        return await asyncio.shield(reading)

    def _read_done(self, start: int, reading: asyncio.Future[Fetched]) -> None:
        self._reading.pop(start, None)
        if not reading.cancelled():
            reading.exception()  # each reader gets it; with none left it is nobody's

    def _refuse_unusable(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self._closed:
            raise NotFoundError("the stream was deleted", operation=_OPERATION)
        if self._closed:
            raise NotFoundError("the stream was deleted", operation=_OPERATION)

    # Noticing

    def _look(self) -> None:
        """Learn the end from the newest segment's size. Segments are probed by name: the directory is not listed."""
        if not self._generations or self._closed:
            return
        newest = self._generations[-1]
        while _exists(self._files.segment(newest.number, newest.last + 1)):
            newest.last += 1
        status = _stat(self._files.segment(newest.number, newest.last)) if not newest.is_empty else None
        size = 0 if status is None else min(status.st_size, newest.segment_bytes)
        if (status is None and newest.last >= newest.first) or size == newest.segment_bytes:
            self._skip_missing(newest)
            status = _stat(self._files.segment(newest.number, newest.last)) or status
            size = 0 if status is None else min(status.st_size, newest.segment_bytes)
        if status is not None:
            self._written_at = status.st_mtime
        end = newest.base if newest.is_empty else newest.offset(newest.last, size)
        if end < self._end:
            self._shrunk(newest, size)
        self._end = max(self._end, end)

    def _skip_missing(self, newest: Generation) -> None:
        """The segment after the last one may have been taken away while the recorder went on to the one behind it."""
        for index in range(newest.last + 2, newest.last + _PROBE):
            if _exists(self._files.segment(newest.number, index)):
                newest.last = index
                while _exists(self._files.segment(newest.number, newest.last + 1)):
                    newest.last += 1
                return

    def _shrunk(self, newest: Generation, size: int) -> None:
        """Somebody cut the newest segment to ``size``. What was there is lost, and its offsets are not used again."""
        end = newest.base if newest.is_empty else newest.offset(newest.last, size)
        hole = self._gaps.covering(end)
        if hole is not None and hole.end >= self._end:
            return
        if not newest.is_empty:
            self._end = max(self._end, self._resumes_at(newest, size))
        self._lose(end, self._end)

    def _resumes_at(self, newest: Generation, size: int) -> int:
        """Where the recorder, which keeps its own position in a file that was cut to ``size``, goes on writing."""
        segment = self._files.segment(newest.number, newest.last)
        process = self._succession.recorder_of_newest_based()
        position = None if process is None else writing_position(process, Path(segment))
        status = _stat(segment)
        if status is not None and status.st_size > size:
            # It wrote meanwhile: before that the file holds zeros.
            return self._end + zeros_at(segment, self._end - newest.offset(newest.last))
        return 0 if position is None else newest.offset(newest.last, min(position, newest.segment_bytes))

    def _miss(self, start: int, end: int) -> None:
        """Bytes ``[start, end)`` are not where they were written."""
        self._look()
        if end <= self._start:
            return  # retention took them meanwhile
        self._lose(max(start, self._start), end)

    def _lose(self, start: int, end: int) -> None:
        if self._gaps.add_lost(start, end):
            log.warning("stream_bytes_missing", stream=self._name, start=start, end=end)
            self.gaps_changed()
        elif self._gaps.covering(start) is None:
            raise InternalError(f"bytes of stream {self._name} can be neither read nor named", operation=_OPERATION)

    @property
    def _name(self) -> str:
        return f"{self.path.parent.name}/{self.path.name}"

    # Gaps and retention

    def gaps_changed(self) -> None:
        """A hole was named; it is written down by whichever method next may wait for the disk."""
        self._unwritten_gaps = True
        if len(self._gaps) > MAX_GAPS:
            self._fall_below_gaps()
        self.tell()

    def _fall_below_gaps(self) -> None:
        start = list(self._gaps)[MAX_GAPS // 2].start
        log.warning("stream_too_many_gaps", stream=self._name, start=start)
        self._start = max(self._start, start)
        self._gaps.drop_below(start)
        self._gaps.add(Gap(0, start, start, "retention"))

    async def write_down_gaps(self) -> None:
        """Make the named holes durable, where one is not yet; on a full disk they stay in memory until the next try."""
        if not self._unwritten_gaps or self._closed:
            return
        async with self._changing:
            try:
                await self._write_gaps()
            except OSError as error:
                log.warning("gaps_not_written_down", stream=self._name, error=str(error))

    async def _name_gap(self, gap: Gap) -> None:
        if self._gaps.add(gap):
            self.gaps_changed()
        if self._unwritten_gaps:
            await self._write_gaps()

    async def _write_gaps(self) -> None:
        self._gaps.drop_below(self._start)
        await in_thread(self._files.write_gaps, list(self._gaps))
        self._unwritten_gaps = False

    # Generations

    async def begin_generation(self, reason: str | None = None, *, base: int = 0) -> str:
        """Prepare a recorder and answer the shell command that is it; hand that to tmux, then call ``settle``.

        ``reason`` names the hole before it, None says that nothing can be missing there. ``base`` is the first offset
        of a stream that continues one from elsewhere. Raises ``NoSpaceError``; nothing has changed then.
        """
        self._refuse_unusable()
        is_first = not self._generations
        number = await self._succession.begin(self.segment_bytes, reason, base)
        if is_first:
            self._start = self._end = base
        return recorder_command(str(self.path), number, self.segment_bytes)

    async def begin_written(self) -> Callable[[int], str]:
        """Begin a generation that the daemon writes itself, as the only writer; the answer names its segments' files.

        Raises ``NoSpaceError``.
        """
        self._refuse_unusable()
        number = await self._succession.begin(self.segment_bytes, recorded=False)
        return partial(self._files.segment, number)

    async def name_hole(self, reason: str) -> None:
        """Something of unknown length is missing at the end of the stream."""
        end = self._final_end()
        if self._gaps.add(Gap(end, end, None, reason)):
            self.gaps_changed()
        await self.write_down_gaps()

    async def settle(self, timeout: float = SETTLE_SECONDS) -> None:
        """Bring bytes of new generations into the stream, once the recorder before has ended (killed, if need be).

        Also the completion, at start-up, of what a crash interrupted. Raises ``DeadlineError`` and ``NoSpaceError``;
        the new recorder goes on recording and its bytes wait for the next call.
        """
        self._refuse_unusable()
        await self._succession.settle(timeout)

    async def rearm(
        self,
        start: Callable[[str], Awaitable[object]],
        *,
        reason: str | None = "recorder_died",
        timeout: float = SETTLE_SECONDS,
    ) -> None:
        """Let ``start`` run a new recorder's command, which takes the pane's output from the old one, and settle."""
        await start(await self.begin_generation(reason))
        await self.settle(timeout)

    @property
    def settled(self) -> bool:
        """Whether everything recorded has offsets; False while an old recorder has not ended."""
        return self._succession.settled

    def recorder(self) -> RecorderProcess | None:
        """The newest recorder that started during this run of the machine, alive or not."""
        return self._succession.recorder()

    def recorder_alive(self) -> bool | None:
        """Whether the newest generation is being recorded. None is not known: it may just be starting."""
        return self._succession.recorder_alive()

    async def recorder_started(self, timeout: float) -> RecorderProcess | None:
        """The newest generation's recorder, as soon as it says who it is; None after ``timeout`` seconds."""
        return await self._succession.recorder_started(timeout)

    async def recorder_ended(self, timeout: float) -> bool:
        """Wait for the newest recorder's end, after which the end of the stream is final; False after ``timeout``."""
        return await self._succession.recorder_ended(timeout)

    def _final_end(self) -> int:
        self._look()
        return self._end

    # Retention

    def kept(self) -> list[Kept]:
        """The kept segments, oldest first, without touching the disk."""
        return list(kept_segments(self._generations, self._start, self._end))

    def kept_files(self, *, newest_too: bool) -> list[tuple[Kept, str]]:
        """The kept segments with their files' names."""
        kept = self.kept()
        return [
            (segment, self._files.segment(segment.generation, segment.index))
            for segment in kept
            if newest_too or not self._is_newest(segment)
        ]

    async def drop(self, below: int, *, newest_too: bool = False) -> Gap | None:
        """Delete the segments that lie wholly below offset ``below``; answers what is gone.

        The newest segment goes only with ``newest_too``, and if nothing can write to it any more.
        """
        if self._closed:
            return None
        if newest_too and below >= self._end:
            await self._succession.seal()
        async with self._changing:
            victims = [kept for kept in self.kept() if kept.end <= below and not self._is_newest(kept)]
            if not victims:
                return None
            gap = Gap(self._start, victims[-1].end, victims[-1].end - self._start, "retention")
            self._start = gap.end
            for victim in victims:
                self._by_number(victim.generation).first = victim.index + 1
            self._unwritten_gaps |= self._gaps.drop_below(self._start)
            self.tell()
            await in_thread(self._files.remove_segments, victims)
        await self._succession.forget_empty()
        return gap

    def _is_newest(self, kept: Kept) -> bool:
        newest = self._generations[-1]
        return kept.generation == newest.number and kept.index >= newest.last

    def _by_number(self, number: int) -> Generation:
        return next(generation for generation in self._generations if generation.number == number)


def _stat(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 -- half the time of Path.stat, and done at every wake-up
    except FileNotFoundError:
        return None


def _exists(path: str) -> bool:
    return _stat(path) is not None
