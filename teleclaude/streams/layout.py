"""Where a stream's bytes stand: file names, generation records and the arithmetic of offsets. Pure.

A stream is a directory. Each *generation* (one recorder's life) writes segments ``<generation>.<index>`` of exactly
``segment_bytes`` each, the newest one excepted. A byte's offset is ``base + index * segment_bytes + position``, where
``base`` was fixed once, after the generation before had ended; it is never recomputed from file sizes.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

SUFFIX_DIGITS = 9
"""Width of a segment's index: ``split -a`` ends a recorder there, after 10**9 segments."""

MAX_INDEX = 10**SUFFIX_DIGITS - 1

GAPS_NAME = "gaps"

_NAME = re.compile(r"(0|[1-9][0-9]{0,17})\.(?:([0-9]{9})|(pid|json))")


@dataclass(frozen=True, slots=True)
class FileName:
    """What a file of a stream directory is: a segment (``index`` is set) or a ``kind`` of ``pid`` or ``json``."""

    generation: int
    index: int | None
    kind: str | None


def parse_name(name: str) -> FileName | None:
    """None for a file that is not part of the layout."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    generation, index, kind = match.groups()
    return FileName(int(generation), None if index is None else int(index), kind)


def segment_name(generation: int, index: int) -> str:
    return f"{generation}.{index:0{SUFFIX_DIGITS}d}"


def record_name(generation: int) -> str:
    return f"{generation}.json"


def pid_name(generation: int) -> str:
    return f"{generation}.pid"


def recorder_command(directory: str, generation: int, segment_bytes: int) -> str:
    """The shell line that records its standard input as ``generation``.

    The shell first claims the generation by creating its pid file, which fails when it is there already: of a recorder
    that starts late and a daemon that has given the generation up, exactly one wins. The record is looked for after
    that, so a generation whose files are gone altogether cannot be claimed either. The pid file holds the process's
    ``/proc`` status line, whose start time names the process for good, or the bare pid where there is no ``/proc``.
    """
    pid_file = shlex.quote(f"{directory}/{pid_name(generation)}")
    record = shlex.quote(f"{directory}/{record_name(generation)}")
    return (
        "umask 077; set -C; { read -r s </proc/$$/stat || s=$$; } 2>/dev/null; "
        f'echo "$s" >{pid_file} || exit 1; [ -e {record} ] || {{ rm -f {pid_file}; exit 1; }}; '
        f"exec split -b {segment_bytes} -d -a {SUFFIX_DIGITS} - {shlex.quote(recorder_prefix(directory, generation))}"
    )


def recorder_prefix(directory: str, generation: int) -> str:
    """The last argument of a running recorder, unlike that of any other process."""
    return f"{directory}/{generation}."


@dataclass(frozen=True, slots=True)
class Record:
    """What is kept beside a generation's segments, in ``<generation>.json``.

    ``base`` is None until the generation before has ended. ``reason`` names the gap in front of this generation, if
    there is one. ``boot`` identifies the machine's run, because a start time means nothing after a reboot.
    """

    segment_bytes: int
    base: int | None
    reason: str | None
    boot: str

    def encode(self) -> bytes:
        fields = {"base": self.base, "segment_bytes": self.segment_bytes, "reason": self.reason, "boot": self.boot}
        return json.dumps(fields).encode() + b"\n"

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Raises ``ValueError`` when ``data`` is not a record."""
        match json.loads(data):
            case {
                "base": int() | None as base,
                "segment_bytes": int() as segment_bytes,
                "reason": str() | None as reason,
                "boot": str() as boot,
            } if segment_bytes > 0 and (base is None or base >= 0):
                return cls(segment_bytes=segment_bytes, base=base, reason=reason, boot=boot)
        raise ValueError("not a generation's record")


@dataclass(slots=True)
class Generation:
    """One recorder's segments: ``first`` is the oldest kept index, ``last`` the newest known (``first - 1``: none)."""

    number: int
    segment_bytes: int
    base: int
    first: int = 0
    last: int = -1

    def offset(self, index: int, position: int = 0) -> int:
        return self.base + index * self.segment_bytes + position

    @property
    def is_empty(self) -> bool:
        return self.last < self.first


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes at ``position`` of one segment, which are the stream's bytes from ``offset`` on."""

    generation: int
    index: int
    position: int
    length: int
    offset: int


def extents(generations: Sequence[Generation], start: int, end: int) -> Iterator[Extent]:
    """Where the bytes ``[start, end)`` are. ``generations`` are in order; each ends where the next one begins.

    An extent never reaches over a generation's end, whatever its files hold.
    """
    for position, generation in enumerate(generations):
        limit = generations[position + 1].base if position + 1 < len(generations) else end
        offset, stop = max(start, generation.base), min(end, limit)
        while offset < stop:
            index, inside = divmod(offset - generation.base, generation.segment_bytes)
            length = min(generation.segment_bytes - inside, stop - offset)
            yield Extent(generation.number, index, inside, length, offset)
            offset += length


@dataclass(frozen=True, slots=True)
class Kept:
    """One segment that is kept: its bytes are ``[start, end)`` of the stream, of which holes may be missing."""

    generation: int
    index: int
    start: int
    end: int


def kept_segments(generations: Sequence[Generation], start: int, end: int) -> Iterator[Kept]:
    """All segments that hold bytes at or above ``start``, oldest first."""
    for position, generation in enumerate(generations):
        limit = generations[position + 1].base if position + 1 < len(generations) else end
        for index in range(generation.first, generation.last + 1):
            segment_start = generation.offset(index)
            segment_end = min(segment_start + generation.segment_bytes, limit)
            if segment_end > start:
                yield Kept(generation.number, index, segment_start, segment_end)
