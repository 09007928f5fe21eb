"""How old things are, whatever is done to the wall clock meanwhile."""

from __future__ import annotations

from datetime import datetime, timedelta

from teleclaude.clock import Clock

STEP_SECONDS = 10.0
"""Wall and monotonic time that differ by more: somebody has set the clock, or the computer slept."""


class Ages:
    """Time by which the wall clock was set forward makes nothing older: nobody loses a session to a wrong clock.

    It must be asked often, because a step is seen between two questions.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._now, self._monotonic = clock.now(), clock.monotonic()
        self._skipped = 0.0
        self._stepped_at: datetime | None = None

    def before(self, age: timedelta) -> datetime:
        """The moment, in wall time, before which things happened that are older than ``age``."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        step = (now - self._now).total_seconds() - (monotonic - self._monotonic)
        self._now, self._monotonic = now, monotonic
        if abs(step) > STEP_SECONDS:
            self._skipped = max(0.0, self._skipped + step)
            self._stepped_at = now
        if self._stepped_at is None or now - self._stepped_at >= age:
            return now - age
        # What happened after the step is younger than this in any case.
        return now - age - timedelta(seconds=self._skipped)
