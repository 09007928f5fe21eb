"""Python sessions put together: one object for the service to enter, ask for handlers and leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import structlog

from teleclaude.api import Check
from teleclaude.clock import Clock
from teleclaude.config import Config
from teleclaude.process import CgroupRoot, claim
from teleclaude.python import WorkerPool
from teleclaude.service.executions.part import ExecutionPart
from teleclaude.service.lookup import Lookup
from teleclaude.service.metrics import Reading
from teleclaude.service.python.cells import Cells
from teleclaude.service.python.endings import OWNER
from teleclaude.service.python.handlers import Handler, PythonHandlers
from teleclaude.service.python.sessions import PythonSessions
from teleclaude.service.python.settings import settings_of
from teleclaude.service.python.snapshots import Snapshots
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import SessionTable
from teleclaude.service.views import Views
from teleclaude.streams import StreamStore
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.base import Command

log = structlog.get_logger(__name__)


class PythonPart:
    """An async context manager: entering it records the sessions that an earlier daemon took with it, leaving it ends
    all sessions. Enter it after the executions and leave it before them.
    """

    def __init__(
        self,
        *,
        computer: str,
        table: SessionTable,
        lookup: Lookup,
        records: Records,
        streams: StreamStore,
        executions: ExecutionPart,
        views: Views,
        settings: Settings,
        tasks: TaskRegistry,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        cgroups = _cgroups_of(settings.current)
        self._pool = WorkerPool(settings_of(settings.current, cgroups), tasks)
        self.sessions = PythonSessions(
            table=table,
            records=records,
            streams=streams,
            pool=self._pool,
            cgroups=cgroups,
            settings=settings,
            tasks=tasks,
            clock=clock,
        )
        self._handlers = PythonHandlers(
            computer=computer,
            table=table,
            lookup=lookup,
            streams=streams,
            sessions=self.sessions,
            cells=Cells(keeper=executions.keeper, tasks=tasks, clock=clock),
            snapshots=Snapshots(streams, clock),
            views=views,
            settings=settings,
            clock=clock,
        )
        self._executions = executions
        views.python = self.sessions.activity
        settings.on_change(lambda config: self._pool.resettle(settings_of(config, _cgroups_of(config))))

    async def __aenter__(self) -> Self:
        await self.sessions.recover()
        await self._pool.__aenter__()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
        await self._pool.aclose()
        await self._tasks.cancel_owner(OWNER, 1.0)

    async def stop(self) -> None:
        """End every session and record how. Does nothing the second time."""
        await self.sessions.close_all("daemon_stopped")

    async def forget(self, session_id: str) -> None:
        """Drop the cells of an ended session, with their output."""
        records = self._executions.records
        for execution_id in await records.of_session(session_id):
            execution = await records.get(execution_id)
            if execution is None:  # its row is damaged; the log says so
                await records.forget(execution_id)
            elif execution.outcome is not None:
                await self._executions.executions.drop(execution)

    def handlers(self, terminals: Mapping[type[Command[Any]], Handler]) -> Mapping[type[Command[Any]], Handler]:
        """Its own commands, and the ``terminals``' divided by the kind of the session."""
        return {**self._handlers.over(terminals), **self._handlers.handlers()}

    async def check(self) -> Check:
        silent = [item.engine.id for item in self.sessions if not item.engine.is_responsive]
        detail = f"{len(self.sessions)} sessions, {self._pool.warm} warm"
        return Check(ok=True, detail=f"{detail}; not answering: {', '.join(silent)}" if silent else detail)

    def readings(self) -> list[Reading]:
        return [("teleclaude_python_sessions", "Live Python sessions", lambda: len(self.sessions))]


def _cgroups_of(config: Config) -> CgroupRoot | None:
    """Where workers get control groups of their own, with the configured caps; what cannot be enforced is logged."""
    root, section = claim(), config.python
    if root is not None:
        return root.with_caps(pids_max=section.max_processes, memory_max_bytes=section.max_memory_bytes)
    if section.max_processes is not None:
        log.warning("caps_not_enforced", detail="python.max_processes: no control group is delegated to the daemon")
    return None
