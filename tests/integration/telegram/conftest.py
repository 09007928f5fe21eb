"""What the tests of the Telegram adapter stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.integration.telegram.stage import Stage, stage


@pytest.fixture
async def room() -> AsyncIterator[Stage]:
    async with stage() as running:
        yield running
