"""The commands of Python sessions, and those of all sessions where a Python session answers differently."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
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
from teleclaude.wire.screens import ReadScreen, RenderScreen
from teleclaude.wire.sessions import SessionView

Handler = Callable[[Principal, Any], Awaitable[Any]]

END_SECONDS = 5.0

_NO_TERMINAL = (
    shared.SendInput,
    shared.SendKeys,
    shared.SendBytes,
    shared.ResizeSession,
    ReadScreen,
    RenderScreen,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PythonHandlers:
    """Handlers of the commands over the parts that do the work."""

    computer: str
    table: SessionTable
    lookup: Lookup
    streams: StreamStore
    sessions: PythonSessions
    cells: Cells
    snapshots: Snapshots
    views: Views
    settings: Settings
    clock: Clock

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            wire.RunCell: self.run_cell,
            wire.ListVariables: self.variables,
            wire.UpdateVariables: self.update,
            wire.ClearVariables: self.clear,
            wire.TakeSnapshot: self.take_snapshot,
            wire.ListSnapshots: self.list_snapshots,
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
            found = await self.lookup.find(principal, command.id, operation=command.operation)
            if found.session.kind is not Kind.PYTHON or found.live is None:
                return await terminal(principal, command)
            await self.sessions.close(found.live, command.grace_ms)
            # It has ended, and what is left to do is the same for all. Another one may have its name by now.
            return await terminal(principal, command.model_copy(update={"id": found.session.id}))

        return close

    def _divided(self, own: Handler, terminal: Handler) -> Handler:
        async def divided(principal: Principal, command: Any) -> Any:
            found = await self.lookup.find(principal, command.id, operation=command.operation)
            if found.session.kind is Kind.PYTHON:
                return await own(principal, command)
            return await terminal(principal, command)

        return divided

    async def create(self, principal: Principal, command: shared.CreateSession) -> SessionView:
        require_local(command.computer, self.computer, operation=command.operation)
        if command.command is not None or command.agent is not None:
            raise InvalidError(
                "a Python session takes no command; its interpreter is python.interpreter", operation=command.operation
            )
        spec = await asyncio.to_thread(build_spec, command, principal, self.settings.current)
        session_id = new_id("S", self.clock)
        session = Session(
            id=session_id,
            name=command.name or self.table.free_name("python"),
            kind=Kind.PYTHON,
            computer=self.computer,
            spec=spec,
            state=Starting(),
            created_at=self.clock.now(),
            owner=principal.name,
            tags=tuple(dict.fromkeys(command.tags)),
        )
        live = Live(session, await self.streams.create(session_id))
        try:
            self.sessions.reserve(live, operation=command.operation)
        except BaseException:
            await self.streams.delete(session_id)
            raise
        async with live.lifecycle:
            await self.sessions.start_new(live)
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
                await self.sessions.restart(alive, command.operation)
            except ExitedError:
                found = await self._once_ended(principal, command, alive)
            else:
                return self._view(alive)
        live = Live(replace(found.session, input_offset=None), found.stream)
        self.sessions.reserve(live, operation=command.operation)
        async with live.lifecycle:
            await self.sessions.start_again(live)
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
        interpreter = await self.sessions.ready(found.live, command.operation)
        await interpreter.engine.signal(command.signal)
        return self.views.session(found.session, found.stream)

    async def run_cell(self, principal: Principal, command: wire.RunCell) -> ExecutionView:
        spec = command.spec(timeout_of(command, self.settings.current))
        found = await self._find(principal, command)
        interpreter = await self.sessions.ready(found.live, command.operation)
        tags = tuple(dict.fromkeys(command.tags))
        live = await self.cells.start(principal, found.session, interpreter, spec, tags)
        return await self.cells.wait(live, command.wait_ms)

    async def variables(self, principal: Principal, command: wire.ListVariables) -> wire.VariablesView:
        interpreter = await self._interpreter(principal, command)
        return wire.VariablesView.model_validate(await interpreter.engine.variables.list())

    async def update(self, principal: Principal, command: wire.UpdateVariables) -> wire.UpdatedView:
        interpreter = await self._interpreter(principal, command)
        return wire.UpdatedView.model_validate(
            await interpreter.engine.variables.update(command.values, command.strategy)
        )

    async def clear(self, principal: Principal, command: wire.ClearVariables) -> wire.ClearedView:
        interpreter = await self._interpreter(principal, command)
        return wire.ClearedView.model_validate(await interpreter.engine.variables.clear())

    async def take_snapshot(self, principal: Principal, command: wire.TakeSnapshot) -> wire.SnapshotView:
        interpreter = await self._interpreter(principal, command)
        return await self.snapshots.take(interpreter.engine, command.name)

    async def list_snapshots(self, principal: Principal, command: wire.ListSnapshots) -> wire.SnapshotList:
        found = await self._find(principal, command)
        return wire.SnapshotList(snapshots=await self.snapshots.list(found.session.id))

    async def restore(self, principal: Principal, command: wire.RestoreSnapshot) -> wire.RestoredView:
        interpreter = await self._interpreter(principal, command)
        return await self.snapshots.restore(interpreter.engine, command.name)

    async def _interpreter(self, principal: Principal, command: Any) -> Interpreter:
        found = await self._find(principal, command)
        return await self.sessions.ready(found.live, command.operation)

    async def _find(self, principal: Principal, command: Any) -> Found:
        found = await self.lookup.find(principal, command.id, operation=command.operation)
        if found.session.kind is not Kind.PYTHON:
            raise InvalidError(
                f"session {found.session.name} is a terminal, not a Python session", operation=command.operation
            )
        return found

    def _view(self, live: Live) -> SessionView:
        return self.views.session(live.session, live.stream)


async def _refuse(principal: Principal, command: Any) -> Any:
    raise InvalidError(
        "a Python session has no terminal: send code to /sessions/{id}/executions", operation=command.operation
    )
