"""How terminal sessions end: noticed, taken down, told."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock, timestamp
from teleclaude.errors import TeleclaudeError
from teleclaude.events import SessionExited, SessionStateChanged
from teleclaude.model import Exit, Exited, HandingOff, Lost, PaneIdentity, Running
from teleclaude.service.recorders import Recorders
from teleclaude.service.records import Records
from teleclaude.service.screens import Screens
from teleclaude.service.table import Live, SessionTable
from teleclaude.tasks import watch_process
from teleclaude.tmux import DeadStatus, PaneInfo, Panes

log = structlog.get_logger(__name__)

OWNER = "terminals"
OBSERVED = ("exited", "signal", "unknown")
"""Reasons of ends that were seen, as against those of sessions that vanished."""


class Endings:
    """Follows each terminal session to its end."""

    def __init__(
        self,
        *,
        table: SessionTable,
        records: Records,
        panes: Panes,
        recorders: Recorders,
        screens: Screens,
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._table = table
        self._records = records
        self._panes = panes
        self._recorders = recorders
        self._screens = screens
        self._tasks = tasks
        self._clock = clock

    async def watch(self, live: Live) -> None:
        """Learn of the end of the pane's process and of its recorder."""
        pane = live.session.pane
        if pane is None:
            return
        live.unwatch()
        live.process = watch_process(pane.pid, pane.pid_start)
        live.process.on_exit(partial(self._process_ended, live, pane))
        await self._recorders.watch(live)

    def _process_ended(self, live: Live, pane: PaneIdentity) -> None:
        self._tasks.spawn(self._end_if_told(live, pane), name=f"end {live.id}", owner=OWNER)

    async def _end_if_told(self, live: Live, pane: PaneIdentity) -> None:
        try:
            await self.end(live, pane)
        except TeleclaudeError as error:
            # tmux does not answer or is gone: the sweep, or the news of its end, goes on from here.
            log.info("end_not_told_yet", session_id=live.id, error=str(error))

    async def end(self, live: Live, pane: PaneIdentity) -> None:
        """Take down how the pane ended, keep its last screen, let the recorder finish, then let go of the pane."""
        async with live.lifecycle:
            if live.session.pane != pane:
                return
            panes = live.panes(self._panes)
            if panes.server_identity not in (None, (pane.server_pid, pane.server_start)):
                await self.lose(live, "tmux_server_gone")
                return
            now = await panes.find(pane.pane_id)
            if now is not None and not now.dead and now.pid != pane.pid:
                await self.respawned(live, now)
                return
            dead = None if now is None else await panes.status_of_dead(pane.pane_id, now)
            if dead is None:
                await self.lose(live, "tmux_session_gone")
                return
            await self._screens.keep_last(live)
            exit_ = Exit(
                code=dead.code,
                signal=dead.signal,
                at=dead.at or self._clock.now(),
                reason=live.closing or _reason(dead),
            )
            live.session = replace(live.session, ending=exit_)
            await self._records.save(live.session)
            # Only with the pane gone does the recorder get the end of its input.
            await self.let_go(live, pane)
            await self._recorders.finish(live)
            if isinstance(live.session.state, HandingOff):
                await self._keep_released(live, exit_)
            else:
                await self.finish(live, Exited(exit_))

    async def respawned(self, live: Live, info: PaneInfo) -> None:
        """Somebody started another process in the pane by hand: same session. Called with ``live.lifecycle`` held."""
        log.warning("pane_respawned_by_hand", session_id=live.id, pid=info.pid)
        identity = live.panes(self._panes).identity(info)
        state = live.session.state
        pane = replace(state, pane=identity) if isinstance(state, HandingOff) else Running(identity)
        live.session = replace(live.session, state=pane)
        await self._records.save(live.session)
        await self.watch(live)

    async def lose(self, live: Live, reason: str) -> None:
        """Its pane is gone; how it ended is told if it was seen. Called with ``live.lifecycle`` held."""
        await self._recorders.finish(live)
        if isinstance(live.session.state, HandingOff):
            gone = Exit(code=None, signal=None, at=self._clock.now(), reason=reason)
            await self._keep_released(live, live.session.ending or gone)
            return
        if live.session.ending is not None:
            await self.finish(live, Exited(live.session.ending))
            return
        log.warning("session_lost", session_id=live.id, reason=reason)
        await self.finish(live, Lost(Exit(code=None, signal=None, at=self._clock.now(), reason=reason)))

    async def _keep_released(self, live: Live, exit_: Exit) -> None:
        """Its process ended while another computer was asked to take it: that one's answer decides what it becomes."""
        assert isinstance(live.session.state, HandingOff)
        live.unwatch()
        live.session = replace(live.session, state=replace(live.session.state, pane=None), ending=exit_)
        await self._records.save(live.session)

    async def finish_kept(self, live: Live) -> None:
        """It stays here, but its process has ended meanwhile. Called with ``live.lifecycle`` held."""
        exit_ = live.session.ending
        assert exit_ is not None
        await self.finish(live, Exited(exit_) if exit_.reason in OBSERVED else Lost(exit_))

    async def finish(self, live: Live, state: Exited | Lost) -> None:
        """Put its end on record, free its slot and tell whoever waits for it."""
        session = replace(live.session.moved_to(state), ending=None)
        exit_ = state.exit
        fact = SessionExited(
            state=state.name,
            code=exit_.code,
            signal=exit_.signal,
            at=timestamp(exit_.at) if exit_.at else None,
            reason=exit_.reason,
            offset=live.stream.bounds().end,
        )
        await self._records.save(session, SessionStateChanged(state.name), fact)
        live.session = session
        live.unwatch()
        self._table.remove(live)
        live.ended.set()
        live.tell()
        log.info("session_ended", session_id=live.id, state=state.name, code=exit_.code, signal=exit_.signal)

    async def let_go(self, live: Live, pane: PaneIdentity) -> None:
        """Remove a pane of ours, and nothing that somebody put beside it; give one of the user's back."""
        try:
            if live.session.adopted:
                await live.panes(self._panes).release(pane.pane_id)
            else:
                await self._panes.kill_pane(pane.pane_id)
        except TeleclaudeError as error:
            # The record is durable; the sweep removes a corpse that stays.
            log.warning("pane_not_removed", pane=pane.pane_id, error=str(error))


def _reason(dead: DeadStatus) -> str:
    if dead.signal is not None:
        return "signal"
    return "exited" if dead.code is not None else "unknown"
