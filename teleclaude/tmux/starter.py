"""Finds the live tmux server or starts one; never a second one over a live one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import structlog

from teleclaude.errors import TeleclaudeError, UnavailableError
from teleclaude.tasks import run_bounded
from teleclaude.tmux import launch

log = structlog.get_logger(__name__)

_SCOPE_SECONDS = 3.0
_START_SECONDS = 5.0
_SOCKET_SECONDS = 1.0
_POLL_SECONDS = 0.02


class ServerStarter:
    """``argv`` is the tmux program with the options that choose the server, ``socket`` where that one listens."""

    def __init__(self, argv: Sequence[str], *, environ: Mapping[str, str], socket: Path, name: str) -> None:
        self.socket = socket
        self._argv = list(argv)
        self._environ = environ
        self._name = name

    async def ensure(self) -> int:
        """The pid of the live server, after starting one if there is none. Raises ``TeleclaudeError``."""
        pid = await asyncio.to_thread(launch.server_pid, self.socket)
        if pid is not None:
            return pid
        orphan = await asyncio.to_thread(launch.orphaned_server, self.socket)
        if orphan is not None:
            await self.revive(orphan)
            return orphan
        return await self._start()

    async def revive(self, pid: int) -> None:
        """Have server ``pid`` make its socket anew. Raises ``UnavailableError`` when it does not."""
        log.warning("tmux_socket_deleted", socket=str(self.socket), server_pid=pid)
        launch.restore_socket(pid)
        if await self._listening(_SOCKET_SECONDS) != pid:
            raise UnavailableError(
                f"tmux server {pid} lives, but its socket {self.socket} was deleted and does not come back; "
                f"end it with kill {pid} if its sessions may go",
                operation="tmux.start",
            )

    async def _start(self) -> int:
        argv = launch.start_argv(self._argv)
        if not await self._start_in_scope(argv):
            done = await run_bounded(argv, operation="tmux.start", timeout=_START_SECONDS, env=self._environ, cwd="/")
            if done.returncode != 0:
                words = done.stderr.decode(errors="replace").strip()
                raise UnavailableError(f"tmux cannot be started: {words}", operation="tmux.start")
        pid = await self._listening(_START_SECONDS)
        if pid is None:
            raise UnavailableError("tmux was started, but does not listen", operation="tmux.start")
        log.info("tmux_server_started", pid=pid)
        return pid

    async def _start_in_scope(self, argv: list[str]) -> bool:
        """Start it apart from our own unit where there is a user manager; False where there is none."""
        unit = f"teleclaude-tmux-{self._name}-{os.getpid()}"
        scoped = launch.scope_argv(argv, unit, self._environ)
        if scoped is None:
            return False
        try:
            done = await run_bounded(scoped, operation="tmux.start", timeout=_SCOPE_SECONDS, env=self._environ, cwd="/")
        except TeleclaudeError as error:
            log.info("tmux_scope_unavailable", error=str(error))
            return False
        return done.returncode == 0

    async def _listening(self, timeout: float) -> int | None:
        """The server's pid once its socket takes connections; None after ``timeout`` seconds."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        while True:
            pid = await asyncio.to_thread(launch.server_pid, self.socket)
            if pid is not None or loop.time() >= deadline:
                return pid
            await asyncio.sleep(_POLL_SECONDS)
