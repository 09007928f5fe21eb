"""What has to be done from time to time: retention, the disk budget, old records, idle sessions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import TeleclaudeError
from teleclaude.model import Activity, Kind
from teleclaude.service.ages import Ages
from teleclaude.service.audit import Audit
from teleclaude.service.executions.live import ExecutionTable
from teleclaude.service.once import Journal
from teleclaude.service.python.sessions import PythonSessions
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.service.views import Views
from teleclaude.streams import StreamStore

log = structlog.get_logger(__name__)

RETENTION_SECONDS = 5.0
SLOW_SECONDS = 60.0


class Upkeep:
    def __init__(
        self,
        *,
        table: SessionTable,
        executions: ExecutionTable,
        records: Records,
        streams: StreamStore,
        terminals: Terminals,
        python: PythonSessions,
        views: Views,
        journal: Journal,
        audit: Audit,
        settings: Settings,
        clock: Clock,
        purge: Callable[[str], Awaitable[None]],
    ) -> None:
        self._table = table
        self._executions = executions
        self._records = records
        self._streams = streams
        self._terminals = terminals
        self._python = python
        self._views = views
        self._journal = journal
        self._audit = audit
        self._settings = settings
        self._clock = clock
        self._purge = purge
        self._ages = Ages(clock)

    async def run_retention(self) -> None:
        """Keep streams within their own bounds and all of them within the disk budget."""
        while True:
            await self._clock.sleep(RETENTION_SECONDS)
            await self.retain()

    async def run_slow(self) -> None:
        while True:
            await self._clock.sleep(SLOW_SECONDS)
            await self.do_slow()

    async def do_slow(self) -> None:
        """Each duty in turn: one that cannot be done now holds up no other."""
        for duty in (
            self.purge_ended,
            self.close_idle,
            self._records.trim_events,
            self._journal.forget_old,
            self._audit.trim,
        ):
            try:
                await duty()
            except (TeleclaudeError, OSError):
                log.exception("upkeep_put_off", duty=duty.__name__)

    async def retain(self) -> None:
        limits = self._settings.current.sessions
        live = {live.id for live in self._table} | {live.id for live in self._executions}
        await self._streams.retain(retention_bytes=limits.retention_bytes, disk_bytes=limits.disk_bytes, live=live)

    async def purge_ended(self) -> None:
        """Drop sessions that ended longer ago than ``sessions.keep_exited_ms``."""
        keep = timedelta(milliseconds=self._settings.current.sessions.keep_exited_ms)
        for session in await self._records.ended_before(self._ages.before(keep)):
            try:
                await self._purge(session.id)
            except (TeleclaudeError, OSError) as error:
                log.warning("session_not_purged", session_id=session.id, error=str(error))
            else:
                log.info("session_purged", session_id=session.id)

    async def close_idle(self) -> None:
        """Close sessions that wrote nothing, got no input and ran no cell for ``sessions.idle_close_ms``."""
        idle_ms = self._settings.current.sessions.idle_close_ms
        if idle_ms is None:
            return
        idle_since = self._ages.before(timedelta(milliseconds=idle_ms))
        for live in self._table:
            last = self._views.last_activity(live.session, live.stream)
            if not self._may_be_idle(live) or max(last, live.since or last) > idle_since:
                continue
            log.info("session_idle_closed", session_id=live.id)
            keeper = self._python if live.session.kind is Kind.PYTHON else self._terminals
            try:
                await keeper.close(live, None, reason="idle")
            except TeleclaudeError as error:
                log.warning("idle_close_failed", session_id=live.id, error=str(error))

    def _may_be_idle(self, live: Live) -> bool:
        if live.session.kind is Kind.PYTHON:
            return self._views.activity(live.session, live.session.created_at) is Activity.IDLE
        return live.session.pane is not None and not live.session.adopted
