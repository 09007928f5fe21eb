"""JSON-RPC 2.0 over WebSocket: every command as a method, on one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from aiohttp import WSMsgType, web

from teleclaude.errors import ConflictError, InternalError, LimitError, MethodError, TeleclaudeError
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
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
    read_frame,
    refusal,
    success,
)
from teleclaude_rest.rpc_own import OWN, READ_ONLY, OwnMethods
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

OUTGOING = 32
"""Messages that wait for the client; whoever has more to say waits too."""


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
        self._own = OwnMethods(exchange, self._call, self._outgoing.put)

    async def run(self) -> None:
        code = DEFECT
        try:
            async with self._exchange.until_ended():
                self._tasks.spawn(self._write(), name="write", owner=self._owner)
                code = await self._read()
        except StoppingError:
            code = AWAY
        finally:
            await self._own.aclose()
            await self._tasks.cancel_owner(self._owner, CLOSE_SECONDS)
            await close(self._exchange, self._socket, code)

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
                return success(call.id, await self._own.carry_out(options))
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
