"""The holes of one stream, each with its name, in order of place. Pure."""

from __future__ import annotations

import json
from bisect import insort
from collections.abc import Iterable, Iterator

from teleclaude.model import Gap

REASONS = frozenset({"retention", "recorder_died", "disk_full", "truncated", "skipped", "daemon_absent", "handoff"})


def _place(gap: Gap) -> tuple[int, int, str]:
    return gap.start, gap.end, gap.reason


class Gaps:
    """A sorted set: the same gap said twice is one gap, and known holes of one reason that touch are joined."""

    def __init__(self, gaps: Iterable[Gap] = ()) -> None:
        self._gaps: list[Gap] = []
        for gap in gaps:
            self.add(gap)

    def __iter__(self) -> Iterator[Gap]:
        return iter(self._gaps)

    def __len__(self) -> int:
        return len(self._gaps)

    def add(self, gap: Gap) -> bool:
        """False when it was known already."""
        if any(_says(known, gap) for known in self._gaps):
            return False
        if gap.start < gap.end:
            touching = [known for known in self._gaps if _touches(known, gap)]
            for known in touching:
                self._gaps.remove(known)
            start = min(gap.start, *(known.start for known in touching)) if touching else gap.start
            end = max(gap.end, *(known.end for known in touching)) if touching else gap.end
            gap = Gap(start, end, end - start, gap.reason)
        insort(self._gaps, gap, key=_place)
        return True

    def add_lost(self, start: int, end: int) -> bool:
        """Name the part of ``[start, end)`` that has no name yet ``truncated``; False when all of it had one."""
        added = False
        while start < end:
            known = self.covering(start)
            if known is not None:
                start = known.end
                continue
            hole = self.next_hole(start)
            stop = end if hole is None else min(end, hole)
            added = self.add(Gap(start, stop, stop - start, "truncated")) or added
            start = stop
        return added

    def drop_below(self, start: int) -> bool:
        """Forget holes that lie wholly below ``start``; whether there were any."""
        before = len(self._gaps)
        self._gaps = [gap for gap in self._gaps if gap.end >= start]
        return len(self._gaps) != before

    def after(self, offset: int) -> Iterator[Gap]:
        """Gaps that a reader at ``offset`` has still before it: the one it stands in or at first."""
        return (gap for gap in self._gaps if gap.end > offset or (gap.start == gap.end == offset))

    def covering(self, offset: int) -> Gap | None:
        """The hole of known length that holds ``offset``."""
        return next((gap for gap in self._gaps if gap.start <= offset < gap.end), None)

    def next_place(self, offset: int) -> int | None:
        """Where the next hole of any length is, above ``offset``."""
        return next((gap.start for gap in self._gaps if gap.start > offset), None)

    def next_hole(self, offset: int) -> int | None:
        """Where the next hole of known length begins, at or above ``offset``."""
        return next((gap.start for gap in self._gaps if gap.start >= offset and gap.end > gap.start), None)


def _says(known: Gap, gap: Gap) -> bool:
    if gap.start == gap.end:
        return known == gap
    return known.reason == gap.reason and known.start <= gap.start and gap.end <= known.end


def _touches(known: Gap, gap: Gap) -> bool:
    return known.reason == gap.reason and known.start < known.end and known.start <= gap.end and gap.start <= known.end


def encode_gap(gap: Gap) -> bytes:
    return json.dumps({"start": gap.start, "end": gap.end, "bytes": gap.bytes, "reason": gap.reason}).encode() + b"\n"


def decode_gaps(data: bytes) -> tuple[list[Gap], bool]:
    """All whole lines, and whether there was nothing else: a line torn by a crash is left out."""
    gaps: list[Gap] = []
    whole = data.endswith(b"\n") or not data
    for line in data.splitlines():
        gap = _decode(line)
        if gap is None:
            whole = False
        else:
            gaps.append(gap)
    return gaps, whole


def _decode(line: bytes) -> Gap | None:
    try:
        fields = json.loads(line)
        start, end, count, reason = (fields[key] for key in ("start", "end", "bytes", "reason"))
    except (ValueError, KeyError, TypeError):
        return None
    if type(start) is not int or type(end) is not int or not 0 <= start <= end or reason not in REASONS:
        return None
    return Gap(start, end, count if type(count) is int else None, reason)
