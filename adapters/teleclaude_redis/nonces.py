"""Which envelopes were seen already, for as long as their time would still be accepted."""

from __future__ import annotations

from collections import deque

from teleclaude.clock import Clock
from teleclaude_redis.envelope import WINDOW_SECONDS, Envelope, RefusedError

MAX_NONCES = 500_000


class Nonces:
    """Time and nonce of what comes in. Kept for longer than twice the window, since the clocks may differ by one."""

    def __init__(self, clock: Clock, limit: int = MAX_NONCES) -> None:
        self._clock = clock
        self._limit = limit
        self._seen: set[tuple[str, str]] = set()
        self._ages: deque[tuple[float, tuple[str, str]]] = deque()

    def accept(self, envelope: Envelope) -> None:
        """Raises ``RefusedError``: ``clock`` for another time than now, ``duplicate`` for one that was here before."""
        if abs(self._clock.now().timestamp() - envelope.ts / 1000) > WINDOW_SECONDS:
            raise RefusedError("clock", envelope.sender)
        now = self._clock.monotonic()
        while self._ages and now - self._ages[0][0] > 2 * WINDOW_SECONDS + 1:
            self._seen.discard(self._ages.popleft()[1])
        nonce = (envelope.sender, envelope.nonce)
        if nonce in self._seen:
            raise RefusedError("duplicate", envelope.sender)
        if len(self._seen) >= self._limit:
            raise RefusedError("overload", envelope.sender)
        self._seen.add(nonce)
        self._ages.append((now, nonce))

    def forget(self, envelope: Envelope) -> None:
        """It could not be handled and will come again."""
        self._seen.discard((envelope.sender, envelope.nonce))
