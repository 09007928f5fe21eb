"""Two computers with a directory each that has the same name on both; most tests share them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from teleclaude.testing.faultproxy import FaultProxy
from tests.integration.handoff.pair import HERE, RECORD, Pair, places, settings
from tests.support.fleet import running_fleet, shared_fleet
from tests.support.redis import redis_server

DELAY = 0.06
"""Between the source and Redis, each way, so that there is time between two steps."""


@pytest.fixture(scope="package")
def pair() -> Iterator[Pair]:
    with places() as folders:
        more = {name: settings(folder, folders[HERE] / RECORD) for name, folder in folders.items()}
        with shared_fleet(*folders, more=more) as fleet:
            yield Pair(fleet, folders)


@pytest.fixture
async def both(pair: Pair) -> AsyncIterator[Pair]:
    """With clients of this test's loop; its sessions end with it."""
    async with pair.clients():
        yield pair
        await pair.clear()


@pytest.fixture
async def slow() -> AsyncIterator[tuple[Pair, FaultProxy]]:
    """What the source sends to Redis goes through a proxy."""
    async with redis_server() as server, FaultProxy(server.socket) as proxy:
        with places() as folders:
            host, port = proxy.address
            more = {name: settings(folder, folders[HERE] / "prompts") for name, folder in folders.items()}
            more[HERE]["redis__url"] = f"redis://{host}:{port}/0"
            async with running_fleet(*folders, server=server, more=more) as fleet:
                pair = Pair(fleet, folders)
                async with pair.clients():
                    proxy.to_server.delay = proxy.to_client.delay = DELAY
                    yield pair, proxy
