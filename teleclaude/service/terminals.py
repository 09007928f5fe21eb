"""Starting, restarting and closing terminal sessions."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import BusyError, IndeterminateError, TeleclaudeError, UnavailableError
from teleclaude.events import SessionStateChanged
from teleclaude.model import Exit, Exited, HandingOff, Lost, PaneIdentity, Running, SessionSpec, Starting
from teleclaude.service.endings import Endings
from teleclaude.service.hangup import kill_session, signal_session
from teleclaude.service.recorders import Recorders
from teleclaude.service.records import Records
from teleclaude.service.screens import Screens
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live, SessionTable
from teleclaude.streams import StreamStore
from teleclaude.tmux import CreatePane, Panes

log = structlog.get_logger(__name__)

CLOSE_GRACE_MS = 1000
START_SECONDS = 10.0
END_SECONDS = 5.0
DETACHED = "detached"
HANGUP = (signal.SIGHUP, signal.SIGCONT)


class Terminals:
    """One object for all terminal sessions of this computer. ``endings`` follows each to its end."""

    def __init__(
        self,
        *,
        table: SessionTable,
        records: Records,
        panes: Panes,
        streams: StreamStore,
        recorders: Recorders,
        screens: Screens,
        settings: Settings,
        tasks: Tasks,
        clock: Clock,
        scratch: Path,
    ) -> None:
        self.endings = Endings(
            table=table, records=records, panes=panes, recorders=recorders, screens=screens, tasks=tasks, clock=clock
        )
        self._table = table
        self._records = records
        self._panes = panes
        self._streams = streams
        self._recorders = recorders
        self._settings = settings
        self._clock = clock
        self._scratch = scratch

    async def start_new(self, live: Live) -> None:
        """Record and start a session that holds its slot already. A definite failure leaves no trace of it.

        Raises ``IndeterminateError`` when tmux did not answer in time: the session then stays ``starting`` until the
        sweep has seen what became of it.
        """
        await self._begin(live, self._launch)

    async def take_over(self, live: Live, pane_id: str) -> None:
        """As ``start_new``, for a pane that runs already on the user's own tmux server."""
        await self._begin(live, partial(self._record, pane_id=pane_id))

    async def _begin(self, live: Live, launch: Callable[[Live], Awaitable[None]]) -> None:
        try:
            await self._records.insert(live.session)
            await launch(live)
        except (IndeterminateError, asyncio.CancelledError):
            # What became of it is found out by the sweep, or by the next start of the daemon.
            log.warning("session_start_indeterminate", session_id=live.id)
            raise
        except BaseException:
            self._table.remove(live)
            await self._records.delete(live.id, silent=True)
            await self._streams.delete(live.id)
            raise

    async def start_again(self, live: Live) -> None:
        """Start an ended session's command anew in the same stream; it holds its slot already."""
        before = live.session
        try:
            await self._change(live, Starting())
            await self._launch(live)
        except (IndeterminateError, asyncio.CancelledError):
            raise
        except BaseException:
            self._table.remove(live)
            live.session = before
            await self._recorders.discard_unstarted(live)
            await self._records.save(before, SessionStateChanged(before.state.name))
            raise

    async def _launch(self, live: Live) -> None:
        session = live.session
        recorder_command = await live.stream.begin_generation()
        pane = await self._panes.create(
            CreatePane(
                session_id=session.id,
                name=session.name,
                command=session.spec.command,
                cwd=session.spec.cwd,
                env=await self._environment(session.id, session.spec),
                cols=session.spec.cols,
                rows=session.spec.rows,
                shell=self._settings.current.sessions.shell,
                recorder_command=recorder_command,
            )
        )
        await self._settle_in(live, pane)

    async def _settle_in(self, live: Live, pane: PaneIdentity) -> None:
        """A pane that cannot be written down or watched must not live on unknown."""
        try:
            await self.arrived(live, pane)
        except asyncio.CancelledError:
            raise
        except BaseException:
            await self.endings.let_go(live, pane)
            raise

    async def _record(self, live: Live, pane_id: str) -> None:
        panes = live.panes(self._panes)
        pane = await panes.adopt(pane_id, live.id, await live.stream.begin_generation())
        await self._settle_in(live, pane)

    async def arrived(self, live: Live, pane: PaneIdentity) -> None:
        """The session runs in ``pane``: write it down and watch it."""
        await self._change(live, Running(pane))
        await self.endings.watch(live)

    async def start_carried(self, live: Live) -> None:
        """Start the command of a session that came from another computer: it holds its slot, and is on record as
        starting. Where that fails it is here all the same, and can be restarted.
        """
        async with live.lifecycle:
            if not isinstance(live.session.state, Starting):
                return
            try:
                await self._launch(live)
            except (IndeterminateError, asyncio.CancelledError):
                raise
            except TeleclaudeError:
                await self._recorders.discard_unstarted(live)
                await self.endings.finish(live, Lost(Exit(None, None, self._clock.now(), "start_failed")))
                raise

    async def leave(self, live: Live, pane: PaneIdentity | None) -> None:
        """The session is another computer's, and on record as such: followers learn it, and its process is ended."""
        self._table.remove(live)
        live.ended.set()
        live.tell()
        if pane is not None:
            await asyncio.to_thread(signal_session, pane.pid, pane.pid_start, HANGUP)
            if live.process is not None:
                await live.process.wait(CLOSE_GRACE_MS / 1000)
            await asyncio.to_thread(kill_session, pane.pid, pane.pid_start)
            await self.endings.let_go(live, pane)
        live.unwatch()
        await self._recorders.finish(live)
        await live.stream.cut()

    async def clear_up(self, session_id: str) -> None:
        """End what is still here of a session that is another computer's, after a restart of the daemon.

        Raises ``TeleclaudeError`` when tmux does not answer.
        """
        for info in await self._panes.list_panes():
            if info.marker == session_id:
                started = self._panes.identity(info).pid_start
                await asyncio.to_thread(signal_session, info.pid, started, HANGUP)
                await asyncio.to_thread(kill_session, info.pid, started)
                await self._panes.kill_pane(info.pane_id)
        stream = self._streams.get(session_id)
        if await stream.recorder_ended(END_SECONDS):
            await stream.cut()

    async def close(self, live: Live, grace_ms: int | None, reason: str = "closed") -> None:
        """End the session: hang up, then kill what is left after ``grace_ms``. Returns once the end is recorded.

        An adopted session is let go of and lives on. Raises ``IndeterminateError`` when tmux did not confirm the end
        in time.
        """
        if live.session.adopted:
            await self._detach(live)
            return
        if isinstance(live.session.state, HandingOff):
            raise BusyError(
                f"session {live.session.name} is being handed to {live.session.state.computer}; wait for its answer",
                operation="session.close",
            )
        pane = live.session.pane or await self._pane_of_starting(live)
        if not live.watched:
            raise UnavailableError(
                f"session {live.session.name} waits for tmux, which does not answer; nothing was done, try again later",
                operation="session.close",
            )
        live.closing = reason
        grace = (CLOSE_GRACE_MS if grace_ms is None else grace_ms) / 1000
        await asyncio.to_thread(signal_session, pane.pid, pane.pid_start, HANGUP)
        ended = await _set_within(live.ended, grace)
        if not ended and not await asyncio.to_thread(kill_session, pane.pid, pane.pid_start):
            log.warning("processes_outlive_their_session", session_id=live.id)
        if not await _set_within(live.ended, END_SECONDS):
            raise IndeterminateError(
                f"session {live.session.name} was killed, but tmux has not confirmed its end; look at its state later",
                operation="session.close",
            )

    async def _pane_of_starting(self, live: Live) -> PaneIdentity:
        """The pane of a session that is just being started. Raises ``BusyError`` when that takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS), live.lifecycle:
                pane = live.session.pane
                if pane is not None:
                    return pane
        raise BusyError(
            f"session {live.session.name} is still starting; nothing was done, try again", operation="session.close"
        )

    async def _detach(self, live: Live) -> None:
        async with live.lifecycle:
            pane = live.session.pane
            if pane is None or live.ended.is_set():
                return
            live.closing = DETACHED
            live.unwatch_recorder()
            await self.endings.let_go(live, pane)
            await self._recorders.finish(live)
            await self.endings.finish(live, Exited(Exit(code=None, signal=None, at=self._clock.now(), reason=DETACHED)))

    async def _change(self, live: Live, state: Starting | Running) -> None:
        session = live.session.moved_to(state)
        await self._records.save(session, SessionStateChanged(state.name))
        live.session = session
        live.tell()

    async def _environment(self, session_id: str, spec: SessionSpec) -> dict[str, str]:
        """The asked-for variables, the session's id, and a temporary directory of its own where one can be made."""
        env = {"TELECLAUDE_SESSION_ID": session_id}
        directory = self._scratch / session_id
        try:
            await asyncio.to_thread(_make_private, directory)
            env["TMPDIR"] = str(directory)
        except OSError as error:
            log.warning("private_tmpdir_failed", session_id=session_id, error=str(error))
        return {**env, **spec.env}

    async def forget(self, session_id: str) -> None:
        """Remove a purged session's temporary directory."""
        await asyncio.to_thread(shutil.rmtree, self._scratch / session_id, ignore_errors=True)


def _make_private(directory: Path) -> None:
    directory.parent.mkdir(mode=0o700, exist_ok=True)
    directory.mkdir(mode=0o700, exist_ok=True)


async def _set_within(event: asyncio.Event, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
