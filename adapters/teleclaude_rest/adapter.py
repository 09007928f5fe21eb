"""The adapter: one unix socket, always, and a TCP socket when asked for."""

from __future__ import annotations

import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import structlog

from teleclaude.api import AdapterContext, Check
from teleclaude.errors import UnavailableError
from teleclaude_rest.gate import Gate, TcpGate, UnixGate, own_names, own_origins
from teleclaude_rest.openapi import Description
from teleclaude_rest.pages import PAGES
from teleclaude_rest.router import Router
from teleclaude_rest.routes import ROUTES
from teleclaude_rest.server import Server
from teleclaude_rest.surface import Surface, Timing
from teleclaude_rest.tcp import loopback_socket
from teleclaude_rest.unixsocket import is_present, private_socket

log = structlog.get_logger(__name__)

SOCKET_NAME = "teleclaude.sock"


class RestAdapter:
    """Implements ``teleclaude.api.Adapter``.

    Entering raises ``TeleclaudeError`` when the unix socket cannot be had. Without the TCP socket it serves all the
    same, so that the owner can be told; the check says why.
    """

    name = "rest"

    def __init__(self, context: AdapterContext, timing: Timing | None = None) -> None:
        self._context = context
        self._surface = Surface(context, timing or Timing(), Description(ROUTES))
        self._server = Server(self._surface, Router((*ROUTES, *PAGES)))
        self._stack = AsyncExitStack()
        self._address: str | None = None
        self._tcp_failure: str | None = None

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._context.runtime_dir / SOCKET_NAME

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            sock = await stack.enter_async_context(private_socket(self.path))
            tcp = self._open_tcp(stack)
            stack.push_async_callback(self._server.aclose)
            await self._server.listen(sock, UnixGate())
            if tcp is not None:
                await self._server.listen(*tcp)
            self._stack = stack.pop_all()
        log.info("rest_listening", path=str(self.path), tcp=self._address)
        return self

    def _open_tcp(self, stack: AsyncExitStack) -> tuple[socket.socket, Gate] | None:
        settings = self._context.settings
        if settings.listen is None:
            return None
        try:
            sock, host, port = stack.enter_context(loopback_socket(settings.listen))
        except UnavailableError as error:
            self._tcp_failure = error.detail
            log.warning("rest_tcp_failed", listen=settings.listen, error=error.detail)
            return None
        self._address = f"{host}:{port}"
        hosts = own_names(host, port) if settings.allowed_hosts is None else settings.allowed_hosts
        origins = own_origins(hosts) if settings.allowed_origins is None else settings.allowed_origins
        return sock, TcpGate(hosts, origins, self._context.hub.authenticate)

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def check(self) -> Check:
        if not self._server.listening:
            return Check(ok=False, detail="not listening")
        if not is_present(self.path):
            return Check(ok=False, detail=f"the socket {self.path} is gone; restart the daemon")
        if self._tcp_failure is not None:
            return Check(ok=False, detail=self._tcp_failure)
        places = [str(self.path), *([f"http://{self._address}"] if self._address else [])]
        return Check(ok=True, detail=f"listening at {' and '.join(places)}")


def adapter(context: AdapterContext) -> RestAdapter:
    """The factory that the entry point names."""
    return RestAdapter(context)
