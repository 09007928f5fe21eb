"""What the tests of the Telegram adapter stand on."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from teleclaude_telegram import outbox, poll
from tests.integration.telegram.stage import Stage, stage


@pytest.fixture(autouse=True)
def _looks_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the sign of a topic waits for its time, what is said by these tests waits no quarter of a second."""
    monkeypatch.setattr(outbox, "LOOK_AGAIN_SECONDS", 0.03)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failure the server is asked again soon."""
    monkeypatch.setattr(outbox, "MAX_BACKOFF_SECONDS", 0.2)
    monkeypatch.setattr(poll, "MAX_BACKOFF_SECONDS", 0.2)


@pytest.fixture
async def room() -> AsyncIterator[Stage]:
    async with stage() as running:
        yield running


@pytest.fixture
def signs_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Titles and icons follow their sessions sooner."""
    monkeypatch.setattr(outbox, "SIGN_SECONDS", 0.6)
