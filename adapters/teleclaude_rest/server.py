"""Answers requests of the listening sockets: matching, identity, errors, and an orderly end."""

from __future__ import annotations

import asyncio
import secrets
import socket
from contextlib import nullcontext
from typing import Any

import structlog
from aiohttp import web

from teleclaude.api import Grant
from teleclaude.errors import InternalError, TeleclaudeError, UnauthenticatedError
from teleclaude_rest.connection import Connection, Listener
from teleclaude_rest.errors import COMMON_HEADERS, problem_response
from teleclaude_rest.exchange import Exchange, read_query
from teleclaude_rest.gate import NOBODY, Gate
from teleclaude_rest.pages import HTML, POLICY, SIGN_IN
from teleclaude_rest.router import OPERATION, Match, Router
from teleclaude_rest.surface import Surface
from teleclaude_rest.websocket import wants_upgrade

log = structlog.get_logger(__name__)

BACKLOG = 128


class Server:
    """Serves ``surface`` by ``router`` on sockets given to ``listen``. ``aclose`` may be called more than once."""

    def __init__(self, surface: Surface, router: Router) -> None:
        self._surface = surface
        self._router = router
        self._listeners: list[Listener] = []
        self._accepting: list[asyncio.Server] = []
        self._answers: set[asyncio.Task[Any]] = set()

    async def listen(self, sock: socket.socket, gate: Gate) -> None:
        """Accept connections on a bound socket; those of one socket do not count against those of another."""
        limit = int(self._surface.context.settings.max_connections)
        listener = Listener(self._answer, gate, max_connections=limit, timing=self._surface.timing)
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            accepting = await loop.create_unix_server(listener, sock=sock, backlog=BACKLOG)
        else:
            accepting = await loop.create_server(listener, sock=sock, backlog=BACKLOG)
        self._listeners.append(listener)
        self._accepting.append(accepting)

    @property
    def listening(self) -> bool:
        return bool(self._accepting) and all(accepting.is_serving() for accepting in self._accepting)

    @property
    def connections(self) -> int:
        return sum(len(listener.connections) for listener in self._listeners)

    async def aclose(self) -> None:
        """Stop accepting, let replies end within ``Timing.stop``, then cut what is left."""
        for accepting in self._accepting:
            accepting.close()
        self._accepting.clear()
        self._surface.stop.end()
        listeners, self._listeners = self._listeners, []
        for listener in listeners:
            listener.pre_shutdown()
        try:
            async with asyncio.timeout(2 * self._surface.timing.stop + 1):
                await asyncio.gather(*(listener.shutdown(self._surface.timing.stop) for listener in listeners))
        except TimeoutError:
            log.warning("connections_cut", count=sum(len(listener.connections) for listener in listeners))
        finally:
            for listener in listeners:
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
            response = _sign_in() if _is_page_load(request, error) else problem_response(error)
            response.headers["X-Request-Id"] = request_id
            return response

    async def _dispatch(self, request: web.BaseRequest, connection: Connection, request_id: str) -> web.StreamResponse:
        if connection.refusal is not None:
            response = problem_response(connection.refusal)
            response.headers["X-Request-Id"] = request_id
            response.force_close()
            return response
        connection.gate.check(request)
        match = self._find(request)
        grant = _identify(connection.gate, request, match)
        if isinstance(match, TeleclaudeError):
            raise match
        principal = grant.principal if grant is not None else NOBODY
        if grant is not None and match.route.command is None:
            self._surface.hub.admit(principal, match.route.operation, whole=match.route.whole)
        exchange = Exchange(self._surface, request, connection, principal, match, read_query(match), request_id)
        with connection.bound_to(grant) if grant is not None else nullcontext():
            return await match.route.handle(exchange)

    def _find(self, request: web.BaseRequest) -> Match | TeleclaudeError:
        """What is wrong with the path is kept for later: a stranger is not told."""
        try:
            return self._router.find(request.method, request.raw_path)
        except TeleclaudeError as error:
            return error


def _identify(gate: Gate, request: web.BaseRequest, match: Match | TeleclaudeError) -> Grant | None:
    """None for what is open to everybody, and for a WebSocket of a page: it cannot set headers and shows its token in
    the first message.
    """
    if isinstance(match, Match) and match.route.open:
        return None
    grant = gate.identify(request)
    if grant is None and not (isinstance(match, Match) and match.route.websocket and wants_upgrade(request)):
        raise UnauthenticatedError("show a token: Authorization: Bearer TOKEN", operation=OPERATION)
    return grant


def _is_page_load(request: web.BaseRequest, error: TeleclaudeError) -> bool:
    """Whether a person in front of a browser gets to see this refusal."""
    return error.status == 401 and request.method == "GET" and "text/html" in request.headers.get("Accept", "")


def _sign_in() -> web.Response:
    headers = {**COMMON_HEADERS, "Content-Type": HTML, "Content-Security-Policy": POLICY, "WWW-Authenticate": "Bearer"}
    return web.Response(body=SIGN_IN, status=401, headers=headers)
