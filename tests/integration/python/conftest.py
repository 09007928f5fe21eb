from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.python import Driven, Sessions, sessions_in


@pytest.fixture
async def sessions(tmp_path: Path) -> AsyncIterator[Sessions]:
    async with sessions_in(tmp_path) as running:
        yield running


@pytest.fixture
async def python(sessions: Sessions) -> Driven:
    return await sessions.start()
