"""One daemon per module: tests share it and leave no session behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process


@pytest.fixture(scope="module", params=["control", "subprocess"])
def daemon(request: pytest.FixtureRequest) -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process({"TELECLAUDE_TMUX__TRANSPORT": request.param})
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.socket) as opened:
        yield opened
        for session in (await opened.get("/sessions"))["sessions"]:
            await opened.delete(f"/sessions/{session['id']}", params={"purge": "true"})
