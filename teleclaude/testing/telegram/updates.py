"""The queue of one bot's updates. Pure: times come in as wall-clock seconds."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from teleclaude.testing.telegram.limits import UPDATE_SECONDS

FIRST_ID = 500_000_001
MAX_WAITING = 100_000
KEPT = 100
"""So many confirmed updates are remembered, for a test that has them delivered a second time."""
ON_REQUEST = frozenset({"chat_member", "message_reaction", "message_reaction_count"})
"""Kinds that come only to a bot which lists them."""


@dataclass(frozen=True, slots=True)
class Queued:
    update: dict[str, Any]
    at: float

    @property
    def id(self) -> int:
        return int(self.update["update_id"])


class Updates:
    def __init__(self) -> None:
        self._next = FIRST_ID
        self._waiting = deque[Queued](maxlen=MAX_WAITING)
        self._confirmed = deque[Queued](maxlen=KEPT)
        self._again: list[Queued] = []
        self.allowed: frozenset[str] | None = None
        """What the bot asked for last; None means all but ``ON_REQUEST``."""
        self.confirmed = FIRST_ID - 1
        """The highest id that an offset has confirmed."""

    def add(self, kind: str, content: dict[str, Any], at: float) -> int:
        """Queue one update; its id. An id is used up even when the bot did not ask for this kind."""
        update_id, self._next = self._next, self._next + 1
        if self._wanted(kind):
            self._waiting.append(Queued({"update_id": update_id, kind: content}, at))
        return update_id

    def inject(self, update: dict[str, Any], at: float) -> None:
        """Queue an update as it is, whatever its id or shape."""
        self._waiting.append(Queued(dict(update), at))
        self._next = max(self._next, int(update["update_id"]) + 1)

    def repeat(self, count: int = 1) -> None:
        """Let the next poll bring the last ``count`` confirmed updates once more, before all others."""
        self._again = list(self._confirmed)[-count:]

    def skip(self, count: int) -> None:
        """Leave a hole in the ids."""
        self._next += count

    def confirm(self, offset: int, now: float) -> None:
        """Drop what is below ``offset``, and what is too old; a negative offset keeps only the last ones."""
        while self._waiting and now - self._waiting[0].at > UPDATE_SECONDS:
            self._waiting.popleft()
        if offset < 0:
            offset = self._waiting[offset].id if len(self._waiting) >= -offset else 0
        kept = deque[Queued](maxlen=MAX_WAITING)
        for queued in self._waiting:
            (kept if queued.id >= offset else self._confirmed).append(queued)
        self._waiting = kept
        self.confirmed = max(self.confirmed, offset - 1)

    def take(self, limit: int) -> list[dict[str, Any]]:
        """The next ones; they stay queued until an offset confirms them."""
        again, self._again = self._again, []
        return [queued.update for queued in [*again, *self._waiting]][:limit]

    @property
    def waiting(self) -> Sequence[dict[str, Any]]:
        return [queued.update for queued in self._waiting]

    def clear(self) -> None:
        self._waiting.clear()

    def _wanted(self, kind: str) -> bool:
        return kind not in ON_REQUEST if self.allowed is None else kind in self.allowed
