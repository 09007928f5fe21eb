"""Dropping the records of old executions with their files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog

from teleclaude.clock import Clock
from teleclaude.model import Execution
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.service.settings import Settings

log = structlog.get_logger(__name__)

SECONDS = 5.0

Drop = Callable[[Execution], Awaitable[None]]
Trim = Callable[[datetime, int], Awaitable[None]]


class Retention:
    def __init__(self, records: ExecutionRecords, settings: Settings, clock: Clock, *, drop: Drop, trim: Trim) -> None:
        self._records = records
        self._settings = settings
        self._clock = clock
        self._drop = drop
        self._trim = trim

    async def run(self) -> None:
        while True:
            await self._clock.sleep(SECONDS)
            await self.drop_old()

    async def drop_old(self) -> int:
        """Drop ended ones older than ``executions.retention_ms`` and beyond ``executions.max_kept``, oldest first;
        answers how many. What has not ended is never dropped.
        """
        limits = self._settings.current.executions
        before = self._clock.now() - timedelta(milliseconds=limits.retention_ms)
        await self._trim(before, limits.max_kept)
        dropped = 0
        while ids := await self._records.superfluous(before, limits.max_kept):
            for execution_id in ids:
                execution = await self._records.get(execution_id)
                if execution is None:  # its row is damaged; the log says so
                    await self._records.forget(execution_id)
                else:
                    await self._drop(execution)
                dropped += 1
        if dropped:
            log.info("executions_dropped", count=dropped)
        return dropped
