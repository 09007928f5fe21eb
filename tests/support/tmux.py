"""A private tmux server per test, reaped whatever the test did to it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shlex
import signal
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Literal

import pytest

from teleclaude.clock import SystemClock
from teleclaude.model import PaneIdentity
from teleclaude.tasks import TaskRegistry, process_start_time
from teleclaude.tmux import CreatePane, Panes, TmuxServer
from teleclaude.tmux.launch import server_pid, socket_path
from tests.support.wait import eventually

TransportName = Literal["control", "subprocess"]


class PrivateTmux:
    """One socket name of its own. ``servers`` may be opened on it one after the other, as by restarted daemons."""

    def __init__(self, directory: Path, transport: TransportName) -> None:
        self.directory = directory
        self.transport = transport
        self.socket_name = f"tc-test-{secrets.token_hex(6)}"
        self.socket = socket_path(self.socket_name, os.environ)
        self._pids: set[int] = set()

    @asynccontextmanager
    async def open(self, **options: Any) -> AsyncIterator[TmuxServer]:
        clock = SystemClock()
        settings: dict[str, Any] = {"transport": self.transport, "command_timeout": 5.0} | options
        async with (
            TaskRegistry(clock) as tasks,
            TmuxServer(
                directory=self.directory, tasks=tasks, clock=clock, socket_name=self.socket_name, **settings
            ) as server,
        ):
            await self.remember()
            try:
                yield server
            finally:
                await self.remember()

    async def remember(self) -> None:
        """Take down who listens now, so that ``reap`` finds it even without its socket."""
        pid = await asyncio.to_thread(server_pid, self.socket)
        if pid is not None:
            self._pids.add(pid)

    def tmux(self, *words: str) -> str:
        """A second opinion: tmux's own command line, without anything of ours."""
        argv = ["tmux", "-u", "-L", self.socket_name, *words]
        return subprocess.run(argv, capture_output=True, text=True, timeout=10, check=False).stdout

    async def reap(self) -> None:
        await self.remember()
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)
        await eventually(lambda: not any(map(process_start_time, self._pids)), timeout=10)
        self.socket.unlink(missing_ok=True)


@pytest.fixture
def transport() -> TransportName:
    """Overridden by parametrising; both ways to tmux must not differ."""
    return "control"


@pytest.fixture
async def private_tmux(tmp_path: Path, transport: TransportName) -> AsyncIterator[PrivateTmux]:
    private = PrivateTmux(tmp_path / "runtime", transport)
    yield private
    await private.reap()


@pytest.fixture
async def tmux_server(private_tmux: PrivateTmux) -> AsyncIterator[TmuxServer]:
    async with private_tmux.open() as server:
        yield server


@pytest.fixture
def panes(tmux_server: TmuxServer) -> Panes:
    return Panes(tmux_server)


class Recorded:
    """A pane whose raw output can be read, running ``command`` without a shell."""

    def __init__(self, identity: PaneIdentity, file: Path) -> None:
        self.identity = identity
        self.id = identity.pane_id
        self._file = file

    @property
    def output(self) -> bytes:
        return self._file.read_bytes() if self._file.exists() else b""

    async def shows(self, expected: bytes, timeout: float = 5) -> bytes:
        """Wait until the pane's output holds ``expected`` and answer all of it."""

        def seen() -> bool:
            assert expected in self.output, self.output[-500:]
            return True

        await eventually(seen, timeout)
        return self.output

    async def shows_after(self, before: int, expected: bytes, timeout: float = 5) -> bytes:
        """As ``shows``, of what comes after the first ``before`` bytes."""

        def seen() -> bool:
            assert expected in self.output[before:], self.output[before:][-500:]
            return True

        await eventually(seen, timeout)
        return self.output[before:]


async def start(panes: Panes, directory: Path, *command: str, name: str = "work", **fields: Any) -> Recorded:
    """Start ``command`` in a recorded pane."""
    file = directory / f"{name}-{secrets.token_hex(4)}.raw"
    request = CreatePane(
        session_id=f"id-{name}",
        name=name,
        command=command or None,
        cwd=str(directory),
        recorder_command=f"exec cat > {shlex.quote(str(file))}",
        **fields,
    )
    return Recorded(await panes.create(request), file)


RAW_CAT = ("/bin/sh", "-c", "stty raw -echo; printf READY; exec cat")
"""Answers every byte it is typed with that byte."""


async def start_raw(panes: Panes, directory: Path, name: str = "raw") -> Recorded:
    """A pane that gives back exactly the bytes it gets; its output begins with READY."""
    recorded = await start(panes, directory, *RAW_CAT, name=name)
    await recorded.shows(b"READY")
    return recorded
