"""Long polls: one per bot; a newer one ends the older with 409."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.testing.telegram.limits import POLL_SECONDS
from teleclaude.testing.telegram.params import Params
from teleclaude.testing.telegram.refusal import ApiError, bad_request, conflict
from teleclaude.testing.telegram.world import Bot

MAX_BATCH = 100


class Polls:
    def __init__(self, clock: Clock, tasks: Tasks, owner: str) -> None:
        self._clock = clock
        self._tasks = tasks
        self._owner = owner
        self._waiting: dict[str, asyncio.Future[bool]] = {}
        self.on_change: Callable[[], None] = lambda: None
        """Told when a poll has confirmed updates, and when one begins to wait."""

    def wake(self, bot: Bot) -> None:
        """Tell the bot's poll that there is an update."""
        self._end(bot, rival=False)

    def polling(self, bot: Bot) -> bool:
        return bot.token in self._waiting

    async def poll(self, bot: Bot, params: Params) -> list[dict[str, Any]]:
        """``getUpdates``. Raises ``ApiError``."""
        if bot.webhook:
            text = (
                "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete the webhook"
            )
            raise ApiError(409, f"{text} first")
        self._end(bot, rival=True)
        allowed = params.value("allowed_updates", "allowed updates")
        if allowed is not None:
            if not isinstance(allowed, list):
                raise bad_request("can't parse allowed updates JSON object")
            bot.updates.allowed = frozenset(map(str, allowed)) or None
        limit = min(max(params.number("limit") or MAX_BATCH, 1), MAX_BATCH)
        timeout = min(max(params.number("timeout") or 0, 0), POLL_SECONDS)
        bot.updates.confirm(params.number("offset") or 0, self._clock.now().timestamp())
        self.on_change()
        found = bot.updates.take(limit)
        if not found and timeout:
            await self._wait(bot, timeout)
            found = bot.updates.take(limit)
        return found

    async def _wait(self, bot: Bot, seconds: float) -> None:
        waiter: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting[bot.token] = waiter
        self.on_change()
        timer = self._tasks.spawn(self._expire(waiter, seconds), name="long-poll", owner=self._owner)
        try:
            if await waiter:
                raise conflict()
        finally:
            timer.cancel()
            if self._waiting.get(bot.token) is waiter:
                del self._waiting[bot.token]

    async def _expire(self, waiter: asyncio.Future[bool], seconds: float) -> None:
        await self._clock.sleep(seconds)
        if not waiter.done():
            waiter.set_result(False)

    def _end(self, bot: Bot, *, rival: bool) -> None:
        waiter = self._waiting.pop(bot.token, None)
        if waiter is not None and not waiter.done():
            waiter.set_result(rival)
