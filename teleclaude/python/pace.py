"""A token bucket: how often something may happen."""

from __future__ import annotations

import asyncio


class Pace:
    """``rate`` permits a second, of which ``burst`` may be saved up. Made anywhere, used on a running loop."""

    def __init__(self, rate: float, burst: int) -> None:
        if rate <= 0 or burst < 1:
            raise ValueError("a pace needs a rate above 0 and a burst of at least 1")
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._at: float | None = None

    async def take(self) -> None:
        """Wait for a permit. Callers are served in order. Raises ``RuntimeError`` outside a running loop."""
        wait = self._reserve(asyncio.get_running_loop().time())
        if wait > 0:
            await asyncio.sleep(wait)

    def _reserve(self, now: float) -> float:
        """Take a permit now, be it from the future; answers how long until it is good."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)
