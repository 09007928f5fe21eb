"""How one recorder follows another without an offset ever standing for two different bytes.

A new generation's base is the end of the one before, which is known only once the recorder before has ended: a stopped
one may still write. Until then the new generation *waits*: it records, but its bytes have no offsets yet. Every step
is durable before the next one, and each may be repeated after a crash in between.
"""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import structlog

from teleclaude.errors import NoSpaceError, NotFoundError, TeleclaudeError, UnavailableError
from teleclaude.model import Gap
from teleclaude.streams.directory import StreamDirectory
from teleclaude.streams.layout import Generation, Record, recorder_prefix
from teleclaude.streams.ledger import Ledger
from teleclaude.streams.recorder import (
    RecorderProcess,
    bar,
    claimed_process,
    force_end,
    is_alive,
    read_claim,
    revoke,
    this_boot,
)
from teleclaude.streams.worker import in_thread

log = structlog.get_logger(__name__)

SETTLE_SECONDS = 2.0
"""How long an old recorder may take to end by itself after its pipe was closed."""

_POLL_SECONDS = 0.005
_SCARCE_BYTES = 64 * 1024


class Succession:
    """Every change of one stream's generations, each under ``lock``."""

    def __init__(self, ledger: Ledger, lock: asyncio.Lock) -> None:
        self._ledger = ledger
        self._files = ledger.files
        self._generations = ledger.generations
        self._waiting = ledger.waiting
        self._records = ledger.records
        self._next = ledger.next_number
        self._given_up: int | None = None
        self._lock = lock
        self._starved = False

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[None]:
        """Raises ``NotFoundError`` once the stream is closed: nothing may make its files anew."""
        async with self._lock:
            if self._ledger.closed:
                raise NotFoundError("the stream was deleted", operation="stream.change")
            yield

    @property
    def settled(self) -> bool:
        return not self._waiting

    async def begin(
        self, segment_bytes: int, reason: str | None = None, base: int = 0, *, recorded: bool = True
    ) -> int:
        """Prepare the next generation and answer its number. ``base`` counts for the very first one only.

        With ``recorded`` False the caller writes the segments itself.

        Raises ``NoSpaceError`` when the disk is full; nothing has changed then.
        """
        async with self._changing():
            try:
                if not recorded and not self._generations and not self._waiting:
                    number = await self._begin_unrecorded(segment_bytes, base)
                else:
                    number = await self._begin(segment_bytes, reason, base)
                    if not recorded:
                        await in_thread(bar, self._files.pid_file(number))
            except OSError as error:
                raise self._mapped(error, "stream.begin") from error
            self._starved = False
            return number

    async def settle(self, timeout: float) -> None:
        """Give every waiting generation its base, or drop it when its recorder never started.

        An old recorder whose successor has started gets ``timeout`` seconds to end, then it is killed. Raises
        ``DeadlineError`` when it does not end even so, ``NoSpaceError`` when the disk is full: then call it again.
        """
        deadline = asyncio.get_running_loop().time() + timeout
        async with self._changing():
            try:
                while self._waiting:
                    await self._settle_oldest(deadline)
            except OSError as error:
                raise self._mapped(error, "stream.settle") from error

    async def seal(self) -> bool:
        """Close the newest generation, so that even its last segment may go. False while it may still be written."""
        async with self._changing():
            if self._waiting or not self._generations:
                return False
            if await self._living(self._generations[-1].number) is not None:
                return False
            newest = self._generations[-1]
            if not newest.is_empty:
                number = self._take_number()
                await self._add_based(number, Record(newest.segment_bytes, None, None, this_boot()))
                await in_thread(bar, self._files.pid_file(number))
            return True

    async def drop(self, below: int) -> Gap | None:
        """Delete all segments but the newest that lie wholly below offset ``below``; answers what is gone."""
        ledger = self._ledger
        async with self._lock:
            if ledger.closed:
                return None
            victims = [kept for kept in ledger.kept() if kept.end <= below and not ledger.is_newest(kept)]
            if not victims:
                return None
            gap = Gap(ledger.start, victims[-1].end, victims[-1].end - ledger.start, "retention")
            numbers = {generation.number: generation for generation in self._generations}
            for victim in victims:
                numbers[victim.generation].first = victim.index + 1
            ledger.raise_start(gap.end)
            await in_thread(self._files.remove_segments, victims)
            await self._forget_empty()
            return gap

    async def cut(self) -> None:
        """Drop what the newest generation holds beyond the ledger's ceiling."""
        ledger = self._ledger
        async with self._changing():
            if ledger.ceiling is None or not self._generations:
                return
            ledger.look()
            newest = self._generations[-1]
            whole, rest = divmod(max(0, ledger.ceiling - newest.base), newest.segment_bytes)
            await in_thread(self._files.shorten, newest.number, newest.last, whole, rest)
            newest.last = max(newest.first - 1, min(newest.last, whole if rest else whole - 1))

    async def write_gaps(self) -> None:
        """Make the named holes durable; called with the lock held."""
        self._ledger.gaps.drop_below(self._ledger.start)
        self._ledger.unwritten_gaps = False
        try:
            await in_thread(self._files.write_gaps, list(self._ledger.gaps))
        except BaseException:
            self._ledger.unwritten_gaps = True
            raise

    async def _begin(self, segment_bytes: int, reason: str | None, base: int) -> int:
        await in_thread(self._files.create)
        number = self._take_number()
        record = Record(segment_bytes, None, reason, this_boot())
        if not self._generations and not self._waiting:
            await self._add_record(number, replace(record, base=base, reason=None))
            self._ledger.start = self._ledger.end = base
            return number
        if reason == "recorder_died" and (self._starved or await in_thread(_is_scarce, self._files)):
            record = replace(record, reason="disk_full")
        if not self._waiting and await self._living(self._generations[-1].number) is None:
            await self._add_based(number, record)
        else:
            await in_thread(self._files.write_record, number, record)
            self._records[number] = self._waiting[number] = record
        if self._given_up is not None:
            await in_thread(self._files.remove_claim, self._given_up)
            self._given_up = None
        return number

    async def _begin_unrecorded(self, segment_bytes: int, base: int) -> int:
        """The very first generation, that no recorder will write, in one visit to the disk: most commands are short."""
        number = self._take_number()
        record = Record(segment_bytes, base, None, this_boot())

        def write() -> None:
            self._files.write_record(number, record)
            bar(self._files.pid_file(number))

        await in_thread(write)
        self._keep(number, record)
        self._ledger.start = self._ledger.end = base
        return number

    async def _settle_oldest(self, deadline: float) -> None:
        number, record = next(iter(self._waiting.items()))
        if not self._generations:  # a first generation is given its base at once
            await self._discard(number)
            return
        before = self._generations[-1].number
        while (process := await self._living(before)) is not None:
            if await self._never_started(number, deadline):
                await self._discard(number)
                return
            if read_claim(self._files.pid_file(number)) is not None:
                left = deadline - asyncio.get_running_loop().time()
                if await force_end(process, max(0.0, left), operation="stream.settle") and record.reason is None:
                    record = replace(record, reason="recorder_died")
            else:
                await asyncio.sleep(_POLL_SECONDS)
        await self._add_based(number, record)
        self._ledger.tell()

    async def _never_started(self, number: int, deadline: float) -> bool:
        """Whether a waiting generation's recorder did not start in time; from then on it cannot."""
        claim = read_claim(self._files.pid_file(number))
        if claim is not None:
            return claim.barred
        late = asyncio.get_running_loop().time() >= deadline
        is_newest = next(reversed(self._waiting)) == number
        return (late or not is_newest) and await in_thread(revoke, self._files.pid_file(number))

    async def _living(self, number: int) -> RecorderProcess | None:
        """The recorder of a generation that another one is about to follow; None: nothing can write to it any more."""
        if self._records[number].boot != this_boot():
            return None
        pid_file = self._files.pid_file(number)
        claim = read_claim(pid_file)
        if claim is None:
            if await in_thread(revoke, pid_file):
                return None
            claim = read_claim(pid_file)
        if claim is None or claim.barred:
            return None
        process = claim.process
        if process is None:
            process = await claimed_process(pid_file, recorder_prefix(str(self._files.path), number))
        return None if process is None or is_alive(process) is False else process

    async def _add_based(self, number: int, record: Record) -> None:
        """Fix a generation's base: the end of the one before, which has ended. The gap is durable first."""
        self._ledger.look()
        end = self._ledger.end
        claim = read_claim(self._files.pid_file(self._generations[-1].number))
        revoked = claim is not None and claim.revoked
        reason = record.reason or ("recorder_died" if revoked else None)
        if reason is not None and self._ledger.gaps.add(Gap(end, end, None, reason)):
            self._ledger.gap_added()
        if self._ledger.unwritten_gaps:
            await self.write_gaps()
        await self._add_record(number, replace(record, base=end))
        await self._forget_empty()

    async def _forget_empty(self) -> None:
        for empty in [generation for generation in self._generations[:-1] if generation.is_empty]:
            await in_thread(self._files.remove_record, empty.number)
            await in_thread(self._files.remove_claim, empty.number)
            self._generations.remove(empty)
            del self._records[empty.number]

    async def _add_record(self, number: int, record: Record) -> None:
        await in_thread(self._files.write_record, number, record)
        self._keep(number, record)

    def _keep(self, number: int, record: Record) -> None:
        assert record.base is not None
        self._records[number] = record
        self._generations.append(Generation(number, record.segment_bytes, record.base))
        self._waiting.pop(number, None)

    async def _discard(self, number: int) -> None:
        log.info("generation_discarded", stream=self._ledger.name, generation=number)
        await in_thread(self._files.remove_record, number)
        self._given_up = number
        del self._waiting[number]
        del self._records[number]

    def _take_number(self) -> int:
        """Never the same twice: a command given out long ago must not find its number in use again."""
        number, self._next = self._next, self._next + 1
        return number

    def _mapped(self, error: OSError, operation: str) -> TeleclaudeError:
        mapped = unwritable(error, operation)
        self._starved = self._starved or isinstance(mapped, NoSpaceError)
        return mapped


def unwritable(error: OSError, operation: str) -> TeleclaudeError:
    """What to say when files of a stream cannot be written."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return NoSpaceError("the disk is full, so recording cannot go on; free some space", operation=operation)
    return UnavailableError(f"output cannot be recorded: {error}; mend that and try again", operation=operation)


def _is_scarce(files: StreamDirectory) -> bool:
    status = os.statvfs(files.path)
    return status.f_bavail * status.f_frsize < _SCARCE_BYTES
