"""The adapter: one unix socket, always."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import structlog

from teleclaude.api import AdapterContext, Check
from teleclaude.errors import UnavailableError
from teleclaude_rest.openapi import Description
from teleclaude_rest.router import Router
from teleclaude_rest.routes import ROUTES
from teleclaude_rest.server import Server
from teleclaude_rest.surface import Surface, Timing
from teleclaude_rest.unixsocket import OPERATION, is_present, private_socket

log = structlog.get_logger(__name__)

SOCKET_NAME = "teleclaude.sock"


class RestAdapter:
    """Implements ``teleclaude.api.Adapter``.

    Entering raises ``TeleclaudeError`` when the socket cannot be had, or when ``rest.listen`` asks for TCP.
    """

    name = "rest"

    def __init__(self, context: AdapterContext, timing: Timing | None = None) -> None:
        self._context = context
        self._surface = Surface(context, timing or Timing(), Description(ROUTES))
        self._server = Server(self._surface, Router(ROUTES))
        self._stack = AsyncExitStack()

    @property
    def path(self) -> Path:
        """Where it listens."""
        return self._context.runtime_dir / SOCKET_NAME

    async def __aenter__(self) -> Self:
        if self._context.settings.listen is not None:
            raise UnavailableError("rest.listen is not offered yet; remove it from the config", operation=OPERATION)
        async with AsyncExitStack() as stack:
            sock = await stack.enter_async_context(private_socket(self.path))
            stack.push_async_callback(self._server.aclose)
            await self._server.listen(sock)
            self._stack = stack.pop_all()
        log.info("rest_listening", path=str(self.path))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def check(self) -> Check:
        if not self._server.listening:
            return Check(ok=False, detail="not listening")
        if not is_present(self.path):
            return Check(ok=False, detail=f"the socket {self.path} is gone; restart the daemon")
        return Check(ok=True, detail=f"listening at {self.path}")


def adapter(context: AdapterContext) -> RestAdapter:
    """The factory that the entry point names."""
    return RestAdapter(context)
