"""A live terminal over WebSocket: raw bytes both ways, JSON text for everything else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, Literal

import structlog
from aiohttp import WSMsgType, web
from pydantic import BaseModel, Field

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputItem, OutputState, OutputText
from teleclaude.errors import MalformedError, TeleclaudeError, UnauthenticatedError
from teleclaude.model import Chunk, Gap
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
from teleclaude.wire.output import FollowOutput
from teleclaude.wire.sessions import GetSession, ResizeSession, SendBytes, SessionView
from teleclaude_rest import binding, frames
from teleclaude_rest.errors import StoppingError
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.gate import NOBODY
from teleclaude_rest.websocket import (
    AWAY,
    CLOSE_SECONDS,
    DEFECT,
    NORMAL,
    POLICY,
    UNAUTHENTICATED,
    UNSUPPORTED,
    Socket,
    close,
    introduced,
    require_upgrade,
    upgraded,
)

log = structlog.get_logger(__name__)

OPERATION = "session.tty"


class Resize(BaseModel):
    """The only text message of a client."""

    model_config = Command.model_config

    type: Literal["resize"]
    cols: Annotated[int, Field(ge=2, le=1000)]
    rows: Annotated[int, Field(ge=1, le=1000)]


async def attach(exchange: Exchange) -> web.StreamResponse:
    """Refusals come as HTTP before the upgrade, unless the token is still to be shown; from then on a client that
    stalls holds up nobody but itself.
    """
    request = await exchange.command(FollowOutput)
    require_upgrade(exchange)
    if exchange.principal is not NOBODY:
        async with _opened(exchange, request) as opened:
            socket = await upgraded(exchange)
            await opened.run(socket)
        return socket
    socket = await upgraded(exchange)
    try:
        async with introduced(exchange, socket) as known, _opened(known, request) as opened:
            await opened.run(socket)
    except TeleclaudeError as error:
        await socket.send_str(_refusal(error))
        await close(exchange, socket, UNAUTHENTICATED if isinstance(error, UnauthenticatedError) else POLICY)
    return socket


@asynccontextmanager
async def _opened(exchange: Exchange, request: FollowOutput) -> AsyncIterator[_Terminal]:
    session = await exchange.call(GetSession(id=request.id))
    prefix, slash, _ = request.id.rpartition("/")
    async with exchange.surface.hub.follow_output(exchange.principal, request) as follower:
        yield _Terminal(exchange, follower, session, f"{prefix}{slash}{session.id}")


class _Terminal:
    """The handler reads what is typed; a task of its own writes what the terminal prints."""

    def __init__(self, exchange: Exchange, follower: OutputFollower, session: SessionView, session_id: str) -> None:
        self._exchange = exchange
        self._follower = follower
        self._session = session
        self._session_id = session_id

    async def run(self, socket: Socket) -> None:
        self._socket = socket
        size = {"cols": self._session.cols, "rows": self._session.rows}
        tasks, owner = self._exchange.surface.context.tasks, f"rest.tty.{self._exchange.id}"
        code = DEFECT
        try:
            async with self._exchange.until_ended():
                await self._say({"type": "hello", "offset": self._follower.offset, **size})
                tasks.spawn(self._write(), name="write", owner=owner)
                code = await self._read()
        except StoppingError:
            code = AWAY
        finally:
            await tasks.cancel_owner(owner, CLOSE_SECONDS)
            await self._close(code)

    async def _read(self) -> int:
        """Handle messages until there are no more; answers the code to close with."""
        while True:
            message = await self._socket.receive()
            if message.type is WSMsgType.BINARY:
                await self._do(SendBytes(id=self._session_id, data=message.data))
            elif message.type is WSMsgType.TEXT:
                try:
                    given = jsonio.loads(message.data.encode(), operation=OPERATION)
                    size = binding.build(Resize, given if isinstance(given, dict) else {}, operation=OPERATION)
                except TeleclaudeError as error:
                    await self._refuse(error)
                    return UNSUPPORTED if isinstance(error, MalformedError) else POLICY
                await self._do(ResizeSession(id=self._session_id, cols=size.cols, rows=size.rows))
            else:
                if message.type is WSMsgType.ERROR:
                    await self._exchange.connection.linger()
                return NORMAL

    async def _do(self, command: Command[Any]) -> None:
        """A refusal is said and the viewer stays: one who may not type may still watch."""
        try:
            await self._exchange.surface.hub.call(self._exchange.principal, command)
        except TeleclaudeError as error:
            await self._refuse(error)

    async def _write(self) -> None:
        code = NORMAL
        try:
            while True:
                item = await self._follower.next()
                if item is None:
                    continue
                await self._show(item)
                if isinstance(item, OutputExit | OutputHandedOff):
                    break
        except ConnectionError:
            return
        except TeleclaudeError as error:
            await self._refuse(error)
            code = DEFECT
        except Exception:
            log.exception("tty_failed", session_id=self._session_id)
            code = DEFECT
        await self._close(code)

    async def _show(self, item: OutputItem) -> None:
        match item:
            case Chunk():
                await self._socket.send_bytes(item.data)
            case OutputText():
                await self._socket.send_bytes(item.text.encode())
            case Gap():
                await self._say({"type": "gap", **frames.gap_object(item)})
            case OutputState():
                await self._say({"type": "state", "state": item.state})
            case OutputExit():
                await self._say({"type": "exit", **item.data})
            case OutputHandedOff():
                await self._say({"type": "handed_off", **frames.handed_off_object(item)})

    async def _refuse(self, error: TeleclaudeError) -> None:
        await self._socket.send_str(_refusal(error))

    async def _say(self, message: dict[str, object]) -> None:
        await self._socket.send_str(jsonio.dumps(message).decode())

    async def _close(self, code: int) -> None:
        await close(self._exchange, self._socket, code)


def _refusal(error: TeleclaudeError) -> str:
    return jsonio.dumps({"type": "error", "code": error.code, "detail": error.detail}).decode()
