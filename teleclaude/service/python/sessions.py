"""The life of a Python session: start, end, restart, close; and what is known of it meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import ExitedError, LimitError, TeleclaudeError
from teleclaude.events import Fact, SessionHealth, SessionStateChanged
from teleclaude.model import Activity, Exit, Exited, Kind, Lost, Running, Session, Starting
from teleclaude.process import CgroupRoot
from teleclaude.process.outcome import LeaderExit
from teleclaude.python import Place, PythonSession, WorkerPool
from teleclaude.service.python.endings import OWNER, Endings
from teleclaude.service.python.settings import settings_of
from teleclaude.service.python.transcript import Transcript
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live, SessionTable
from teleclaude.streams import StreamStore
from teleclaude.tasks import TaskRegistry

log = structlog.get_logger(__name__)

CELL_SECONDS = 5.0
"""How long the end of a session waits until its cells' ends are stored."""


class Interpreter:
    """A live session's engine and transcript. ``admission`` lets one cell at a time be recorded and submitted; ``used``
    is called where the session is not idle.
    """

    def __init__(self, engine: PythonSession, transcript: Transcript, used: Callable[[], None]) -> None:
        self.engine = engine
        self.transcript = transcript
        self.used = used
        self.admission = asyncio.Lock()
        self.cells = f"cells:{engine.id}"
        """Owner of the tasks that follow its cells."""


