"""One stream: append-only bytes with offsets, kept in a directory that a recorder (or a ``StreamWriter``) fills."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

import structlog

from teleclaude.errors import InternalError, NotFoundError
from teleclaude.model import Bounds, Chunk, Gap
from teleclaude.streams.directory import Contents, StreamDirectory
from teleclaude.streams.layout import Kept, recorder_command
from teleclaude.streams.ledger import Ledger
from teleclaude.streams.presence import Presence
from teleclaude.streams.reading import LOOP_READ_BYTES, Reading
from teleclaude.streams.recorder import RecorderProcess
from teleclaude.streams.succession import SETTLE_SECONDS, Succession

log = structlog.get_logger(__name__)


class Stream:
    """Offsets only grow, and no offset ever stands for two different bytes.

    Not thread-safe: it belongs to the event loop, and there is one object for each directory. Reading and ``bounds``
    never need the recorder or its goodwill.
    """

    def __init__(
        self,
        path: Path,
        segment_bytes: int,
        contents: Contents | None = None,
        *,
        fault: InternalError | None = None,
        told: bool = False,
    ) -> None:
        """``segment_bytes`` is for generations to come; ``contents`` is what ``StreamDirectory.load`` found, nothing
        for a new stream. With ``fault`` every use of it fails, saying why. ``told``: its only writer is the daemon,
        which tells of every change, so that nobody need watch the directory, and does not wait for the disk.
        """
        self.path = path
        self.segment_bytes = segment_bytes
        self.listeners: set[Callable[[], None]] = set()
        self.writing = False
        """Whether the daemon itself writes to it."""
        self.told = told
        self._fault = fault
        self._changing = asyncio.Lock()
        self._files = StreamDirectory(path, synced=not told)
        self._ledger = Ledger(self._files, contents or Contents(), self.tell)
        self._succession = Succession(self._ledger, self._changing)
        self._presence = Presence(self._ledger)
        self._reading = Reading(self._ledger)

    @classmethod
    def open(cls, path: Path, segment_bytes: int, *, told: bool = False) -> Stream:
        """Load the stream in directory ``path``. Blocking.

        Raises ``InternalError`` when records that offsets depend on are gone, ``FileNotFoundError`` without a stream.
        """
        return cls(path, segment_bytes, StreamDirectory(path).load(), told=told)

    @property
    def closed(self) -> bool:
        """Whether the stream was deleted (or the daemon lets go of it)."""
        return self._ledger.closed

    def close(self) -> None:
        """End all followers. Does nothing the second time."""
        self._ledger.closed = True
        self._reading.forget()
        self.tell()

    async def aclose(self) -> None:
        """``close``, and wait for changes of its files that have begun; none begins after that."""
        self.close()
        async with self._changing:
            pass

    def tell(self) -> None:
        """Wake whoever follows: something about the stream changed."""
        for listener in tuple(self.listeners):
            listener()

    def _refuse_unusable(self) -> None:
        if self._fault is not None:
            raise self._fault
        if self.closed:
            raise NotFoundError("the stream was deleted", operation="stream.use")

    # What there is

    def bounds(self) -> Bounds:
        """The kept part, from two calls of stat."""
        self._ledger.look()
        return Bounds(self._ledger.start, self._ledger.end)

    def latest(self) -> tuple[Bounds, float | None]:
        """``bounds`` and ``written_at`` from one look."""
        self._ledger.look()
        return Bounds(self._ledger.start, self._ledger.end), self._ledger.written_at

    def written_at(self) -> float | None:
        """When bytes last arrived (seconds since the epoch, the file's own time); None when none ever did."""
        self._ledger.look()
        return self._ledger.written_at

    @property
    def start(self) -> int:
        """The oldest kept offset."""
        return self._ledger.start

    @property
    def known_bytes(self) -> int:
        """How many bytes were kept when somebody last looked."""
        return self._ledger.end - self._ledger.start

    def gaps(self) -> list[Gap]:
        """All named holes within the kept part, in order."""
        return list(self._ledger.gaps)

    def gaps_after(self, offset: int) -> list[Gap]:
        """Holes that a reader at ``offset`` still has before it, the one it stands in or at first."""
        return list(self._ledger.gaps.after(offset))

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
        Raises ``GapError`` when ``start`` is below retention or inside such a hole (the error's ``start`` is where
        bytes go on), ``NotFoundError`` after the stream was deleted.
        """
        self._refuse_unusable()
        return await self._reading.read(start, limit)

    async def tail(self, count: int) -> Chunk:
        """The last ``count`` bytes, or all there are; they begin after the last hole of known length among them."""
        self._refuse_unusable()
        return await self._reading.tail(count)

    def shared_chunk(self, start: int) -> Chunk | None:
        """What another follower has read from ``start`` a moment ago."""
        return self._reading.shared_chunk(start)

    async def read_shared(self, start: int) -> Chunk:
        """Like ``read``, for followers: those at one place get the very same object, and they meet at every 64 KiB.

        The bytes stop at every hole, those of unknown length included.
        """
        self._refuse_unusable()
        return await self._reading.read_shared(start)

    def add_follower(self) -> None:
        """Somebody will use ``read_shared`` until ``remove_follower``."""
        self._reading.add_follower()

    def remove_follower(self) -> None:
        self._reading.remove_follower()

    # Recording

    async def begin_generation(self, reason: str | None = None, *, base: int = 0) -> str:
        """Prepare a recorder and answer the shell command that is it; hand that to tmux, then call ``settle``.

        ``reason`` names the hole before it, None says that nothing can be missing there. ``base`` is the first offset
        of a stream that continues one from elsewhere. Raises ``NoSpaceError``; nothing has changed then.
        """
        self._refuse_unusable()
        number = await self._succession.begin(self.segment_bytes, reason, base)
        return recorder_command(str(self.path), number, self.segment_bytes)

    async def begin_written(self) -> Callable[[int], str]:
        """Begin a generation that the daemon writes itself, as the only writer; the answer names its segments' files.

        Raises ``NoSpaceError``.
        """
        self._refuse_unusable()
        number = await self._succession.begin(self.segment_bytes, recorded=False)
        return partial(self._files.segment, number)

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
        return self._presence.process()

    def recorder_alive(self) -> bool | None:
        """Whether the newest generation is being recorded. None is not known: it may just be starting."""
        return self._presence.alive()

    def recorder_claimed(self) -> bool:
        """Whether the newest recorder's files are there. Where it is known to have started, they were taken away."""
        return self._presence.claimed()

    async def recorder_started(self, timeout: float) -> RecorderProcess | None:
        """The newest generation's recorder, as soon as it says who it is; None after ``timeout`` seconds."""
        return await self._presence.started(timeout)

    async def recorder_ended(self, timeout: float) -> bool:
        """Wait for the newest recorder's end, after which the end of the stream is final; False after ``timeout``.

        One that has not started yet has not ended either.
        """
        return await self._presence.ended(timeout)

    # While its session is handed over

    def freeze(self, end: int) -> None:
        """The stream ends at ``end``, whatever the recorder writes from there on, until ``thaw``."""
        self._ledger.ceiling = end
        self._ledger.end = min(self._ledger.end, end)

    def thaw(self) -> None:
        """What was recorded meanwhile counts."""
        self._ledger.ceiling = None
        self.tell()

    async def cut(self) -> None:
        """Drop for good what lies beyond the end of a frozen stream, whose recorder has ended."""
        if not self.closed:
            await self._succession.cut()

    # Holes and retention

    async def name_hole(self, reason: str) -> None:
        """Something of unknown length is missing at the end of the stream."""
        end = self.bounds().end
        if self._ledger.gaps.add(Gap(end, end, None, reason)):
            self._ledger.gap_added()
        await self.write_down_gaps()

    async def write_down_gaps(self) -> None:
        """Make the named holes durable, where one is not yet; on a full disk they stay in memory until the next try."""
        if not self._ledger.unwritten_gaps or self.closed:
            return
        async with self._changing:
            try:
                await self._succession.write_gaps()
            except OSError as error:
                log.warning("gaps_not_written_down", stream=self._ledger.name, error=str(error))

    def kept_files(self, *, newest_too: bool) -> list[tuple[Kept, str]]:
        """The kept segments, oldest first, with their files' names."""
        return [
            (segment, self._files.segment(segment.generation, segment.index))
            for segment in self._ledger.kept()
            if newest_too or not self._ledger.is_newest(segment)
        ]

    def kept(self) -> list[Kept]:
        """The kept segments, oldest first, without touching the disk."""
        return self._ledger.kept()

    async def drop(self, below: int, *, newest_too: bool = False) -> Gap | None:
        """Delete the segments that lie wholly below offset ``below``; answers what is gone.

        The newest segment goes only with ``newest_too``, and if nothing can write to it any more.
        """
        if self.closed:
            return None
        if newest_too and below >= self._ledger.end:
            await self._succession.seal()
        return await self._succession.drop(below)
