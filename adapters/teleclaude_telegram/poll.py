"""The long poll: updates are committed before the server may forget them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from teleclaude.clock import Clock
from teleclaude_telegram.api import POLL_SECONDS, ApiError, BotApi, Conflict, ToldToWaitError, explain
from teleclaude_telegram.journal import Journal

log = structlog.get_logger(__name__)

DEAF_SECONDS = POLL_SECONDS * 2 + 10
MAX_BACKOFF_SECONDS = 30.0
CONFLICT_SECONDS = 5.0
RIVAL_SECONDS = 60.0
"""Our own last poll may hold the place for most of a minute after we were killed; who is there longer is another."""
RIVAL = "another program polls with the same token; stop it, or give this one a bot of its own"


class Poller:
    """``trouble`` says what was wrong with the last poll, empty when it went well. ``alarm`` says so in the chat."""

    def __init__(
        self,
        api: BotApi,
        journal: Journal,
        clock: Clock,
        taken: Callable[[], None],
        alarm: Callable[[str], Awaitable[None]],
    ) -> None:
        self._api = api
        self._journal = journal
        self._clock = clock
        self._taken = taken
        self._alarm = alarm
        self._failures = 0
        self._rival = Rival()
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
                offset = await self._journal.offset(self._clock.now().timestamp())
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
            self.trouble = RIVAL
            wait = CONFLICT_SECONDS
            if self._rival.met(self._clock.monotonic()):
                await self._alarm(f"⚠️ {RIVAL[0].upper()}{RIVAL[1:]}: of what is written here, each gets only a part.")
        elif isinstance(error, ToldToWaitError):
            wait = error.seconds
        if self._failures == 1 or self._failures % 100 == 0:
            log.warning("telegram_poll_failed", error=self.trouble, times=self._failures)
        await self._clock.sleep(wait)


class Rival:
    """Another program with the same token. The two end each other's polls, so each has good ones in between. Pure."""

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0
        self._told = False

    def met(self, now: float) -> bool:
        """A poll was ended by it; whether that is to be told, which is once until it has been gone for a while."""
        if self._first is None or now - self._last > 2 * RIVAL_SECONDS:
            self._first, self._told = now, False
        self._last = now
        if self._told or now - self._first < RIVAL_SECONDS:
            return False
        self._told = True
        return True
