"""Answers requests of one listening socket: matching, identity, errors, and an orderly end."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
from typing import Any

import structlog
from aiohttp import web

from teleclaude.errors import ForbiddenError, InternalError, TeleclaudeError
from teleclaude.model import Principal, Role
from teleclaude_rest.connection import Connection, Listener
from teleclaude_rest.errors import problem_response
from teleclaude_rest.exchange import Exchange, read_query
from teleclaude_rest.router import OPERATION, Router
from teleclaude_rest.surface import Surface
from teleclaude_rest.unixsocket import peer_uid

log = structlog.get_logger(__name__)

LOCAL = Principal("local", Role.OWNER)
"""Whoever may open the unix socket."""

BACKLOG = 128


def local_peer(transport: asyncio.Transport) -> Principal:
    """The owner, if the process at the other end of the unix socket runs as our own user."""
    uid = peer_uid(transport.get_extra_info("socket"))
    if uid != os.getuid():
        log.warning("peer_refused", uid=uid)
        raise ForbiddenError("this socket serves the daemon's own user only", operation=OPERATION)
    return LOCAL


class Server:
    """Serves ``surface`` by ``router`` on sockets given to ``listen``. ``aclose`` may be called more than once."""

    def __init__(self, surface: Surface, router: Router) -> None:
        self._surface = surface
        self._router = router
        self._listener: Listener | None = None
        self._accepting: asyncio.Server | None = None
        self._answers: set[asyncio.Task[Any]] = set()

    async def listen(self, sock: socket.socket) -> None:
        """Accept connections on a bound unix socket, each as the local owner."""
        limit = int(self._surface.context.settings.max_connections)
        listener = Listener(self._answer, local_peer, max_connections=limit, timing=self._surface.timing)
        self._listener = listener
        self._accepting = await asyncio.get_running_loop().create_unix_server(listener, sock=sock, backlog=BACKLOG)

    @property
    def listening(self) -> bool:
        return self._accepting is not None and self._accepting.is_serving()

    @property
    def connections(self) -> int:
        return len(self._listener.connections) if self._listener else 0

    async def aclose(self) -> None:
        """Stop accepting, let replies end within ``Timing.stop``, then cut what is left."""
        if self._accepting is not None:
            self._accepting.close()
            self._accepting = None
        self._surface.stop.end()
        listener, self._listener = self._listener, None
        if listener is None:
            return
        listener.pre_shutdown()
        try:
            async with asyncio.timeout(2 * self._surface.timing.stop + 1):
                await listener.shutdown(self._surface.timing.stop)
        except TimeoutError:
            log.warning("connections_cut", count=len(listener.connections))
        finally:
            listener.abort()
            await self._end_answers()

    async def _end_answers(self) -> None:
        """End the handlers whose client had gone before; what they asked of the core goes on there."""
        for task in self._answers:
            task.cancel()
        if self._answers:
            _, left = await asyncio.wait(self._answers, timeout=self._surface.timing.stop)
            if left:
                log.warning("handlers_not_ended", count=len(left))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        connection, task = request.protocol, asyncio.current_task()
        assert isinstance(connection, Connection)
        assert task is not None
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)
        connection.answering = True
        try:
            return await self._guarded(request, connection)
        finally:
            connection.answering = False

    async def _guarded(self, request: web.BaseRequest, connection: Connection) -> web.StreamResponse:
        request_id = secrets.token_hex(8)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                return await self._dispatch(request, connection, request_id)
            except ConnectionError:
                raise
            except TeleclaudeError as caught:
                error = caught
            except Exception:
                log.exception("request_failed", method=request.method)
                error = InternalError("the daemon met a defect of its own; its log has the trace", operation=OPERATION)
            if request.writer.output_size > 0:
                raise ConnectionResetError("the reply had begun, so its failure can only end the connection")
            response = problem_response(error)
            response.headers["X-Request-Id"] = request_id
            return response

    async def _dispatch(self, request: web.BaseRequest, connection: Connection, request_id: str) -> web.StreamResponse:
        if connection.refusal is not None:
            response = problem_response(connection.refusal)
            response.headers["X-Request-Id"] = request_id
            response.force_close()
            return response
        assert connection.principal is not None
        match = self._router.find(request.method, request.raw_path)
        exchange = Exchange(
            self._surface, request, connection, connection.principal, match, read_query(match), request_id
        )
        return await match.route.handle(exchange)
