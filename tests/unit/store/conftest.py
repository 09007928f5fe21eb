from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleclaude.store import Database
from teleclaude.testing.clock import ManualClock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state/teleclaude.db"


@pytest.fixture
async def database(path: Path) -> AsyncIterator[Database]:
    async with Database(path, clock=ManualClock()) as database:
        yield database
