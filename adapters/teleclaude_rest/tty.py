"""A live terminal over WebSocket: raw bytes both ways, JSON text for everything else."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal

import structlog
from aiohttp import WSMsgType, web
from pydantic import BaseModel, Field

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputItem, OutputState, OutputText
from teleclaude.errors import MalformedError, TeleclaudeError
from teleclaude.model import Chunk, Gap
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import FollowOutput, GetSession, ResizeSession, SendBytes
from teleclaude_rest import binding, frames
from teleclaude_rest.errors import StoppingError
from teleclaude_rest.exchange import Exchange

log = structlog.get_logger(__name__)

MAX_FRAME_BYTES = 1 << 20
CLOSE_SECONDS = 2.0
"""For the client to answer our closing frame."""

OPERATION = "session.tty"

_NORMAL, _AWAY, _UNSUPPORTED, _POLICY, _DEFECT = 1000, 1001, 1003, 1008, 1011


class Resize(BaseModel):
    """The only text message of a client."""

    model_config = Command.model_config

    type: Literal["resize"]
    cols: Annotated[int, Field(ge=2, le=1000)]
    rows: Annotated[int, Field(ge=1, le=1000)]


async def attach(exchange: Exchange) -> web.StreamResponse:
    """Refusals come as HTTP before the upgrade; from then on a client that stalls holds up nobody but itself."""
    request = await exchange.command(FollowOutput)
    session = await exchange.call(GetSession(id=request.id))
    async with exchange.surface.hub.follow_output(exchange.principal, request) as follower:
        _require_upgrade(exchange)
        socket = _Socket(
            heartbeat=exchange.surface.timing.heartbeat,
            timeout=CLOSE_SECONDS,
            max_msg_size=MAX_FRAME_BYTES,
            # A compressed frame can be a thousand times what was sent.
            compress=False,
        )
        socket.headers.update(exchange.headers())
        await socket.prepare(exchange.request)
        hello = {"type": "hello", "offset": follower.offset, "cols": session.cols, "rows": session.rows}
        prefix, slash, _ = request.id.rpartition("/")
        await _Terminal(exchange, socket, f"{prefix}{slash}{session.id}").run(follower, hello)
    return socket


class _Socket(web.WebSocketResponse):
    """Leaves the closing of the connection to the end of the handler: at once, a client that is still sending an
    oversized frame would be reset before it reads why.
    """

    def _close_transport(self) -> None:
        pass


class _Terminal:
    """The handler reads what is typed; a task of its own writes what the terminal prints."""

    def __init__(self, exchange: Exchange, socket: web.WebSocketResponse, session_id: str) -> None:
        self._exchange = exchange
        self._socket = socket
        self._session_id = session_id

    async def run(self, follower: OutputFollower, hello: dict[str, object]) -> None:
        tasks, owner = self._exchange.surface.context.tasks, f"rest.tty.{self._exchange.id}"
        code = _DEFECT
        try:
            async with self._exchange.until_ended():
                await self._say(hello)
                tasks.spawn(self._write(follower), name="write", owner=owner)
                code = await self._read()
        except StoppingError:
            code = _AWAY
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
                    return _UNSUPPORTED if isinstance(error, MalformedError) else _POLICY
                await self._do(ResizeSession(id=self._session_id, cols=size.cols, rows=size.rows))
            else:
                if message.type is WSMsgType.ERROR:
                    await self._exchange.connection.linger()
                return _NORMAL

    async def _do(self, command: Command[Any]) -> None:
        """A refusal is said and the viewer stays: one who may not type may still watch."""
        try:
            await self._exchange.surface.hub.call(self._exchange.principal, command)
        except TeleclaudeError as error:
            await self._refuse(error)

    async def _write(self, follower: OutputFollower) -> None:
        code = _NORMAL
        try:
            while True:
                item = await follower.next()
                if item is None:
                    continue
                await self._show(item)
                if isinstance(item, OutputExit | OutputHandedOff):
                    break
        except ConnectionError:
            return
        except TeleclaudeError as error:
            await self._refuse(error)
            code = _DEFECT
        except Exception:
            log.exception("tty_failed", session_id=self._session_id)
            code = _DEFECT
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
        await self._say({"type": "error", "code": error.code, "detail": error.detail})

    async def _say(self, message: dict[str, object]) -> None:
        await self._socket.send_str(jsonio.dumps(message).decode())

    async def _close(self, code: int) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._socket.close(code=code)
        except (TimeoutError, ConnectionError):
            # It reads nothing any more, not even the closing frame.
            if self._exchange.request.transport is not None:
                self._exchange.request.transport.abort()


def _require_upgrade(exchange: Exchange) -> None:
    if not web.WebSocketResponse().can_prepare(exchange.request):
        raise MalformedError("this path speaks WebSocket; send an upgrade request", operation=OPERATION)
