"""A stream's directory: what is in it, and every change to it. Blocking file work, for a worker thread."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from teleclaude.errors import InternalError
from teleclaude.model import Gap
from teleclaude.streams.gaps import Gaps, decode_gaps, encode_gap
from teleclaude.streams.layout import (
    GAPS_NAME,
    Extent,
    Generation,
    Kept,
    Record,
    extents,
    parse_name,
    pid_name,
    record_name,
    segment_name,
)


@dataclass(slots=True)
class Contents:
    """A stream as its directory tells it. ``waiting`` are generations without a base yet, oldest first."""

    generations: list[Generation] = field(default_factory=list)
    waiting: dict[int, Record] = field(default_factory=dict)
    records: dict[int, Record] = field(default_factory=dict)
    gaps: Gaps = field(default_factory=Gaps)
    gaps_written: bool = True
    next_number: int = 0
    start: int = 0
    end: int = 0
    written_at: float | None = None


class StreamDirectory:
    """The files of one stream. Nothing is remembered here.

    With ``synced`` False nobody waits for the disk, so a power failure may cost a stream that was just begun.
    """

    def __init__(self, path: Path, *, synced: bool = True) -> None:
        self.path = path
        self._synced = synced
        self._prefix = f"{path}/"

    def segment(self, generation: int, index: int) -> str:
        return self._prefix + segment_name(generation, index)

    def pid_file(self, generation: int) -> Path:
        return self.path / pid_name(generation)

    def create(self) -> None:
        """Nothing is done to one that is there."""
        _make(self.path, 2)

    def load(self) -> Contents:
        """Read everything and name what is missing.

        Raises ``InternalError`` when a record that offsets depend on is gone or damaged: guessing it could give one
        offset to two different bytes.
        """
        indexes: dict[int, list[int]] = defaultdict(list)
        contents = Contents()
        claims: list[int] = []
        for entry in self.path.iterdir():
            parsed = parse_name(entry.name)
            if parsed is None:
                continue
            contents.next_number = max(contents.next_number, parsed.generation + 1)
            if parsed.index is not None:
                indexes[parsed.generation].append(parsed.index)
            elif parsed.kind == "pid":
                claims.append(parsed.generation)
            else:
                contents.records[parsed.generation] = self._read_record(parsed.generation)
        _refuse_orphans(self.path, indexes, contents.records)
        for number, record in sorted(contents.records.items()):
            if record.base is None:
                contents.waiting[number] = record
                continue
            kept = indexes.get(number, [])
            first, last = (min(kept), max(kept)) if kept else (0, -1)
            contents.generations.append(Generation(number, record.segment_bytes, record.base, first, last))
        _refuse_disorder(self.path, contents)
        for number in claims:
            if number not in contents.records and number < max(contents.records, default=0):
                self.remove_claim(number)
        contents.gaps, contents.gaps_written = self._read_gaps()
        self._measure(contents)
        return contents

    def write_record(self, number: int, record: Record) -> None:
        """Durably, and all or nothing. Makes the directory if need be."""
        self.create()
        self._replace(record_name(number), record.encode())

    def write_gaps(self, gaps: Iterable[Gap]) -> None:
        """Replace what is written down by exactly ``gaps``."""
        self._replace(GAPS_NAME, b"".join(map(encode_gap, gaps)))

    def remove_segments(self, segments: Iterable[Kept]) -> None:
        """``segments`` are oldest first, so that a crash in between leaves no hole."""
        for kept in segments:
            Path(self.segment(kept.generation, kept.index)).unlink(missing_ok=True)

    def shorten(self, number: int, last: int, whole: int, rest: int) -> None:
        """Leave of a generation, whose newest segment is ``last``, only ``whole`` segments and ``rest`` bytes."""
        for index in range(last, whole, -1):
            Path(self.segment(number, index)).unlink(missing_ok=True)
        if last < whole:
            return
        if not rest:
            Path(self.segment(number, whole)).unlink(missing_ok=True)
        else:
            os.truncate(self.segment(number, whole), min(rest, Path(self.segment(number, whole)).stat().st_size))

    def remove_record(self, number: int) -> None:
        """From now on a late recorder of that generation ends itself. The claim stays, and keeps the number in use."""
        (self.path / record_name(number)).unlink(missing_ok=True)

    def remove_claim(self, number: int) -> None:
        """Only once there is a generation with a higher number."""
        self.pid_file(number).unlink(missing_ok=True)

    def _read_record(self, number: int) -> Record:
        try:
            return Record.decode((self.path / record_name(number)).read_bytes())
        except ValueError as error:
            raise _damaged(self.path, f"{record_name(number)} cannot be read ({error})") from error

    def _read_gaps(self) -> tuple[Gaps, bool]:
        try:
            data = (self.path / GAPS_NAME).read_bytes()
        except FileNotFoundError:
            return Gaps(), True
        found, whole = decode_gaps(data)
        return Gaps(found), whole

    def _measure(self, contents: Contents) -> None:
        generations = contents.generations
        kept = [generation for generation in generations if not generation.is_empty]
        end = generations[-1].base if generations else 0
        if kept:
            newest = kept[-1]
            status = Path(self.segment(newest.number, newest.last)).stat()
            contents.written_at = status.st_mtime
            if newest is generations[-1]:
                end = newest.offset(newest.last, min(status.st_size, newest.segment_bytes))
        # A hole may reach over the last byte there is: its offsets were given out before the bytes were lost.
        contents.end = max([end, *(gap.end for gap in contents.gaps)])
        start = kept[0].offset(kept[0].first) if kept else contents.end
        floor = contents.gaps.covering(0)
        if floor is not None and floor.reason == "retention":
            start = max(start, floor.end)
        contents.start = min(start, contents.end)
        for extent in extents(generations, contents.start, contents.end):
            if self._name_missing(contents.gaps, extent):
                contents.gaps_written = False

    def _name_missing(self, gaps: Gaps, extent: Extent) -> bool:
        try:
            size = Path(self.segment(extent.generation, extent.index)).stat().st_size
        except FileNotFoundError:
            size = 0
        present = max(0, min(size - extent.position, extent.length))
        if present < extent.length:
            return gaps.add_lost(extent.offset + present, extent.offset + extent.length)
        return False

    def _replace(self, name: str, data: bytes) -> None:
        temporary = self.path / f"{name}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            _write_all(descriptor, data)
            if self._synced:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(self.path / name)
        if self._synced:
            sync_directory(self.path)


def sync_directory(path: Path) -> None:
    """Make names in ``path`` survive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make(path: Path, missing: int) -> None:
    """Make a directory, and up to ``missing`` of those above it: all open to nobody else."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except FileNotFoundError:
        if not missing:
            raise
        _make(path.parent, missing - 1)
        path.mkdir(mode=0o700, exist_ok=True)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _refuse_orphans(path: Path, indexes: dict[int, list[int]], records: dict[int, Record]) -> None:
    """Segments without a record have no offsets; below the oldest record they are leftovers of a removal."""
    oldest = min(records, default=None)
    for number in indexes:
        if number not in records and (oldest is None or number > oldest):
            raise _damaged(path, f"{record_name(number)} is missing")


def _refuse_disorder(path: Path, contents: Contents) -> None:
    bases = [generation.base for generation in contents.generations]
    if bases != sorted(bases):
        raise _damaged(path, "its generations overlap")
    if contents.waiting and contents.generations and min(contents.waiting) < contents.generations[-1].number:
        raise _damaged(path, "a generation without a base lies before one that has one")


def _damaged(path: Path, what: str) -> InternalError:
    return InternalError(
        f"stream {path.parent.name}/{path.name} cannot be used: {what}; restore the file or delete the session",
        operation="stream.load",
    )
