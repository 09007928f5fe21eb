"""A private tmux server with sessions on it, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from teleclaude.clock import SystemClock
from teleclaude.model import PaneIdentity
from teleclaude.tasks import TaskRegistry
from teleclaude.tmux import CreatePane, Panes, TmuxServer
from tests.support.daemon import Client, DaemonProcess, daemon_process

RAW_CAT = ("/bin/sh", "-c", "stty raw -echo; exec cat")


@dataclass(frozen=True, slots=True)
class Terminals:
    """``argv`` is what a person types to reach the same server, without a command; ``environ`` goes with it."""

    server: TmuxServer
    panes: Panes
    argv: list[str]
    environ: dict[str, str]

    async def create(self, count: int, program: tuple[str, ...] = ("cat",)) -> list[PaneIdentity]:
        """``count`` sessions more, their output recorded to nowhere."""
        known = len(await self.panes.list_panes())
        requests = [
            CreatePane(
                session_id=f"bench-{number}",
                name=f"bench-{number}",
                command=program,
                cwd="/",
                recorder_command="exec cat >/dev/null",
            )
            for number in range(known, known + count)
        ]
        return [await self.panes.create(request) for request in requests]


@asynccontextmanager
async def terminals() -> AsyncIterator[Terminals]:
    home = Path(tempfile.mkdtemp(prefix="tc-bench-"))
    environ = {**os.environ, "TMUX_TMPDIR": str(home)}
    clock = SystemClock()
    try:
        async with (
            TaskRegistry(clock) as tasks,
            TmuxServer(
                directory=home, tasks=tasks, clock=clock, socket_name="bench", command_timeout=30.0, environ=environ
            ) as server,
        ):
            try:
                yield Terminals(server, Panes(server), ["tmux", "-L", "bench"], environ)
            finally:
                await server.kill()
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)


@asynccontextmanager
async def daemon(environ: Mapping[str, str] | None = None) -> AsyncIterator[tuple[DaemonProcess, Client]]:
    """A daemon of its own that takes 200 sessions."""
    settings = {"TELECLAUDE_SESSIONS__MAX": "200", **(environ or {})}
    async with daemon_process(settings) as process, Client(process.socket) as client:
        yield process, client


def cpu_seconds(process: psutil.Process) -> float:
    """What it used of a processor so far."""
    times = process.cpu_times()
    return float(times.user + times.system)
