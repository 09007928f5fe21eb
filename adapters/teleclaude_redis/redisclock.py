"""The clock of the Redis server: the one that all computers can read, whatever their own say."""

from __future__ import annotations

from typing import Any

from teleclaude.clock import Clock

MAX_ROUND_TRIP_SECONDS = 1.0


class RedisClock:
    """Deadlines of messages are told in its time. ``measure`` now and then, and after every reconnection."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._offset_ms: float | None = None

    @property
    def is_set(self) -> bool:
        return self._offset_ms is not None

    async def measure(self, client: Any) -> None:
        """Does nothing when Redis was too slow to tell."""
        began = self._clock.monotonic()
        seconds, micros = await client.time()
        ended = self._clock.monotonic()
        if self._offset_ms is None or ended - began <= MAX_ROUND_TRIP_SECONDS:
            self._offset_ms = (seconds + micros / 1e6) * 1000 - (began + ended) / 2 * 1000

    def now_ms(self) -> int:
        """Its time now, to within a round trip; the own clock's before the first ``measure``."""
        if self._offset_ms is None:
            return round(self._clock.now().timestamp() * 1000)
        return self.ms_at(self._clock.monotonic())

    def ms_at(self, monotonic: float) -> int:
        """Its time at a moment of the own clock, which must have been measured."""
        return round(monotonic * 1000 + (self._offset_ms or 0))
