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
        self._seen: dict[tuple[str, str], bool] = {}  # whether it was let go of, and may come again
        self._ages: deque[tuple[float, tuple[str, str]]] = deque()

    def accept(self, envelope: Envelope) -> bool:
        """Whether it is here for the first time; otherwise it was let go of. Raises ``RefusedError``: ``clock`` for
        another time than now, ``duplicate`` for one that is here or was.
        """
        if abs(self._clock.now().timestamp() - envelope.ts / 1000) > WINDOW_SECONDS:
            raise RefusedError("clock", envelope.sender)
        now = self._clock.monotonic()
        while self._ages and now - self._ages[0][0] > 2 * WINDOW_SECONDS + 1:
            self._seen.pop(self._ages.popleft()[1], None)
        nonce = (envelope.sender, envelope.nonce)
        may_come_again = self._seen.get(nonce)
        if may_come_again is False:
            raise RefusedError("duplicate", envelope.sender)
        if may_come_again is None and len(self._seen) >= self._limit:
            raise RefusedError("overload", envelope.sender)
        self._seen[nonce] = False
        if may_come_again is None:
            self._ages.append((now, nonce))
        return may_come_again is None

    def let_go(self, envelope: Envelope) -> None:
        """Its answer could not be sent, whatever was done: it will come again."""
        nonce = (envelope.sender, envelope.nonce)
        if nonce in self._seen:
            self._seen[nonce] = True
