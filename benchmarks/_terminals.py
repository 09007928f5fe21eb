"""A private tmux server with sessions on it, gone afterwards."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from teleclaude.clock import SystemClock
from teleclaude.model import PaneIdentity
from teleclaude.tasks import TaskRegistry
from teleclaude.tmux import CreatePane, Panes, TmuxServer


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
