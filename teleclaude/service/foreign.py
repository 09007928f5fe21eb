"""The user's own tmux servers that sessions were adopted from: one connection for each, opened when it is needed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.service.settings import Settings
from teleclaude.tmux import ForeignServer


class ForeignServers:
    """Owns the connections; ``keep_only`` and ``aclose`` let go of them, and of nothing that runs on the servers."""

    def __init__(self, *, directory: Path, settings: Settings, tasks: Tasks, clock: Clock) -> None:
        self._directory = directory
        self._settings = settings
        self._tasks = tasks
        self._clock = clock
        self._open: dict[str, ForeignServer] = {}
        self._opening = asyncio.Lock()
        self._on_gone: list[Callable[[str], Awaitable[None]]] = []

    def on_gone(self, callback: Callable[[str], Awaitable[None]]) -> None:
        """Await ``callback`` with the socket's path when a server has ended."""
        self._on_gone.append(callback)

    async def reach(self, socket: str | None) -> ForeignServer:
        """The server on ``socket`` (a path, a name, None for tmux's default) as it is now.

        Raises ``UnavailableError`` when there is none and ``InvalidError`` for what is no socket.
        """
        tmux = self._settings.current.tmux
        server = ForeignServer(
            directory=self._directory,
            tasks=self._tasks,
            clock=self._clock,
            socket=socket,
            binary=tmux.binary,
            command_timeout=tmux.command_timeout_ms / 1000,
        )
        path = str(server.socket)
        async with self._opening:
            known = self._open.get(path)
            if known is not None and known.identity is not None:
                return known
            await self._drop(path)
            await server.__aenter__()
            server.on_gone(lambda _identity: self._gone(path))
            self._open[path] = server
            return server

    async def keep_only(self, sockets: Collection[str]) -> None:
        """Let go of servers on other sockets than these."""
        async with self._opening:
            for path in set(self._open) - set(sockets):
                await self._drop(path)

    async def aclose(self) -> None:
        """Idempotent."""
        await self.keep_only(())

    async def _drop(self, path: str) -> None:
        server = self._open.pop(path, None)
        if server is not None:
            await server.aclose()

    async def _gone(self, path: str) -> None:
        for callback in self._on_gone:
            await callback(path)
