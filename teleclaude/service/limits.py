"""How much one principal may ask for: calls a second, streams and sessions at once. The local owner is not limited."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from teleclaude.clock import Clock
from teleclaude.errors import LimitError
from teleclaude.model import Principal, Role

UNLIMITED = "local"
"""The principal of the unix socket."""

MAX_STREAMS = 100
MAX_SESSIONS = 50
"""Alive at a time, for each principal below owner; owners have ``sessions.max`` in common."""
MAX_PRINCIPALS = 10_000
"""Buckets kept; the one longest unused goes first, by when it is full again anyway."""

STARTS = frozenset({"session.create", "session.restart", "session.adopt", "execution.start", "plan.start"})


@dataclass(frozen=True, slots=True)
class Rate:
    """``burst`` at once, and ``per_second`` in the long run."""

    per_second: float
    burst: int


CALLS = Rate(per_second=200, burst=400)
STARTING = Rate(per_second=10, burst=50)


def most_sessions(principal: Principal) -> int | None:
    """How many sessions the principal may have alive; None for as many as there may be."""
    return None if principal.role is Role.OWNER else MAX_SESSIONS


class Bucket:
    """Tokens that come back with time."""

    def __init__(self, rate: Rate, now: float) -> None:
        self._rate = rate
        self._left = float(rate.burst)
        self._at = now

    def take(self, now: float) -> float:
        """0 when there was a token, else the seconds until there is one."""
        self._left = min(self._rate.burst, self._left + (now - self._at) * self._rate.per_second)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._rate.per_second


class Limits:
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, Rate], Bucket] = OrderedDict()
        self._streams: Counter[str] = Counter()

    def admit(self, principal: Principal, operation: str) -> None:
        """Count one call. Raises ``LimitError`` with the time to wait."""
        if principal.name == UNLIMITED:
            return
        for rate in (CALLS, STARTING) if operation in STARTS else (CALLS,):
            delay = self._bucket(principal.name, rate).take(self._clock.monotonic())
            if delay:
                raise LimitError(
                    f"{principal.name} asks more than {rate.per_second:g} times a second; slow down",
                    operation=operation,
                    retry_after_ms=max(1, round(delay * 1000)),
                )

    @contextmanager
    def stream(self, principal: Principal, operation: str) -> Iterator[None]:
        """One of the streams that the principal may follow at a time. Raises ``LimitError``."""
        name = principal.name
        if name != UNLIMITED and self._streams[name] >= MAX_STREAMS:
            raise LimitError(f"{name} follows {MAX_STREAMS} streams already; close some", operation=operation)
        self._streams[name] += 1
        try:
            yield
        finally:
            self._streams[name] -= 1
            if not self._streams[name]:
                del self._streams[name]

    def _bucket(self, name: str, rate: Rate) -> Bucket:
        bucket = self._buckets.get((name, rate))
        if bucket is None:
            bucket = self._buckets[name, rate] = Bucket(rate, self._clock.monotonic())
            if len(self._buckets) > MAX_PRINCIPALS:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end((name, rate))
        return bucket
