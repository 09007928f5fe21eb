"""How long an execution may take, and how long it may be silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from teleclaude.clock import Clock
from teleclaude.process.limits import Limits
from teleclaude.process.outcome import StopCause


class TimeLimits:
    """Both limits of one execution, from now on. ``is_paused`` tells whether it is at the moment."""

    def __init__(self, limits: Limits, clock: Clock, is_paused: Callable[[], bool]) -> None:
        self._timeout_ms = limits.timeout_ms
        self._idle_ms = limits.idle_timeout_ms
        self._clock = clock
        self._is_paused = is_paused
        self._began = self._active = clock.monotonic()

    def __bool__(self) -> bool:
        """Whether there is a limit at all."""
        return self._timeout_ms is not None or self._idle_ms is not None

    @property
    def duration_ms(self) -> int:
        """Since the beginning, whatever the clock on the wall was set to."""
        return round((self._clock.monotonic() - self._began) * 1000)

    def touch(self) -> None:
        """It has shown that it is not idle."""
        self._active = self._clock.monotonic()

    async def exceeded(self) -> StopCause:
        """Wait until one of them is exceeded; answers which. There must be one."""
        while True:
            now = self._clock.monotonic()
            deadline, cause = min(self._deadlines(now))
            if deadline <= now:
                return cause
            await self._clock.sleep(deadline - now)

    def _deadlines(self, now: float) -> Iterator[tuple[float, StopCause]]:
        if self._timeout_ms is not None:
            yield self._began + self._timeout_ms / 1000, StopCause.TIMEOUT
        if self._idle_ms is not None:
            # Who is paused is not idle: its time begins again when it goes on.
            since = now if self._is_paused() else self._active
            yield since + self._idle_ms / 1000, StopCause.IDLE
