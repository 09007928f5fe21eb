"""Two computers with a directory each that has the same name on both; the tests of a module share them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.handoff.pair import HERE, RECORD, Pair, places, settings
from tests.support.fleet import shared_fleet


@pytest.fixture(scope="module")
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