class PythonSessions:
    """All Python sessions of this computer. Records and table are those of every session."""

    def __init__(
        self,
        *,
        table: SessionTable,
        records: Records,
        streams: StreamStore,
        pool: WorkerPool,
        cgroups: CgroupRoot | None,
        settings: Settings,
        tasks: TaskRegistry,
        clock: Clock,
    ) -> None:
        self._table = table
        self._records = records
        self._streams = streams
        self._pool = pool
        self._cgroups = cgroups
        self._settings = settings
        self._tasks = tasks
        self._clock = clock
        self._endings = Endings(table=table, records=records, streams=streams, tasks=tasks, clock=clock)
        self._interpreters: dict[str, Interpreter] = {}

    def __len__(self) -> int:
        return len(self._interpreters)

    def __iter__(self) -> Iterator[Interpreter]:
        return iter(list(self._interpreters.values()))

    async def ready(self, live: Live | None, operation: str) -> Interpreter:
        """The session's interpreter, once it is there; now it is in use. Raises ``ExitedError`` when there is none."""
        found = None if live is None else self._interpreters.get(live.id)
        if live is not None and found is None and live.closing is None:
            # It is just being started, which has a deadline of its own.
            async with live.lifecycle:
                found = self._interpreters.get(live.id)
        if live is None or found is None:
            raise ExitedError("the session has ended; restart it first", operation=operation)
        found.used()
        return found

    def activity(self, session: Session) -> Activity:
        """Known for certain, as long as the interpreter answers."""
        found = self._interpreters.get(session.id)
        if found is None or not found.engine.is_responsive:
            return Activity.UNKNOWN
        if found.engine.needs_input:
            return Activity.NEEDS_INPUT
        return Activity.WORKING if found.engine.is_busy else Activity.IDLE

    def reserve(self, live: Live, *, operation: str) -> None:
        """Take name and place, in one step. Raises ``LimitError`` and ``ConflictError``."""
        most = self._settings.current.python.max
        if sum(other.session.kind is Kind.PYTHON for other in self._table) >= most:
            raise LimitError(
                f"{most} Python sessions are alive, which is python.max; close one first", operation=operation
            )
        self._table.reserve(live, operation=operation)

    async def start_new(self, live: Live) -> None:
        """Record and start a session that holds its place already. A failure leaves no trace of it."""
        try:
            await self._records.insert(live.session)
            await self._launch(live)
        except BaseException:
            self._table.remove(live)
            await self._records.delete(live.id, silent=True)
            await self._streams.delete(live.id)
            raise

    async def start_again(self, live: Live) -> None:
        """Start an ended session anew, with the same stream; it holds its place already."""
        before = live.session
        live.session = replace(before, epoch=before.epoch + 1)
        try:
            await self._change(live, Starting())
            await self._launch(live)
        except BaseException:
            self._table.remove(live)
            live.session = before
            await self._records.save(before, SessionStateChanged(before.state.name))
            raise

    async def restart(self, live: Live, operation: str) -> None:
        """A new interpreter for a live session; its cells are cancelled."""
        interpreter = await self.ready(live, operation)
        await self.restarted(live, await interpreter.engine.restart())

    async def close(self, live: Live, grace_ms: int | None, reason: str = "closed") -> None:
        """End it with everything it started; returns once the end is recorded.

        Raises ``IndeterminateError`` when another's closing takes long, and what the store raises when it cannot be
        recorded now: then it is recorded later.
        """
        if live.closing is not None:
            await self._endings.wait(live)
            return
        async with live.lifecycle:
            interpreter = self._interpreters.get(live.id)
            if interpreter is None:
                return  # it ended, or never came to be, while we waited
            live.closing = reason
            await interpreter.engine.aclose(None if grace_ms is None else grace_ms / 1000)
            how = interpreter.engine.last_exit
            await self._finish(live, Exited(Exit(how.code, how.signal, self._clock.now(), reason)))

    async def close_all(self, reason: str) -> None:
        """End every session, at the same time."""
        lives = [live for live in self._table if live.id in self._interpreters]
        closing = (self.close(live, None, reason) for live in lives)
        for failure in await asyncio.gather(*closing, return_exceptions=True):
            if isinstance(failure, BaseException):
                log.error("python_session_not_closed", error=str(failure), exc_info=failure)

    async def recover(self) -> None:
        """Interpreters do not outlive the daemon: sessions that were stored as alive are lost."""
        for session in await self._records.live():
            if session.kind is not Kind.PYTHON:
                continue
            lost = Lost(Exit(code=None, signal=None, at=self._clock.now(), reason="daemon_ended"))
            await self._endings.record(session, lost)
            log.warning("session_lost", session_id=session.id, reason="daemon_ended")

    async def _launch(self, live: Live) -> None:
        session = live.session
        transcript = Transcript(session.id, live.stream, self._tasks)
        engine = PythonSession(
            session.id,
            Place(session.spec.cwd, {"TELECLAUDE_SESSION_ID": session.id, **session.spec.env}),
            settings_of(self._settings.current, self._cgroups),
            pool=self._pool,
            tasks=self._tasks,
            clock=self._clock,
            listener=_Listener(live, self),
            late=transcript.write,
            epoch=session.epoch,
        )

        def used() -> None:
            live.since = self._clock.now()

        await engine.start()
        self._interpreters[session.id] = Interpreter(engine, transcript, used)
        try:
            await self._change(live, Running(None))
        except BaseException:
            del self._interpreters[session.id]
            await engine.aclose(grace=0)
            raise
        used()

    async def _change(self, live: Live, state: Starting | Running) -> None:
        session = live.session.moved_to(state)
        await self._records.save(session, SessionStateChanged(state.name))
        live.session = session
        live.tell()

    async def _finish(self, live: Live, state: Exited) -> None:
        """The last word, after all of its output. Hold ``live.lifecycle``."""
        interpreter = self._interpreters.pop(live.id)
        late = await self._tasks.settle_owner(interpreter.cells, CELL_SECONDS)
        if late:
            log.warning("cells_not_stored", session_id=live.id, cells=", ".join(late))
        await interpreter.transcript.aclose()
        await self._endings.finish(live, state)

    async def died(self, live: Live, how: LeaderExit) -> None:
        """Its interpreter ended by itself, or could not be replaced."""
        async with live.lifecycle:
            interpreter = self._interpreters.get(live.id)
            if interpreter is None or live.closing is not None:
                return
            live.closing = "exited"
            await interpreter.engine.aclose()
            reason = "signal" if how.signal is not None else "exited" if how.code is not None else "unknown"
            with suppress(TeleclaudeError):  # said and tried again by now
                await self._finish(live, Exited(Exit(how.code, how.signal, self._clock.now(), reason)))

    async def restarted(self, live: Live, epoch: int) -> None:
        if live.session.epoch == epoch:
            return
        live.session = replace(live.session, epoch=epoch)
        live.tell()
        await self._records.save(live.session, SessionStateChanged(live.session.state.name))

    async def note(self, live: Live, fact: Fact) -> None:
        live.tell()
        await self._records.note(fact, session_id=live.id)

    def later(self, work: Callable[[], Awaitable[None]], name: str) -> None:
        """Do it in a task of its own."""

        async def run() -> None:
            await work()

        self._tasks.spawn(run(), name=name, owner=OWNER)


class _Listener:
    """Implements ``teleclaude.python.Listener``: what an engine tells becomes records and events."""

    def __init__(self, live: Live, sessions: PythonSessions) -> None:
        self._live = live
        self._sessions = sessions

    def restarted(self, epoch: int) -> None:
        self._sessions.later(lambda: self._sessions.restarted(self._live, epoch), f"restarted {self._live.id}")

    def exited(self, how: LeaderExit) -> None:
        self._sessions.later(lambda: self._sessions.died(self._live, how), f"died {self._live.id}")

    def unresponsive(self, missed: int) -> None:
        self._note(SessionHealth(responsive=False, missed=missed))

    def responsive(self) -> None:
        self._note(SessionHealth(responsive=True, missed=0))

    def _note(self, fact: Fact) -> None:
        self._sessions.later(lambda: self._sessions.note(self._live, fact), f"health {self._live.id}")
