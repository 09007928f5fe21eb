"""The session commands, each one short: find, check, act, answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from teleclaude.clock import Clock
from teleclaude.errors import BusyError, ExitedError, InvalidError, NotFoundError, UnavailableError
from teleclaude.events import SessionChanged
from teleclaude.model import HandedOff, Principal, Screen, Session, SessionSpec, Starting
from teleclaude.process.breaker import SpawnBreaker
from teleclaude.process.signals import parse_signal
from teleclaude.screen.png import render_png
from teleclaude.service.access import covers, require_local
from teleclaude.service.breaker import guarded
from teleclaude.service.ids import new_id
from teleclaude.service.input import Inputs, typing_pane
from teleclaude.service.limits import most_sessions
from teleclaude.service.lookup import Found, Lookup
from teleclaude.service.output import Outputs
from teleclaude.service.records import Records
from teleclaude.service.screens import Screens
from teleclaude.service.settings import Settings
from teleclaude.service.specs import (
    agent_profile,
    base_name,
    build_spec,
    check_startable,
    new_conversation,
    resumed_conversation,
)
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.service.views import Views
from teleclaude.service.waits import Waits
from teleclaude.streams import StreamStore
from teleclaude.tmux import Panes
from teleclaude.wire.base import Command
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.screens import ReadScreen, RenderScreen
from teleclaude.wire.sessions import (
    CloseSession,
    CreateSession,
    GetSession,
    InputReply,
    ListSessions,
    OffsetReply,
    ResizeSession,
    RestartSession,
    SendBytes,
    SendInput,
    SendKeys,
    SessionList,
    SessionView,
    SignalSession,
    UpdateSession,
)
from teleclaude.wire.waits import WaitSession

Handler = Callable[[Principal, Any], Awaitable[Any]]


class Sessions:
    """Handlers of the session commands over the parts that do the work."""

    def __init__(
        self,
        *,
        computer: str,
        table: SessionTable,
        lookup: Lookup,
        records: Records,
        streams: StreamStore,
        terminals: Terminals,
        inputs: Inputs,
        outputs: Outputs,
        screens: Screens,
        waits: Waits,
        views: Views,
        panes: Panes,
        settings: Settings,
        clock: Clock,
        breaker: SpawnBreaker,
        forget_files: Callable[[str], Awaitable[None]],
        forget_cells: Callable[[str], Awaitable[None]],
    ) -> None:
        self._computer = computer
        self._table = table
        self._lookup = lookup
        self._records = records
        self._streams = streams
        self._terminals = terminals
        self._inputs = inputs
        self._outputs = outputs
        self._screens = screens
        self._waits = waits
        self._views = views
        self._panes = panes
        self._settings = settings
        self._clock = clock
        self._breaker = breaker
        self._forget_files = forget_files
        self._forget_cells = forget_cells

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            CreateSession: self.create,
            ListSessions: self.list,
            GetSession: self.get,
            UpdateSession: self.update,
            CloseSession: self.close,
            SendInput: self.input,
            SendKeys: self.keys,
            SendBytes: self.typed,
            ResizeSession: self.resize,
            ReadScreen: self.screen,
            RenderScreen: self.picture,
            ReadOutput: self._outputs.read,
            WaitSession: self._waits.wait,
            SignalSession: self.signal,
            RestartSession: self.restart,
        }

    async def create(self, principal: Principal, command: CreateSession) -> SessionView:
        require_local(command.computer, self._computer, operation=command.operation)
        spec = await asyncio.to_thread(build_spec, command, principal, self._settings.current)
        with guarded(self._breaker):
            live = await self._reserve(principal, command, spec)
            async with live.lifecycle:
                await self._terminals.start_new(live)
        return self._view(live)

    async def _reserve(self, principal: Principal, command: CreateSession, spec: SessionSpec) -> Live:
        session_id = new_id("S", self._clock)
        stream = await self._streams.create(session_id)
        session = Session(
            id=session_id,
            name=command.name or self._table.free_name(base_name(spec)),
            kind=command.kind,
            computer=self._computer,
            spec=spec,
            state=Starting(),
            created_at=self._clock.now(),
            owner=principal.name,
            tags=tuple(dict.fromkeys(command.tags)),
        )
        live = Live(session, stream, since=self._clock.now())
        try:
            self._table.reserve(live, operation=command.operation, most=most_sessions(principal))
        except BaseException:
            await self._streams.delete(session_id)
            raise
        return live

    async def list(self, principal: Principal, command: ListSessions) -> SessionList:
        require_local(command.computer, self._computer, operation=command.operation)
        kind = command.kind.value if command.kind else None
        stored = await self._records.select(state=command.state, kind=kind, tag=command.tag)
        return SessionList(sessions=[self._current(session) for session in stored if covers(principal, session.id)])

    def _current(self, session: Session) -> SessionView:
        live = self._table.find(session.id)
        return self._view(live) if live is not None else self._views.session(session)

    async def get(self, principal: Principal, command: GetSession) -> SessionView:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        return self._views.session(found.session, found.stream)

    async def update(self, principal: Principal, command: UpdateSession) -> SessionView:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        tags = tuple(dict.fromkeys(command.tags)) if command.tags is not None else found.session.tags
        if found.live is None:
            if command.name not in (None, found.session.name):
                raise ExitedError("an ended session keeps its name", operation=command.operation)
            session = replace(found.session, tags=tags)
            await self._records.save_ended(session, _changed(session))
            return self._views.session(session, found.stream)
        live = found.live
        async with live.lifecycle:
            await self._rename(live, command.name, command.operation)
            live.session = replace(live.session, tags=tags)
            await self._records.save(live.session, _changed(live.session))
        return self._view(live)

    async def _rename(self, live: Live, name: str | None, operation: str) -> None:
        before = live.session.name
        if name is None or name == before:
            return
        if live.is_released:
            raise BusyError("the session is being handed to another computer, under its name", operation=operation)
        self._table.rename(live, name, operation=operation)
        pane = live.session.pane
        if pane is None or live.session.adopted:
            return
        try:
            await self._panes.rename(pane.session_id, name)
        except BaseException:
            self._table.rename(live, before, operation=operation)
            raise

    async def close(self, principal: Principal, command: CloseSession) -> SessionView:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        if found.live is not None:
            await self._terminals.close(found.live, command.grace_ms)
            session = found.live.session
        else:
            session = found.session
        view = self._views.session(session, found.stream)
        if command.purge:
            await self.purge(session.id)
        return view

    async def purge(self, session_id: str) -> None:
        """Drop an ended session and all that belongs to it. Raises ``ConflictError`` for one that is alive."""
        await self._records.delete_ended(session_id)
        await self._streams.delete(session_id)
        await self._terminals.forget(session_id)
        await self._forget_files(session_id)
        await self._forget_cells(session_id)

    async def input(self, principal: Principal, command: SendInput) -> InputReply:
        return await self._inputs.text(await self._open(principal, command.id, command.operation), command)

    async def keys(self, principal: Principal, command: SendKeys) -> OffsetReply:
        return await self._inputs.keys(await self._open(principal, command.id, command.operation), command)

    async def typed(self, principal: Principal, command: SendBytes) -> OffsetReply:
        return await self._inputs.typed(await self._open(principal, command.id, command.operation), command)

    async def resize(self, principal: Principal, command: ResizeSession) -> SessionView:
        live = await self._open(principal, command.id, command.operation)
        if live.session.adopted:
            raise InvalidError(
                "an adopted session has the size that its own terminals give it; resize one of those",
                operation=command.operation,
            )
        async with live.input:
            pane = typing_pane(live, command.operation)
            await self._panes.resize(pane.pane_id, command.cols, command.rows)
            spec = replace(live.session.spec, cols=command.cols, rows=command.rows)
            live.session = replace(live.session, spec=spec)
            await self._records.save(live.session, _changed(live.session))
        return self._view(live)

    async def screen(self, principal: Principal, command: ReadScreen) -> Screen:
        return await self._screen(principal, command.id, command.operation)

    async def picture(self, principal: Principal, command: RenderScreen) -> bytes:
        screen = await self._screen(principal, command.id, command.operation)
        return await asyncio.to_thread(render_png, screen)

    async def _screen(self, principal: Principal, reference: str, operation: str) -> Screen:
        found = await self._lookup.find(principal, reference, operation=operation)
        if found.live is None or found.session.pane is None:
            return await self._screens.last(found.session)
        try:
            return await self._screens.now(found.live, found.session.pane.pane_id)
        except NotFoundError:
            # The pane went between the look-up and the capture.
            return await self._screens.last(found.session)

    async def signal(self, principal: Principal, command: SignalSession) -> SessionView:
        number = parse_signal(command.signal, operation=command.operation)
        live = await self._open(principal, command.id, command.operation)
        pane = typing_pane(live, command.operation)
        await self._panes.signal_foreground(pane, number)
        return self._view(live)

    async def restart(self, principal: Principal, command: RestartSession) -> SessionView:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        spec = self._again(found.session.spec, resume=command.resume, operation=command.operation)
        if found.session.adopted:
            raise InvalidError(
                "an adopted session was started elsewhere and cannot be restarted", operation=command.operation
            )
        with guarded(self._breaker):
            return await self._start_again(principal, found, spec, command.operation)

    async def _start_again(self, principal: Principal, found: Found, spec: SessionSpec, operation: str) -> SessionView:
        # Looked at before the running program is ended for it.
        await asyncio.to_thread(check_startable, spec, operation=operation)
        if found.live is not None:
            await self._panes.ping()
            await self._terminals.close(found.live, None, reason="restarted")
        ended = await self._lookup.find(principal, found.session.id, operation=operation)
        if ended.live is not None:
            raise BusyError("the session is being started by somebody else", operation=operation)
        live = Live(replace(ended.session, spec=spec, input_offset=None), ended.stream, since=self._clock.now())
        self._table.reserve(live, operation=operation, most=most_sessions(principal))
        async with live.lifecycle:
            await self._terminals.start_again(live)
        return self._view(live)

    def _again(self, spec: SessionSpec, *, resume: bool, operation: str) -> SessionSpec:
        if spec.agent is None:
            if resume:
                raise InvalidError("only an agent's session can be resumed; restart it without", operation=operation)
            return spec
        profile = agent_profile(spec.agent.name, self._settings.current)
        if resume:
            return replace(spec, command=resumed_conversation(profile, spec.agent, operation=operation))
        agent, argv = new_conversation(profile, spec.agent.name)
        return replace(spec, agent=agent, command=argv)

    async def _open(self, principal: Principal, reference: str, operation: str) -> Live:
        found: Found = await self._lookup.find(principal, reference, operation=operation)
        if found.live is not None:
            return found.live
        if found.session.is_live:
            raise UnavailableError(
                f"session {reference} waits for tmux, which does not answer; try again later", operation=operation
            )
        if isinstance(found.session.state, HandedOff):
            # It left after this command had been taken for one of here: the same again is passed on.
            raise BusyError(f"session {reference} has just left for another computer; try again", operation=operation)
        raise ExitedError(f"session {reference} has ended; restart it first", operation=operation)

    def _view(self, live: Live) -> SessionView:
        return self._views.session(live.session, live.stream)


def _changed(session: Session) -> SessionChanged:
    spec = session.spec
    return SessionChanged(name=session.name, tags=session.tags, cols=spec.cols, rows=spec.rows)
