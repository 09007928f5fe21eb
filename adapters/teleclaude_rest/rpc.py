"""JSON-RPC 2.0 over WebSocket: every command as a method, and events as notifications, on one connection."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import structlog
from aiohttp import WSMsgType, web
from pydantic import BaseModel, Field

from teleclaude.errors import (
    BusyError,
    ConflictError,
    InternalError,
    LimitError,
    MethodError,
    NotFoundError,
    TeleclaudeError,
)
from teleclaude.model import Lifetime, is_name
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command, Reference
from teleclaude.wire.events import event_object
from teleclaude.wire.executions import (
    CancelExecution,
    ExecutionView,
    GetExecution,
    PauseExecution,
    ResumeExecution,
    Script,
    StartExecution,
)
from teleclaude.wire.sessions import GetSession
from teleclaude_rest import binding
from teleclaude_rest.errors import StoppingError
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.methods import Methods, result_object
from teleclaude_rest.rpc_messages import (
    INVALID_REQUEST,
    OPERATION,
    Call,
    Frame,
    Id,
    RefusedError,
    failure,
    notification,
    read_frame,
    refusal,
    success,
)
from teleclaude_rest.websocket import (
    AWAY,
    CLOSE_SECONDS,
    DEFECT,
    NORMAL,
    UNAUTHENTICATED,
    UNSUPPORTED,
    Socket,
    close,
    introduced,
    require_upgrade,
    upgraded,
)

log = structlog.get_logger(__name__)

MAX_IN_FLIGHT = 100
MAX_SESSIONS = 1000
"""Sessions that one subscription may name."""

OUTGOING = 32
"""Messages that wait for the client; whoever has more to say waits too."""

_ENDED = ("completed", "failed", "cancelled", "timed_out", "lost")
_CONTROLS = {"PAUSE": PauseExecution, "RESUME": ResumeExecution, "CANCEL": CancelExecution}


class Subscribe(BaseModel):
    """Events above ``after``, else from now on; of these sessions, else of all. A second one takes its place."""

    model_config = Command.model_config

    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    sessions: list[Reference] | None = None


class Unsubscribe(BaseModel):
    model_config = Command.model_config


class Execute(BaseModel):
    """``command`` by the shell, for as long as the connection lives; ``timeout`` in seconds."""

    model_config = Command.model_config

    command: Script
    timeout: Annotated[float, Field(gt=0, le=7 * 24 * 3600, allow_inf_nan=False)] | None = None


class Control(BaseModel):
    """Acts on what ``execute`` started."""

    model_config = Command.model_config

    type: Literal["PAUSE", "RESUME", "CANCEL"]


OWN: dict[str, type[BaseModel]] = {
    "events.subscribe": Subscribe,
    "events.unsubscribe": Unsubscribe,
    "execute": Execute,
    "control": Control,
}
"""Methods that are about the connection itself."""

READ_ONLY = ("events.subscribe", "events.unsubscribe")


class RpcHandler:
    """Answers the upgrade of one route; ``table`` is filled once the route table is complete."""

    def __init__(self) -> None:
        self.table: Methods = {}

    async def __call__(self, exchange: Exchange) -> web.StreamResponse:
        require_upgrade(exchange)
        socket = await upgraded(exchange)
        try:
            async with introduced(exchange, socket) as known:
                await _Conversation(known, socket, self.table).run()
        except TeleclaudeError as error:
            await socket.send_str(jsonio.dumps(failure(None, error)).decode())
            await close(exchange, socket, UNAUTHENTICATED)
        return socket


class _Conversation:
    """The handler reads; each frame is answered by a task of its own, and one task writes all that goes out."""

    def __init__(self, exchange: Exchange, socket: Socket, table: Methods) -> None:
        self._exchange = exchange
        self._socket = socket
        self._table = table
        self._tasks = exchange.surface.context.tasks
        self._owner = f"rest.rpc.{exchange.id}"
        self._outgoing: asyncio.Queue[object] = asyncio.Queue(OUTGOING)
        self._ids: set[Id] = set()
        self._in_flight = 0
        self._subscribed: Subscribe | None = None
        self._execution: str | None = None
        self._executing = asyncio.Lock()
        self._subscribing = asyncio.Lock()

    async def run(self) -> None:
        code = DEFECT
        try:
            async with self._exchange.until_ended():
                self._tasks.spawn(self._write(), name="write", owner=self._owner)
                code = await self._read()
        except StoppingError:
            code = AWAY
        finally:
            await self._tasks.cancel_owner(self._events_owner, CLOSE_SECONDS)
            await self._tasks.cancel_owner(self._owner, CLOSE_SECONDS)
            await close(self._exchange, self._socket, code)

    @property
    def _events_owner(self) -> str:
        return f"{self._owner}.events"

    async def _read(self) -> int:
        """Take frames until there are no more; answers the code to close with."""
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.TEXT:
                await self._take(message.data)
            elif message.type is WSMsgType.BINARY:
                return UNSUPPORTED
            else:
                if message.type is WSMsgType.ERROR:
                    await self._exchange.connection.linger()
                return NORMAL

    async def _write(self) -> None:
        try:
            while True:
                await self._socket.send_str(jsonio.dumps(await self._outgoing.get()).decode())
        except ConnectionError:
            return

    async def _take(self, text: str) -> None:
        try:
            frame = read_frame(text)
        except RefusedError as refused:
            await self._outgoing.put(refused.reply)
            return
        admitted = [self._admit(item) for item in frame.items]
        self._tasks.spawn(self._answer(frame, admitted), name="answer", owner=self._owner)

    def _admit(self, item: Call | Mapping[str, Any]) -> Call | Mapping[str, Any]:
        """The call, counted, or why not."""
        if not isinstance(item, Call):
            return item
        if item.notification and self._changes(item.method):
            return refusal(
                None, INVALID_REQUEST, f"{item.method} changes something: send an id, so that it is answered"
            )
        if self._in_flight >= MAX_IN_FLIGHT:
            limit = LimitError(f"{MAX_IN_FLIGHT} calls are in flight; wait for some to end", operation=OPERATION)
            return failure(item.id, limit)
        if not item.notification:
            if item.id in self._ids:
                return failure(item.id, ConflictError("a call with this id is in flight", operation=OPERATION))
            self._ids.add(item.id)
        self._in_flight += 1
        return item

    def _changes(self, method: str) -> bool:
        command = self._table.get(method)
        return command.mutates if command is not None else method not in READ_ONLY

    async def _answer(self, frame: Frame, admitted: Sequence[Call | Mapping[str, Any]]) -> None:
        replies = await asyncio.gather(*(self._reply(item) for item in admitted))
        told = [reply for reply in replies if reply is not None]
        if frame.batch and told:
            await self._outgoing.put(told)
        elif told:
            await self._outgoing.put(told[0])

    async def _reply(self, item: Call | Mapping[str, Any]) -> Mapping[str, Any] | None:
        if not isinstance(item, Call):
            return item
        try:
            reply = await self._carried_out(item)
        finally:
            self._in_flight -= 1
            if not item.notification:
                self._ids.discard(item.id)
        return None if item.notification else reply

    async def _carried_out(self, call: Call) -> Mapping[str, Any]:
        try:
            if call.method in OWN:
                options = binding.build(OWN[call.method], call.params, operation=call.method)
                return success(call.id, await self._own(options))
            kind = self._table.get(call.method)
            if kind is None:
                raise MethodError(f"there is no method {call.method[:60]!a}", operation=OPERATION)
            command = binding.build(kind, call.params, operation=call.method)
            return success(call.id, result_object(await self._call(command)))
        except TeleclaudeError as error:
            return failure(call.id, error)
        except Exception:
            # The others on this connection go on.
            log.exception("rpc_call_failed", method=call.method[:60])
            defect = InternalError("the daemon met a defect of its own; its log has the trace", operation=OPERATION)
            return failure(call.id, defect)

    async def _call(self, command: Command[Any]) -> Any:
        with self._exchange.connection.work.current():
            return await self._exchange.surface.hub.call(self._exchange.principal, command)

    async def _own(self, options: BaseModel) -> object:
        match options:
            case Subscribe():
                async with self._subscribing:
                    return await self._subscribe(options)
            case Execute():
                async with self._executing:
                    return result_object(await self._execute(options))
            case Control():
                return result_object(await self._control(options))
            case _:
                async with self._subscribing:
                    await self._tasks.cancel_owner(self._events_owner, CLOSE_SECONDS)
                self._subscribed = None
                return {"subscribed": False}

    async def _subscribe(self, options: Subscribe) -> object:
        if options.sessions is not None and len(options.sessions) > MAX_SESSIONS:
            raise LimitError(f"name at most {MAX_SESSIONS} sessions, or none for all", operation="events.subscribe")
        if options != self._subscribed:
            sessions = None
            if options.sessions is not None:
                sessions = frozenset([await self._session_id(name) for name in dict.fromkeys(options.sessions)])
            await self._tasks.cancel_owner(self._events_owner, CLOSE_SECONDS)
            begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._tasks.spawn(self._relay(options.after, sessions, begun), name="events", owner=self._events_owner)
            await begun
            self._subscribed = options
        return {"subscribed": True}

    async def _session_id(self, reference: str) -> str:
        if not is_name(reference):
            return reference
        return str((await self._call(GetSession(id=reference))).id)

    async def _relay(self, after: int | None, sessions: frozenset[str] | None, begun: asyncio.Future[None]) -> None:
        hub = self._exchange.surface.hub
        try:
            async with hub.follow_events(self._exchange.principal, after, sessions) as events:
                begun.set_result(None)
                async for event in events:
                    await self._outgoing.put(notification("event", event_object(event)))
        except TeleclaudeError as error:
            if begun.done():
                await self._outgoing.put(failure(None, error))
            else:
                begun.set_exception(error)
        finally:
            self._subscribed = None
            if not begun.done():
                begun.cancel()

    async def _execute(self, options: Execute) -> ExecutionView:
        if self._execution is not None and await self._is_live(self._execution):
            raise BusyError("the command before still runs; wait for its end or cancel it", operation="execute")
        timeout_ms = None if options.timeout is None else max(1, math.ceil(options.timeout * 1000))
        started: ExecutionView = await self._call(
            StartExecution(script=options.command, timeout_ms=timeout_ms, lifetime=Lifetime.CONNECTION)
        )
        self._execution = started.id
        return started

    async def _is_live(self, execution_id: str) -> bool:
        try:
            found: ExecutionView = await self._call(GetExecution(id=execution_id))
        except NotFoundError:  # it has been dropped, and only what has ended can be
            return False
        return found.status not in _ENDED

    async def _control(self, options: Control) -> ExecutionView:
        if self._execution is None:
            raise NotFoundError("nothing was started by execute on this connection", operation="control")
        found: ExecutionView = await self._call(_CONTROLS[options.type](id=self._execution))
        return found
