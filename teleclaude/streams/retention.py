"""What has to go: the oldest segments of a stream that is too long, and of all streams when the disk budget is spent.

Only whole segments go, the oldest first, so that a stream never gets a hole. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from teleclaude.streams.layout import Kept

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Aged:
    """A kept segment and when it was last written, in seconds since the epoch."""

    kept: Kept
    written_at: float


def within_length(segments: Sequence[Kept], retention_bytes: int) -> int:
    """The offset below which a stream must be dropped so that at most ``retention_bytes`` stay.

    ``segments`` are all that are kept, oldest first; at least the newest one stays.
    """
    kept = [segment.start for segment in segments if segments[-1].end - segment.start <= retention_bytes]
    return kept[0] if kept else segments[-1].start


def within_budget(streams: Mapping[K, Iterable[Aged]], excess: int) -> dict[K, int]:
    """Offsets below which streams must be dropped so that ``excess`` bytes are freed, the oldest segments first.

    ``streams`` holds for each its segments that may go, oldest first. Less is freed when there is no more.
    """
    below: dict[K, int] = {}
    candidates: list[tuple[float, int, K, Kept]] = []
    for key, segments in streams.items():
        latest = 0.0
        for aged in segments:
            # A segment is never older than the one before it, whatever a changed clock says.
            latest = max(latest, aged.written_at)
            candidates.append((latest, aged.kept.start, key, aged.kept))
    for _, _, key, kept in sorted(candidates, key=lambda candidate: candidate[:2]):
        if excess <= 0:
            break
        below[key] = max(kept.end, below.get(key, 0))
        excess -= kept.end - kept.start
    return below
