"""The real client library against the fake."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import telegram
from telegram.request import HTTPXRequest

from teleclaude.testing.telegram import Chat, FakeBotApi, Person


@pytest.fixture(autouse=True)
def _new_style_durations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture
async def fake() -> AsyncIterator[FakeBotApi]:
    """Without limits of the rate, so that tests of other rules need not wait."""
    async with FakeBotApi(budgets=None) as fake:
        yield fake


def client(fake: FakeBotApi, token: str | None = None) -> telegram.Bot:
    """Nothing here is encrypted, and reading certificates takes longer than a test."""
    request = HTTPXRequest(httpx_kwargs={"verify": False})
    polls = HTTPXRequest(httpx_kwargs={"verify": False})
    return telegram.Bot(
        token or fake.token,
        base_url=fake.base_url,
        base_file_url=fake.base_file_url,
        request=request,
        get_updates_request=polls,
    )


@pytest.fixture
async def bot(fake: FakeBotApi) -> AsyncIterator[telegram.Bot]:
    async with client(fake) as bot:
        yield bot


@pytest.fixture
def ann(fake: FakeBotApi) -> Person:
    return fake.user(7, "Ann", "ann")


@pytest.fixture
def group(fake: FakeBotApi, ann: Person) -> Chat:
    return fake.add_forum("Work", members=[ann])


@pytest.fixture
def private(fake: FakeBotApi, ann: Person) -> Chat:
    return fake.private(ann)
