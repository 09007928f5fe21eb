"""Failing fast after repeated spawn failures, instead of trying again for every request."""

from __future__ import annotations

from teleclaude.clock import Clock
from teleclaude.errors import UnavailableError

FAILURES = 5
COOL_DOWN_SECONDS = 3.0


class SpawnBreaker:
    """Opens after ``FAILURES`` failures in a row; after ``cool_down`` seconds one attempt is let through as a probe."""

    def __init__(
        self, clock: Clock, *, operation: str = "execution.start", cool_down: float = COOL_DOWN_SECONDS
    ) -> None:
        self._clock = clock
        self._operation = operation
        self._cool_down = cool_down
        self._failures = 0
        self._opens_at = 0.0
        self._probing = False

    @property
    def is_open(self) -> bool:
        return self._failures >= FAILURES

    def admit(self) -> None:
        """Let an attempt through, whose end ``succeeded`` or ``failed`` must tell; raises ``UnavailableError``."""
        self.check()
        self._probing = self.is_open

    def check(self) -> None:
        """Raises ``UnavailableError`` when an attempt would not be let through."""
        if not self.is_open:
            return
        remaining = self._opens_at - self._clock.monotonic()
        if remaining > 0 or self._probing:
            wait_ms = max(1, round(remaining * 1000))
            raise UnavailableError(
                f"the last {self._failures} attempts to start a program failed; try again in {wait_ms} ms",
                operation=self._operation,
                retry_after_ms=wait_ms,
            )

    def succeeded(self) -> None:
        self._failures = 0
        self._probing = False

    def failed(self) -> None:
        self._failures += 1
        self._probing = False
        self._opens_at = self._clock.monotonic() + self._cool_down

    def withdrawn(self) -> None:
        """The attempt was given up before its end was known."""
        self._probing = False
