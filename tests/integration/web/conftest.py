"""One browser and one daemon for the tests of a module, all of which run on one loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio
from playwright.async_api import Browser

from tests.integration.web.visitor import Visitor, open_browser, visit
from tests.support.daemon import Client
from tests.support.outside import Outside, outside_daemon


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def outside() -> AsyncIterator[Outside]:
    # One thread from the start: one that the loop begins in the middle of a test would look like left behind by it.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
    await asyncio.to_thread(int)
    async with outside_daemon() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser(outside: Outside) -> AsyncIterator[Browser]:
    async with open_browser() as opened:
        async with visit(opened, outside.base) as first:
            await first.load()  # what the browser starts once and keeps is not left behind by a test
            await first.sees("#signin")
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def client(outside: Outside) -> AsyncIterator[Client]:
    async with Client(outside.daemon.socket) as opened:
        yield opened
        for session in (await opened.get("/sessions"))["sessions"]:
            await opened.delete(f"/sessions/{session['id']}", params={"purge": "true", "grace_ms": "0"})


@pytest_asyncio.fixture(loop_scope="module")
async def visitor(browser: Browser, outside: Outside, client: Client) -> AsyncIterator[Visitor]:
    async with visit(browser, outside.base) as opened:
        yield opened
        opened.check(outside.token)


@pytest_asyncio.fixture(loop_scope="module")
async def owner(visitor: Visitor, outside: Outside) -> Visitor:
    """Signed in with the owner's token."""
    await visitor.sign_in(outside.token)
    return visitor


@pytest.fixture
def port() -> int:
    """A port that stays the same when the daemon is started again."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])
