"""Sessions of the user's own tmux: taken over as they are, followed, given back, and never ended by us."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import ConflictError, TeleclaudeError
from teleclaude.model import Kind, PaneIdentity, Principal, Session, SessionSpec, Starting
from teleclaude.service.foreign import ForeignServers
from teleclaude.service.ids import new_id
from teleclaude.service.limits import most_sessions
from teleclaude.service.reconcile import Reconciler
from teleclaude.service.records import Records
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.service.views import Views
from teleclaude.streams import StreamStore
from teleclaude.tasks import process_start_time
from teleclaude.tmux import ForeignPane, ForeignServer, PaneInfo, Panes
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import AdoptSession, SessionView

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 10.0
"""The ends of programs and recorders are told by the kernel; this is for what a user changes by hand."""


class Adoptions:
    """Adopts, takes up again after a restart of the daemon, and notices what happened on the user's servers."""

    def __init__(
        self,
        *,
        computer: str,
        table: SessionTable,
        records: Records,
        streams: StreamStore,
        servers: ForeignServers,
        terminals: Terminals,
        reconciler: Reconciler,
        views: Views,
        clock: Clock,
    ) -> None:
        self._computer = computer
        self._table = table
        self._records = records
        self._streams = streams
        self._servers = servers
        self._terminals = terminals
        self._reconciler = reconciler
        self._views = views
        self._clock = clock
        self._adopting: set[PaneIdentity] = set()
        servers.on_gone(self._server_gone)

    def handlers(self) -> Mapping[type[Command[Any]], Callable[[Principal, Any], Awaitable[Any]]]:
        return {AdoptSession: self.adopt}

    async def adopt(self, principal: Principal, command: AdoptSession) -> SessionView:
        server = await self._servers.reach(command.socket)
        found = await server.find(command.target)
        panes = Panes(server)
        about = await panes.pane(found.pane_id)
        with self._alone(panes.identity(about), command):
            live = await self._reserve(principal, command, server, found, about)
            async with live.lifecycle:
                await self._terminals.take_over(live, found.pane_id)
        return self._views.session(live.session, live.stream)

    @contextmanager
    def _alone(self, pane: PaneIdentity, command: AdoptSession) -> Iterator[None]:
        """Of several who want one pane at once the first gets it: two would take it from each other for ever."""
        self._refuse_known(pane, command)
        if pane in self._adopting:
            raise ConflictError("somebody else is adopting that pane just now", operation=command.operation)
        self._adopting.add(pane)
        try:
            yield
        finally:
            self._adopting.discard(pane)

    def _refuse_known(self, pane: PaneIdentity, command: AdoptSession) -> None:
        for live in self._table:
            if live.session.pane == pane:
                raise ConflictError(f"that is session {live.session.name} already", operation=command.operation)

    async def _reserve(
        self,
        principal: Principal,
        command: AdoptSession,
        server: ForeignServer,
        found: ForeignPane,
        about: PaneInfo,
    ) -> Live:
        session_id = new_id("S", self._clock)
        stream = await self._streams.create(session_id)
        session = Session(
            id=session_id,
            name=command.name or self._table.free_name(_base_name(found.session_name)),
            kind=Kind.TERMINAL,
            computer=self._computer,
            spec=SessionSpec(command=about.command or None, cwd=about.path or "/", cols=about.cols, rows=about.rows),
            state=Starting(),
            created_at=self._clock.now(),
            owner=principal.name,
            title=about.title,
            tmux_socket=str(server.socket),
        )
        live = Live(session, stream, foreign=Panes(server))
        try:
            self._table.reserve(live, operation=command.operation, most=most_sessions(principal))
        except BaseException:
            await self._streams.delete(session_id)
            raise
        return live

    async def resume(self) -> None:
        """Take up the adopted sessions on record, after a start of the daemon."""
        for session in await self._records.live():
            if session.adopted:
                self._table.insert(Live(session, self._streams.get(session.id)), operation="daemon.adopt")
        await self.sweep()
        for live in self._table:
            if live.session.adopted and live.foreign is None and live.session.pane is None:
                async with live.lifecycle:
                    await self._terminals.endings.lose(live, "start_interrupted")

    async def run(self) -> None:
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            await self.sweep()

    async def sweep(self) -> None:
        """Compare with what the servers say; one that does not answer is asked again the next time."""
        by_socket: dict[str, list[Live]] = {}
        for live in self._table:
            if live.session.tmux_socket is not None:
                by_socket.setdefault(live.session.tmux_socket, []).append(live)
        for socket, group in by_socket.items():
            try:
                await self._sweep_server(socket, group)
            except TeleclaudeError as error:
                log.warning("adopted_sessions_not_checked", socket=socket, error=str(error))
                await self._lose_dead(group)
        await self._servers.keep_only(by_socket)

    async def _sweep_server(self, socket: str, group: list[Live]) -> None:
        server = await self._servers.reach(socket)
        panes = Panes(server)
        infos = await panes.list_panes()
        by_pane = {info.pane_id: info for info in infos}
        for live in group:
            pane = live.session.pane
            if live.foreign is None:
                live.foreign = panes
                await self._reconciler.resume(live, infos)
            elif pane is not None:
                await self._reconciler.compare(live, pane, by_pane.get(pane.pane_id))

    async def _lose_dead(self, group: list[Live]) -> None:
        """The kernel knows whether a server that cannot be asked is still there."""
        await self._reconciler.lose_all(live for live in group if not _server_lives(live.session.pane))

    async def _server_gone(self, socket: str) -> None:
        await self._lose_dead([live for live in self._table if live.session.tmux_socket == socket])


def _server_lives(pane: PaneIdentity | None) -> bool:
    return pane is not None and process_start_time(pane.server_pid) == pane.server_start


def _base_name(session_name: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", session_name.lower()).strip("-_")[:60] or "session"
