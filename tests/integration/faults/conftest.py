"""One daemon per module for the faults that it and its tmux survive; the others have one of their own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process()
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    """Sessions end with the test, and so do those that it made by hand."""
    async with Client(daemon.socket) as opened:
        yield opened
        for session in (await opened.get("/sessions"))["sessions"]:
            await opened.delete(f"/sessions/{session['id']}", params={"purge": "true"})
        for name in daemon.tmux("list-sessions", "-F", "#{session_name}").splitlines():
            if name != "_teleclaude":
                daemon.tmux("kill-session", "-t", f"={name}")
