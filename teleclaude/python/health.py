"""Counting heartbeats. Pure."""

from __future__ import annotations

MISSED_LIMIT = 3


class Heartbeats:
    """Which pings were answered. Late answers count, and one makes up for all before it."""

    def __init__(self) -> None:
        self.is_responsive = True
        self._sent = 0
        self._heard = 0

    @property
    def missed(self) -> int:
        return self._sent - self._heard

    def sent(self, seq: int) -> None:
        self._sent = seq

    def forget(self) -> None:
        """Nothing that was asked so far needs an answer: the worker is paused, or another one."""
        self._heard = self._sent

    def heard(self, seq: int) -> bool:
        """Whether it answers again after it did not for long. Raises ``ValueError`` for a ping that was never sent."""
        if seq > self._sent:
            raise ValueError(f"ping {seq} was never sent")
        self._heard = max(self._heard, seq)
        recovered = not self.is_responsive
        self.is_responsive = True
        return recovered

    def is_newly_lost(self) -> bool:
        """Whether it is unresponsive from now on."""
        if not self.is_responsive or self.missed < MISSED_LIMIT:
            return False
        self.is_responsive = False
        return True
