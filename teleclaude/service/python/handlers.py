"""The commands of Python sessions, and those of all sessions where a Python session answers differently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any

from teleclaude.clock import Clock
from teleclaude.errors import BusyError, ExitedError, InvalidError
from teleclaude.model import Kind, Principal, Session, Starting
from teleclaude.service.access import require_local
from teleclaude.service.ids import new_id
from teleclaude.service.lookup import Found, Lookup
from teleclaude.service.python.cells import Cells
from teleclaude.service.python.sessions import Interpreter, PythonSessions
from teleclaude.service.python.settings import timeout_of
from teleclaude.service.python.snapshots import Snapshots
from teleclaude.service.settings import Settings
from teleclaude.service.specs import build_spec
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.views import Views
from teleclaude.streams import StreamStore
from teleclaude.wire import python as wire
from teleclaude.wire import sessions as shared
from teleclaude.wire.base import Command
from teleclaude.wire.executions import ExecutionView
from teleclaude.wire.sessions import SessionView

Handler = Callable[[Principal, Any], Awaitable[Any]]

END_SECONDS = 5.0

_NO_TERMINAL = (
    shared.SendInput,
    shared.SendKeys,
    shared.SendBytes,
    shared.ResizeSession,
    shared.ReadScreen,
    shared.RenderScreen,
)


class PythonHandlers:
    def __init__(
        self,
        *,
        computer: str,
        table: SessionTable,
        lookup: Lookup,
        streams: StreamStore,
        sessions: PythonSessions,
        cells: Cells,
        snapshots: Snapshots,
        views: Views,
        settings: Settings,
        clock: Clock,
    ) -> None:
        self._computer = computer
        self._table = table
        self._lookup = lookup
        self._streams = streams
        self._sessions = sessions
        self._cells = cells
        self._snapshots = snapshots
        self._views = views
        self._settings = settings
        self._clock = clock

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            wire.RunCell: self.run_cell,
            wire.ListVariables: self.variables,
            wire.UpdateVariables: self.update,
            wire.ClearVariables: self.clear,
            wire.TakeSnapshot: self.snapshot,
            wire.ListSnapshots: self.snapshots,
            wire.RestoreSnapshot: self.restore,
        }

    def over(self, terminals: Mapping[type[Command[Any]], Handler]) -> Mapping[type[Command[Any]], Handler]:
        """The same commands, with Python sessions answered here and all others by ``terminals``."""
        own: dict[type[Command[Any]], Handler] = {
            shared.RestartSession: self.restart,
            shared.SignalSession: self.signal,
            **dict.fromkeys(_NO_TERMINAL, _refuse),
        }
        divided = {command: self._divided(handler, terminals[command]) for command, handler in own.items()}
        return {
            **terminals,
            **divided,
            shared.CreateSession: self._creating(terminals[shared.CreateSession]),
            shared.CloseSession: self._closing(terminals[shared.CloseSession]),
        }

    def _creating(self, terminal: Handler) -> Handler:
        async def create(principal: Principal, command: shared.CreateSession) -> Any:
            if command.kind is Kind.PYTHON:
                return await self.create(principal, command)
            return await terminal(principal, command)

        return create

    def _closing(self, terminal: Handler) -> Handler:
        async def close(principal: Principal, command: shared.CloseSession) -> Any:
            found = await self._lookup.find(principal, command.id, operation=command.operation)
            if found.session.kind is not Kind.PYTHON or found.live is None:
                return await terminal(principal, command)
            await self._sessions.close(found.live, command.grace_ms)
            # It has ended, and what is left to do is the same for all. Another one may have its name by now.
            return await terminal(principal, command.model_copy(update={"id": found.session.id}))

        return close

    def _divided(self, own: Handler, terminal: Handler) -> Handler:
        async def divided(principal: Principal, command: Any) -> Any:
            found = await self._lookup.find(principal, command.id, operation=command.operation)
            if found.session.kind is Kind.PYTHON:
                return await own(principal, command)
            return await terminal(principal, command)

        return divided

    async def create(self, principal: Principal, command: shared.CreateSession) -> SessionView:
        require_local(command.computer, self._computer, operation=command.operation)
        if command.command is not None or command.agent is not None:
            raise InvalidError(
                "a Python session takes no command; its interpreter is python.interpreter", operation=command.operation
            )
        spec = await asyncio.to_thread(build_spec, command, principal, self._settings.current)
        session_id = new_id("S", self._clock)
        session = Session(
            id=session_id,
            name=command.name or self._table.free_name("python"),
            kind=Kind.PYTHON,
            computer=self._computer,
            spec=spec,
            state=Starting(),
            created_at=self._clock.now(),
            owner=principal.name,
            tags=tuple(dict.fromkeys(command.tags)),
        )
        live = Live(session, await self._streams.create(session_id))
        try:
            self._sessions.reserve(live, operation=command.operation)
        except BaseException:
            await self._streams.delete(session_id)
            raise
        async with live.lifecycle:
            await self._sessions.start_new(live)
        return self._view(live)

    async def restart(self, principal: Principal, command: shared.RestartSession) -> SessionView:
        if command.resume:
            raise InvalidError(
                "only an agent's session can be resumed; restart it without", operation=command.operation
            )
        found = await self._find(principal, command)
        alive = found.live
        if alive is not None:
            try:
                await self._sessions.restart(alive, command.operation)
            except ExitedError:
                found = await self._once_ended(principal, command, alive)
            else:
                return self._view(alive)
        live = Live(replace(found.session, input_offset=None), found.stream)
        self._sessions.reserve(live, operation=command.operation)
        async with live.lifecycle:
            await self._sessions.start_again(live)
        return self._view(live)

    async def _once_ended(self, principal: Principal, command: shared.RestartSession, live: Live) -> Found:
        """The session whose worker has just ended, once that is on record. Raises ``BusyError`` when it takes long."""
        try:
            async with asyncio.timeout(END_SECONDS):
                await live.ended.wait()
        except TimeoutError:
            raise BusyError("the session is just ending; try again", operation=command.operation) from None
        return await self._find(principal, command)

    async def signal(self, principal: Principal, command: shared.SignalSession) -> SessionView:
        found = await self._find(principal, command)
        await self._sessions.require(found.live, command.operation).engine.signal(command.signal)
        return self._views.session(found.session, found.stream)

    async def run_cell(self, principal: Principal, command: wire.RunCell) -> ExecutionView:
        spec = command.spec(timeout_of(command, self._settings.current))
        found = await self._find(principal, command)
        interpreter = self._sessions.require(found.live, command.operation)
        tags = tuple(dict.fromkeys(command.tags))
        live = await self._cells.start(principal, found.session, interpreter, spec, tags)
        return await self._cells.wait(live, command.wait_ms)

    async def variables(self, principal: Principal, command: wire.ListVariables) -> wire.VariablesView:
        interpreter = await self._interpreter(principal, command)
        return wire.VariablesView.model_validate(await interpreter.engine.variables())

    async def update(self, principal: Principal, command: wire.UpdateVariables) -> wire.UpdatedView:
        interpreter = await self._interpreter(principal, command)
        return wire.UpdatedView.model_validate(await interpreter.engine.update(command.values, command.strategy))

    async def clear(self, principal: Principal, command: wire.ClearVariables) -> wire.ClearedView:
        interpreter = await self._interpreter(principal, command)
        return wire.ClearedView.model_validate(await interpreter.engine.clear())

    async def snapshot(self, principal: Principal, command: wire.TakeSnapshot) -> wire.SnapshotView:
        interpreter = await self._interpreter(principal, command)
        return await self._snapshots.take(interpreter.engine, command.name)

    async def snapshots(self, principal: Principal, command: wire.ListSnapshots) -> wire.SnapshotList:
        found = await self._find(principal, command)
        return wire.SnapshotList(snapshots=await self._snapshots.list(found.session.id))

    async def restore(self, principal: Principal, command: wire.RestoreSnapshot) -> wire.RestoredView:
        interpreter = await self._interpreter(principal, command)
        return await self._snapshots.restore(interpreter.engine, command.name)

    async def _interpreter(self, principal: Principal, command: Any) -> Interpreter:
        found = await self._find(principal, command)
        return self._sessions.require(found.live, command.operation)

    async def _find(self, principal: Principal, command: Any) -> Found:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        if found.session.kind is not Kind.PYTHON:
            raise InvalidError(
                f"session {found.session.name} is a terminal, not a Python session", operation=command.operation
            )
        return found

    def _view(self, live: Live) -> SessionView:
        return self._views.session(live.session, live.stream)


async def _refuse(principal: Principal, command: Any) -> Any:
    raise InvalidError(
        "a Python session has no terminal: send code to /sessions/{id}/executions", operation=command.operation
    )
