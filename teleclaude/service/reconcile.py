"""Compare what we believe with what tmux has: at start to adopt every session, later to notice what no event told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, TeleclaudeError
from teleclaude.events import SessionStateChanged
from teleclaude.model import HandingOff, Kind, PaneIdentity, Running, Session, SessionSpec, Starting, is_name
from teleclaude.service.recorders import Recorders
from teleclaude.service.records import Records
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.streams import StreamStore
from teleclaude.tmux import PaneInfo, Panes

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 2.0
STARTING_SECONDS = 15.0
"""A start that tmux never confirmed is given up after this long."""

ADOPT_AT_ONCE = 16


class Reconciler:
    """Never kills what it does not know."""

    def __init__(
        self,
        *,
        computer: str,
        table: SessionTable,
        records: Records,
        panes: Panes,
        streams: StreamStore,
        recorders: Recorders,
        terminals: Terminals,
        clock: Clock,
    ) -> None:
        self._computer = computer
        self._table = table
        self._records = records
        self._panes = panes
        self._streams = streams
        self._recorders = recorders
        self._terminals = terminals
        self._clock = clock
        self._believed: list[Live] = []
        self._adopted = False

    async def believe(self) -> None:
        """Take every stored live session for alive, before tmux was asked: nobody is told that it ended."""
        for session in await self._records.live():
            if session.kind is Kind.TERMINAL and not session.adopted:
                live = Live(session, self._streams.get(session.id), since=self._clock.now())
                self._table.insert(live, operation="daemon.adopt")
                self._believed.append(live)

    async def adopt(self) -> None:
        """Follow the believed sessions that run, write down how the others ended. It may be called again after it was
        cut short.
        """
        infos = await self._panes.list_panes()
        known = {session.id for session in await self._records.live()} | {live.id for live in self._table}
        turns = asyncio.Semaphore(ADOPT_AT_ONCE)
        waiting = [live for live in self._believed if not live.watched and not live.ended.is_set()]
        results = await asyncio.gather(*(self._adopt_one(live, infos, turns) for live in waiting))
        await self._rebuild({info.marker: info for info in infos if info.marker}, known)
        self._believed.clear()
        self._adopted = True
        log.info("sessions_adopted", adopted=sum(results), lost=len(waiting) - sum(results), unknown=_unknown(infos))

    async def _adopt_one(self, live: Live, infos: Sequence[PaneInfo], turns: asyncio.Semaphore) -> bool:
        async with turns:
            try:
                return await self.resume(live, infos)
            except TeleclaudeError as error:
                # It stays in the table, and the sweep tries again.
                log.warning("session_not_adopted", session_id=live.id, error=str(error))
                return True

    async def resume(self, live: Live, infos: Sequence[PaneInfo]) -> bool:
        """Follow a stored session again, if ``infos`` (all panes of its server) has its pane; else it is lost."""
        panes = live.panes(self._panes)
        info = _pane_of(live.session, infos, panes)
        async with live.lifecycle:
            if info is None:
                await self._terminals.endings.lose(live, _why_gone(live.session, panes))
                return False
            identity = panes.identity(info)
            if isinstance(live.session.state, HandingOff):
                live.session = replace(live.session, state=replace(live.session.state, pane=identity))
            elif isinstance(live.session.state, Starting) or live.session.pane != identity:
                live.session = replace(live.session, state=Running(identity))
                await self._records.save(live.session, SessionStateChanged("running"))
        await self._recorders.resume(live, info)
        if info.dead:
            await self._terminals.endings.end(live, identity)
        else:
            await self._terminals.endings.watch(live)
        return True

    async def _rebuild(self, by_marker: Mapping[str, PaneInfo], known: set[str]) -> None:
        """Sessions that tmux has and the store has lost, after a damaged database was set aside."""
        for marker, info in by_marker.items():
            if marker in known or info.dead or await self._records.get(marker) is not None:
                continue
            session = Session(
                id=marker,
                name=info.name if is_name(info.name) else self._table.free_name("recovered"),
                kind=Kind.TERMINAL,
                computer=self._computer,
                spec=SessionSpec(
                    command=None, cwd=(await self._panes.pane(info.pane_id)).path or "/", cols=info.cols, rows=info.rows
                ),
                state=Starting(),
                created_at=self._clock.now(),
                owner="local",
            )
            live = Live(session, self._streams.get(marker), since=self._clock.now())
            try:
                self._table.insert(live, operation="daemon.adopt")
            except ConflictError:
                live.session = replace(session, name=self._table.free_name("recovered"))
                self._table.insert(live, operation="daemon.adopt")
            async with live.lifecycle:
                await self._records.insert(live.session)
                await self._terminals.arrived(live, self._panes.identity(info))
            await self._recorders.resume(live, info)
            log.warning("session_rebuilt", session_id=marker, name=live.session.name)

    async def run(self) -> None:
        """Sweep for ever. One cheap list serves all sessions."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            if not self._adopted or len(self._table) == 0:
                continue
            try:
                await self.sweep()
            except TeleclaudeError as error:
                # tmux does not answer: what it cannot say stays unknown until the next sweep.
                log.debug("sweep_skipped", error=str(error))

    async def sweep(self) -> None:
        believed = [(live, live.session.pane) for live in self._table if not live.session.adopted]
        infos = await self._panes.list_panes()
        by_pane = {info.pane_id: info for info in infos}
        by_marker = {info.marker: info for info in infos if info.marker}
        for live, pane in believed:
            if pane is None:
                await self._sweep_starting(live, by_marker.get(live.id))
            else:
                info = by_pane.get(pane.pane_id)
                await self.compare(live, pane, info if _is_of(info, live, pane, self._panes) else None)
        await self._bury(infos)

    async def _bury(self, infos: Iterable[PaneInfo]) -> None:
        """Remove dead panes of ours whose end is on record but which tmux could not be told to drop then."""
        for info in infos:
            if info.dead and info.marker and self._table.find(info.marker) is None:
                await self._panes.kill_pane(info.pane_id)

    async def _sweep_starting(self, live: Live, info: PaneInfo | None) -> None:
        if live.lifecycle.locked() or live.ended.is_set() or not isinstance(live.session.state, Starting):
            return
        async with live.lifecycle:
            if info is not None:
                await self._terminals.arrived(live, self._panes.identity(info))
            elif (self._clock.now() - (live.since or live.session.created_at)).total_seconds() > STARTING_SECONDS:
                await self._terminals.endings.lose(live, "start_failed")

    async def compare(self, live: Live, pane: PaneIdentity, info: PaneInfo | None) -> None:
        """Catch up with what tmux says now (``info``) of the pane that was believed to be there."""
        if live.ended.is_set() or live.session.pane != pane or live.lifecycle.locked():
            return
        if info is None or info.dead:
            # end() asks tmux again and finds out whether the pane is dead or gone.
            await self._terminals.endings.end(live, pane)
            return
        if info.pid != pane.pid:
            async with live.lifecycle:
                await self._terminals.endings.respawned(live, info)
        elif not live.watched:
            await self._recorders.resume(live, info)
            await self._terminals.endings.watch(live)
        elif not info.piped or self._recorders.ended(live):
            self._recorders.lost(live)
        else:
            self._recorders.wake(live)
        if info.title != live.session.title:
            live.session = replace(live.session, title=info.title)
            self._records.save_soon(live.session)

    async def server_gone(self) -> None:
        """Our tmux server ended and every pane with it."""
        await self.lose_all(live for live in self._table if not live.session.adopted)

    async def lose_all(self, gone: Iterable[Live]) -> None:
        """Their tmux server ended."""
        for live in gone:
            try:
                async with live.lifecycle:
                    if not live.ended.is_set() and self._table.find(live.id) is live:
                        await self._terminals.endings.lose(live, "tmux_server_gone")
            except TeleclaudeError as error:
                # The others are gone too; this one is found out by the sweep.
                log.warning("session_not_lost_yet", session_id=live.id, error=str(error))


def _is_of(info: PaneInfo | None, live: Live, pane: PaneIdentity, panes: Panes) -> bool:
    """Whether ``info`` tells of the believed pane: a new server gives the same ids to others."""
    if info is None or panes.server_identity != (pane.server_pid, pane.server_start):
        return False
    return info.marker in ("", live.id)


def _pane_of(session: Session, infos: Sequence[PaneInfo], panes: Panes) -> PaneInfo | None:
    marked = next((info for info in infos if info.marker == session.id), None)
    if marked is not None or session.pane is None:
        return marked
    # Without its marker (a user may have unset it) the pane's full identity still tells.
    return next((info for info in infos if panes.identity(info) == session.pane), None)


def _why_gone(session: Session, panes: Panes) -> str:
    if session.pane is None:
        return "start_interrupted"
    server = panes.server_identity
    same = server is not None and server == (session.pane.server_pid, session.pane.server_start)
    return "tmux_session_gone" if same else "tmux_server_gone"


def _unknown(infos: Iterable[PaneInfo]) -> int:
    return sum(1 for info in infos if not info.marker)
