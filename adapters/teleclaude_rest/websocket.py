"""What all WebSockets share: the upgrade, the token as a first message, and an end that the client gets to read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Literal

from aiohttp import WSMsgType, web
from pydantic import BaseModel, Field

from teleclaude.errors import MalformedError, TeleclaudeError, UnauthenticatedError
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
from teleclaude_rest import binding
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.gate import NOBODY

MAX_FRAME_BYTES = 1 << 20
CLOSE_SECONDS = 2.0
"""For the client to answer our closing frame."""

OPERATION = "authenticate"

NORMAL, AWAY, UNSUPPORTED, POLICY, DEFECT = 1000, 1001, 1003, 1008, 1011
UNAUTHENTICATED = 4001


class Socket(web.WebSocketResponse):
    """Leaves the closing of the connection to the end of the handler: at once, a client that is still sending an
    oversized frame would be reset before it reads why.
    """

    def _close_transport(self) -> None:
        pass


class Auth(BaseModel):
    """The first message of a page."""

    model_config = Command.model_config

    type: Literal["auth"]
    token: Annotated[str, Field(max_length=4096)]


def wants_upgrade(request: web.BaseRequest) -> bool:
    return web.WebSocketResponse().can_prepare(request).ok


def require_upgrade(exchange: Exchange) -> None:
    if not wants_upgrade(exchange.request):
        raise MalformedError("this path speaks WebSocket; send an upgrade request", operation=exchange.operation)


async def upgraded(exchange: Exchange) -> Socket:
    """The open socket. Everything that is to be refused with a status has to be refused before."""
    socket = Socket(
        heartbeat=exchange.surface.timing.heartbeat,
        timeout=CLOSE_SECONDS,
        max_msg_size=MAX_FRAME_BYTES,
        # A compressed frame can be a thousand times what was sent.
        compress=False,
    )
    socket.headers.update(exchange.headers())
    await socket.prepare(exchange.request)
    return socket


@asynccontextmanager
async def introduced(exchange: Exchange, socket: Socket) -> AsyncIterator[Exchange]:
    """The exchange with its principal, who may have to show a token first; cut when that token ends.

    Raises ``UnauthenticatedError``, and ``ConnectionResetError`` when the client goes instead.
    """
    if exchange.principal is not NOBODY:
        yield exchange
        return
    grant = exchange.surface.hub.authenticate(await _token(exchange, socket))
    with exchange.connection.bound_to(grant):
        yield replace(exchange, principal=grant.principal)


async def _token(exchange: Exchange, socket: Socket) -> str:
    seconds = exchange.surface.timing.auth
    try:
        async with exchange.until_ended(), asyncio.timeout(seconds):
            message = await socket.receive()
    except TimeoutError:
        raise UnauthenticatedError(f"no token was shown within {seconds:g} s", operation=OPERATION) from None
    if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED):
        raise ConnectionResetError("the client went away")
    if message.type is WSMsgType.TEXT:
        try:
            given = jsonio.loads(message.data.encode(), operation=OPERATION)
            return binding.build(Auth, given if isinstance(given, dict) else {}, operation=OPERATION).token
        except TeleclaudeError:
            pass  # whatever it was, it showed no token
    raise UnauthenticatedError('begin with {"type": "auth", "token": TOKEN}', operation=OPERATION)


async def close(exchange: Exchange, socket: Socket, code: int) -> None:
    """Say goodbye, in bounded time."""
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code=code)
    except (TimeoutError, ConnectionError):
        # It reads nothing any more, not even the closing frame.
        if exchange.request.transport is not None:
            exchange.request.transport.abort()
