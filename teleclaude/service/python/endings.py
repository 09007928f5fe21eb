"""The end of a Python session: on record first, then told to everybody."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from teleclaude.clock import Clock, timestamp
from teleclaude.errors import IndeterminateError, TeleclaudeError
from teleclaude.events import SessionExited, SessionStateChanged
from teleclaude.model import Exited, Lost, Session
from teleclaude.service.records import Records
from teleclaude.service.table import Live, SessionTable
from teleclaude.streams import StreamStore
from teleclaude.tasks import TaskRegistry

log = structlog.get_logger(__name__)

OWNER = "python-sessions"

END_SECONDS = 5.0
"""How long one who closes a session waits for the end that somebody else has begun."""

RETRY_SECONDS = 5.0
"""How often the store is asked again to record an end that it refused."""


class Endings:
    def __init__(
        self, *, table: SessionTable, records: Records, streams: StreamStore, tasks: TaskRegistry, clock: Clock
    ) -> None:
        self._table = table
        self._records = records
        self._streams = streams
        self._tasks = tasks
        self._clock = clock

    async def record(self, session: Session, state: Exited | Lost) -> Session:
        """The session as it is from now on."""
        exit_ = state.exit
        fact = SessionExited(
            state=state.name,
            code=exit_.code,
            signal=exit_.signal,
            at=timestamp(exit_.at) if exit_.at else None,
            reason=exit_.reason,
            offset=self._streams.get(session.id).bounds().end,
        )
        session = session.moved_to(state)
        await self._records.save(session, SessionStateChanged(state.name), fact)
        return session

    async def finish(self, live: Live, state: Exited) -> None:
        """Of a session that has nothing left. Raises what the store raises; then it is recorded once it can be."""
        try:
            await self._finish(live, state)
        except TeleclaudeError as error:
            log.warning("session_end_not_stored", session_id=live.id, error=str(error))
            self._tasks.spawn(self._finish_late(live, state), name=f"store {live.id}", owner=OWNER)
            raise

    async def wait(self, live: Live) -> None:
        """Until an end that was begun is on record. Raises ``IndeterminateError`` when that takes long."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await live.ended.wait()
        except TimeoutError:
            raise IndeterminateError(
                f"session {live.session.name} is being closed, but its end is not recorded yet; look at it later",
                operation="session.close",
            ) from None

    async def _finish(self, live: Live, state: Exited) -> None:
        live.session = await self.record(live.session, state)
        self._table.remove(live)
        live.ended.set()
        live.tell()
        log.info("session_ended", session_id=live.id, state=state.name, code=state.exit.code, signal=state.exit.signal)

    async def _finish_late(self, live: Live, state: Exited) -> None:
        while not live.ended.is_set():
            await self._clock.sleep(RETRY_SECONDS)
            with suppress(TeleclaudeError):
                await self._finish(live, state)
