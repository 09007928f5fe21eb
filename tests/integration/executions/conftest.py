"""One daemon per module; nothing runs when a test is over."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process


@pytest.fixture(scope="module")
def settings() -> Mapping[str, str]:
    """Settings of the module's daemon; a module may override them."""
    return {}


@pytest.fixture(scope="module")
def daemon(settings: Mapping[str, str]) -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process(settings)
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.socket) as opened:
        yield opened
        for execution in (await opened.get("/executions", params={"limit": "1000"}))["executions"]:
            if execution["completed_at"] is None:
                # Whatever these answer: it may wait for its turn, or be ending by itself.
                for verb, body in (("signal", {"signal": "KILL"}), ("cancel", None)):
                    async with opened.http.post(opened.url(f"/executions/{execution['id']}/{verb}"), json=body):
                        pass
                await opened.get(f"/executions/{execution['id']}", params={"wait_ms": "10000"})
