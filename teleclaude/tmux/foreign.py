"""A tmux server that somebody else started and configured: sessions on it can be adopted, nothing else is touched."""

from __future__ import annotations

import asyncio
import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import InvalidError, NotFoundError, UnavailableError
from teleclaude.tasks import ProcessWatch, process_start_time, send_signal, watch_process
from teleclaude.tmux import launch
from teleclaude.tmux.inventory import ForeignPane, Inventory
from teleclaude.tmux.line import Line, TmuxCommand
from teleclaude.tmux.oneshot import SubprocessTransport
from teleclaude.tmux.protocol import Reply
from teleclaude.tmux.transport import Gone, ServerIdentity, tell

log = structlog.get_logger(__name__)

OWNER = "tmux-foreign"
_SOCKET_NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class ForeignServer:
    """An async context manager over a live server; entering raises ``UnavailableError`` when there is none.

    ``socket`` is a path, a name as for ``tmux -L``, or None for tmux's default. ``Panes`` takes it like a server of our
    own. A process of its own runs for each command, so that the user's list of clients stays as it is.
    """

    def __init__(
        self,
        *,
        directory: Path,
        tasks: Tasks,
        clock: Clock,
        socket: str | None = None,
        binary: str = "tmux",
        command_timeout: float = 5.0,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.directory = directory
        self.clock = clock
        self.socket = _socket(socket, environ)
        self._tasks = tasks
        self._timeout = command_timeout
        self._inventory = Inventory(self.socket, binary)
        self._transport = SubprocessTransport(
            [binary, "-u", "-N", "-S", str(self.socket)],
            env=launch.clean_environment(environ),
            timeout=command_timeout,
            tasks=tasks,
            clock=clock,
        )
        self._identity: ServerIdentity | None = None
        self._watch: ProcessWatch | None = None
        self._on_gone: list[Gone] = []

    async def __aenter__(self) -> Self:
        pid = await asyncio.to_thread(launch.server_pid, self.socket)
        start = process_start_time(pid) if pid is not None else None
        if pid is None or start is None:
            raise UnavailableError(f"no tmux server listens on {self.socket}", operation="tmux.adopt")
        self._identity = ServerIdentity(pid, start)
        self._watch = watch_process(pid, start)
        self._tasks.spawn(self._wait_for_end(self._watch, self._identity), name="watch", owner=self._owner)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Idempotent."""
        await self._tasks.cancel_owner(self._owner, timeout=2.0)
        if self._watch is not None:
            self._watch.close()
        await self._transport.aclose()

    @property
    def identity(self) -> ServerIdentity | None:
        """None once it has ended; a new one on the same socket is another ``ForeignServer``."""
        return self._identity

    def on_gone(self, callback: Gone) -> None:
        """Await ``callback`` with the identity when the server has ended."""
        self._on_gone.append(callback)

    async def find(self, target: str) -> ForeignPane:
        """The pane that ``target`` names: a pane id, a session id or a session's exact name (its active pane).

        Raises ``NotFoundError`` with the sessions that are there.
        """
        panes = await self._inventory.panes(self._timeout)
        for pane in panes:
            if target == pane.pane_id or (pane.active and target in (pane.session_id, pane.session_name)):
                return pane
        names = sorted({pane.session_name for pane in panes})
        raise NotFoundError(
            f"no tmux session or pane {target!r} on {self.socket}; there are: {', '.join(names) or 'none'}",
            operation="tmux.adopt",
        )

    async def run(self, *commands: TmuxCommand, timeout: float | None = None) -> list[Reply]:
        """See ``TmuxServer.run``."""
        (replies,) = await self.submit([commands], timeout)
        return replies

    async def submit(self, lines: Sequence[Line], timeout: float | None = None) -> list[list[Reply]]:
        """See ``Transport.submit``."""
        if self._identity is None:
            raise UnavailableError(f"the tmux server on {self.socket} has ended", operation=f"tmux.{lines[0][0].name}")
        return await self._transport.submit(lines, timeout)

    def recall_dead_children(self) -> None:
        """See ``TmuxServer.recall_dead_children``."""
        if self._identity is not None:
            send_signal(self._identity.pid, self._identity.start, signal.SIGCHLD)

    @property
    def _owner(self) -> str:
        return f"{OWNER} {self.socket}"

    async def _wait_for_end(self, watch: ProcessWatch, identity: ServerIdentity) -> None:
        await watch.wait()
        self._identity = None
        log.warning("foreign_tmux_server_gone", pid=identity.pid, socket=str(self.socket))
        await tell(self._on_gone, identity)


def _socket(socket: str | None, environ: Mapping[str, str]) -> Path:
    if socket is None:
        return launch.socket_path("default", environ)
    if socket.startswith("/"):
        return Path(socket)
    if not _SOCKET_NAME.fullmatch(socket):
        raise InvalidError(f"{socket!r} is neither an absolute path nor a tmux socket name", operation="tmux.adopt")
    return launch.socket_path(socket, environ)
