"""One daemon for the tests of a module; each test leaves it as it was."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.contract.api import Api
from tests.support.outside import Outside, shared_outside_daemon


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon() as outside:
        yield outside


@pytest.fixture
async def api(outside: Outside) -> AsyncIterator[Api]:
    async with Api(outside.daemon.socket) as api:
        yield api
        await api.clean()
