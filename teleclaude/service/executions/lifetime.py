"""Executions that live no longer than the connection they came by."""

from __future__ import annotations

from functools import partial

import structlog

from teleclaude.api import Connection
from teleclaude.clock import Clock
from teleclaude.errors import ExitedError, TeleclaudeError
from teleclaude.service.executions.live import LiveExecution
from teleclaude.service.settings import Settings
from teleclaude.tasks import TaskRegistry

log = structlog.get_logger(__name__)

OWNER = "lifetimes"


class Lifetimes:
    def __init__(self, settings: Settings, tasks: TaskRegistry, clock: Clock) -> None:
        self._settings = settings
        self._tasks = tasks
        self._clock = clock

    def bind(self, live: LiveExecution, connection: Connection) -> None:
        """End it ``executions.disconnect_grace_ms`` after the connection is lost, if it has not ended by itself."""
        forget = connection.on_lost(partial(self._lost, live))

        def over() -> None:
            if live.ended.is_set():
                forget()

        live.listeners.add(over)

    def _lost(self, live: LiveExecution) -> None:
        if not live.ended.is_set():
            self._tasks.spawn(self._end(live), name=f"disconnected {live.id}", owner=OWNER)

    async def _end(self, live: LiveExecution) -> None:
        await self._clock.sleep(self._settings.current.executions.disconnect_grace_ms / 1000)
        log.info("execution_disconnected", execution_id=live.id)
        try:
            await cancel(live)
        except ExitedError:
            log.debug("execution_ended_before", execution_id=live.id)
        except TeleclaudeError:
            log.exception("disconnected_execution_not_ended", execution_id=live.id)


async def cancel(live: LiveExecution) -> None:
    """Begin to end it, whatever state it is in. Raises ``ExitedError`` when it has ended."""
    if live.withdraw is not None:
        live.withdraw()
        await live.ended.wait()
        return
    await live.begun.wait()
    if live.ended.is_set() or live.running is None:
        raise ExitedError("the execution has ended", operation="execution.cancel")
    await live.running.cancel()
