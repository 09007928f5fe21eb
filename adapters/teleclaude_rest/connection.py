"""One client connection: who is at the other end, and limits on what it may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from teleclaude.api import Connection as ClientConnection
from teleclaude.api import Grant
from teleclaude.errors import InternalError, MalformedError, TeleclaudeError
from teleclaude_rest.errors import HeadTooLargeError, TooManyConnectionsError, problem_response
from teleclaude_rest.gate import Gate
from teleclaude_rest.router import OPERATION
from teleclaude_rest.surface import Scopes, Timing

log = structlog.get_logger(__name__)

QUIET_SECONDS = 0.1
"""A refused client that sent nothing for so long is taken to be reading its reply."""

MAX_LINE_BYTES = 8190
MAX_HEADERS = 100

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class Connection(web.RequestHandler):
    """aiohttp's HTTP protocol with a gate, a stall guard and our shape of errors.

    ``refusal`` is why every request of this connection is to be refused, ``client`` ends the waits of its requests when
    it goes away, ``work`` what is bound to it, ``answering`` says that a handler is at work.
    """

    def __init__(self, listener: Listener, *, loop: asyncio.AbstractEventLoop, **settings: Any) -> None:
        super().__init__(listener, loop=loop, **settings)
        self.client = Scopes()
        self.work = ClientConnection()
        self.refusal: TeleclaudeError | None = None
        self.gate = listener.gate
        self.answering = False
        self._listener = listener
        self._wire: asyncio.Transport | None = None
        self._serving: asyncio.Task[Any] | None = None
        self._guard: asyncio.TimerHandle | None = None
        self._broken = False
        self._heard = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport
        try:
            self._listener.admit(transport)
        except TeleclaudeError as error:
            self.refusal = error
        super().connection_made(transport)
        if self._listener.overrun:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        self._wire = None
        self.client.end()
        self.work.lose()
        super().connection_lost(exc)
        if self._serving is not None and not self.answering:
            # It may be waiting for the rest of a refused body, which will not come.
            self._serving.cancel()

    @contextmanager
    def bound_to(self, grant: Grant) -> Iterator[None]:
        """Inside, the connection is cut when what lets it in ends."""
        forget = grant.on_end(self._cut)
        try:
            yield
        finally:
            forget()

    def _cut(self) -> None:
        if self._wire is not None:
            log.info("connection_cut_by_revocation")
            self._wire.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._arm()

    def resume_writing(self) -> None:
        self._disarm()
        super().resume_writing()

    async def start(self) -> None:
        """Serve requests until the connection is done; then unsent bytes have a deadline too."""
        self._serving = asyncio.current_task()
        try:
            await super().start()
        finally:
            self._arm()

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        # After a fault the parser cannot go on; reading goes on so that the client gets to see why.
        if not self._broken:
            super().data_received(data)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The reply to what could not be read as HTTP, or to a defect of ours; it closes the connection."""
        if isinstance(exc, ConnectionError):
            raise exc
        if request.writer.output_size > 0:
            raise ConnectionResetError("the reply had begun, so its failure can only end the connection")
        if not isinstance(exc, HttpProcessingError):
            log.error("http_reply_failed", status=status, exc_info=exc)
        response = problem_response(_unreadable(exc))
        response.force_close()
        return _Lingering(response, self)

    async def linger(self) -> None:
        """Take in what a refused client still sends, until it is quiet or its time is up."""
        self._broken, self._heard = True, self._loop.time()
        deadline = self._loop.time() + self._listener.timing.linger
        while self._wire is not None and (now := self._loop.time()) < deadline:
            if now - self._heard > QUIET_SECONDS:
                return
            await asyncio.sleep(QUIET_SECONDS / 2)

    def _arm(self) -> None:
        if self._guard is None and self._wire is not None:
            self._guard = self._loop.call_later(self._listener.timing.stall, self._give_up)

    def _disarm(self) -> None:
        if self._guard is not None:
            self._guard.cancel()
            self._guard = None

    def _give_up(self) -> None:
        self._guard = None
        if self._wire is not None:
            log.warning("client_stalled", stall_s=self._listener.timing.stall)
            self._wire.abort()


class _Lingering(web.Response):
    """A refusal to a client that may still be sending: closing at once would reset it before it reads."""

    def __init__(self, response: web.Response, connection: Connection) -> None:
        super().__init__(body=response.body, status=response.status, headers=response.headers)
        self._connection = connection
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        await self._connection.linger()


class Listener(web.Server):
    """Makes a ``Connection`` for each client. Beyond ``max_connections`` they are told so, beyond twice as many cut."""

    def __init__(self, answer: Answer, gate: Gate, *, max_connections: int, timing: Timing) -> None:
        super().__init__(
            answer,
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=timing.head,
            lingering_time=timing.linger,
            max_line_size=MAX_LINE_BYTES,
            max_field_size=MAX_LINE_BYTES,
            max_headers=MAX_HEADERS,
            tcp_keepalive=False,
        )
        self.timing = timing
        self.gate = gate
        self._max_connections = max_connections

    def __call__(self) -> Connection:
        return Connection(self, loop=self._loop, **self._kwargs)

    def admit(self, transport: asyncio.Transport) -> None:
        """Raises what every request of this connection is to be answered with."""
        self.gate.admit(transport)
        if len(self._connections) >= self._max_connections:
            raise TooManyConnectionsError(
                f"{self._max_connections} connections are open already; close some or raise rest.max_connections",
                operation=OPERATION,
            )

    @property
    def overrun(self) -> bool:
        """Whether there are too many connections even to be refused in words."""
        return len(self._connections) > 2 * self._max_connections

    def abort(self) -> None:
        """Cut every connection that is still there."""
        for transport in list(self._connections.values()):
            transport.abort()


def _unreadable(exc: BaseException | None) -> TeleclaudeError:
    if isinstance(exc, LineTooLong):
        return HeadTooLargeError(f"the request line or a header exceeds {MAX_LINE_BYTES} bytes", operation=OPERATION)
    if isinstance(exc, HttpProcessingError):
        first = str(exc.message).strip().partition("\n")[0][:200].rstrip(":")
        return MalformedError(f"the request is not valid HTTP: {first}", operation=OPERATION)
    return InternalError("the daemon met a defect of its own; its log has the trace", operation=OPERATION)
