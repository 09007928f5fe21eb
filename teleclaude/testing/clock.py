"""A clock that moves only when a test says so."""

from __future__ import annotations

import asyncio
import heapq
from datetime import UTC, datetime, timedelta

SETTLE_TURNS = 10
"""Turns of the loop after each wake-up, so that what was woken can run and sleep again."""


class ManualClock:
    """Implements ``teleclaude.clock.Clock``; ``monotonic`` starts at 0 and wall time at ``start``."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._start = start
        self._elapsed = 0.0
        self._order = 0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    @property
    def sleepers(self) -> int:
        """How many callers of ``sleep`` wait for time to pass."""
        return sum(not wake.done() for _, _, wake in self._sleepers)

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        wake: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._order += 1
        heapq.heappush(self._sleepers, (self._elapsed + seconds, self._order, wake))
        await wake

    async def advance(self, seconds: float) -> None:
        """Let ``seconds`` pass, waking sleepers one after another in the order of their deadlines."""
        target = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= target:
            due, _, wake = heapq.heappop(self._sleepers)
            if not wake.done():
                self._elapsed = due
                wake.set_result(None)
                await _settle()
        self._elapsed = target

    def jump(self, seconds: float) -> None:
        """Set wall time forward or back, as a person or NTP does; monotonic time stays."""
        self._start += timedelta(seconds=seconds)


async def _settle() -> None:
    for _ in range(SETTLE_TURNS):
        await asyncio.sleep(0)
