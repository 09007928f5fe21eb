"""What the tests of the HTTP surface stand on."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.integration.rest.served import Served, serve


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A directory whose path is short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="tc-") as path:
        yield Path(path)


@pytest.fixture
async def served(runtime: Path) -> AsyncIterator[Served]:
    async with serve(runtime) as running:
        yield running
