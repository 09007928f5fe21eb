"""The long poll: updates are committed before the server may forget them."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from teleclaude.clock import Clock
from teleclaude_telegram.api import POLL_SECONDS, ApiError, BotApi, Conflict, ToldToWaitError, explain
from teleclaude_telegram.journal import Journal

log = structlog.get_logger(__name__)

DEAF_SECONDS = POLL_SECONDS * 2 + 10
MAX_BACKOFF_SECONDS = 30.0
CONFLICT_SECONDS = 5.0


class Poller:
    """``trouble`` says what was wrong with the last poll, empty when it went well."""

    def __init__(self, api: BotApi, journal: Journal, clock: Clock, taken: Callable[[], None]) -> None:
        self._api = api
        self._journal = journal
        self._clock = clock
        self._taken = taken
        self._failures = 0
        self._good: float | None = None
        self.trouble = ""

    @property
    def silence(self) -> float | None:
        """Seconds since the last good poll; None when there was none."""
        return None if self._good is None else self._clock.monotonic() - self._good

    async def run(self) -> None:
        """Poll, for ever. The offset that confirms is sent only once everything below it is committed."""
        first = True
        while True:
            try:
                offset = await self._journal.offset()
                # The first one, and the first after a failure, answers at once: health is known early.
                updates = await self._api.poll(offset, seconds=0 if first else POLL_SECONDS)
            except ApiError as error:
                await self._failed(error)
                first = True
                continue
            first = False
            await self._journal.take(updates, self._clock.now().timestamp())
            self._well()
            if updates:
                self._taken()

    def _well(self) -> None:
        if self._failures:
            log.info("telegram_polls_again", after=self._failures)
        self._failures, self.trouble = 0, ""
        self._good = self._clock.monotonic()

    async def _failed(self, error: ApiError) -> None:
        self._failures += 1
        self.trouble = explain(error)
        wait = min(MAX_BACKOFF_SECONDS, 0.5 * 2 ** min(self._failures, 8))
        if isinstance(error, Conflict):
            self.trouble = "another program polls with the same token; stop it, or give this one a bot of its own"
            wait = CONFLICT_SECONDS
        elif isinstance(error, ToldToWaitError):
            wait = error.seconds
        if self._failures == 1 or self._failures % 100 == 0:
            log.warning("telegram_poll_failed", error=self.trouble, times=self._failures)
        await self._clock.sleep(wait)
