"""Budgets and 429."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
import telegram
from telegram.error import BadRequest, RetryAfter

from teleclaude.testing import ManualClock
from teleclaude.testing.telegram import Budgets, FakeBotApi, Window, busiest
from tests.integration.telegram_fake.conftest import client


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def fake(clock: ManualClock) -> AsyncIterator[FakeBotApi]:
    async with FakeBotApi(clock=clock) as fake:
        yield fake


def seconds(error: pytest.ExceptionInfo[RetryAfter]) -> float:
    wait = error.value.retry_after
    return wait if isinstance(wait, int) else wait.total_seconds()


async def test_one_message_a_second(fake: FakeBotApi, bot: telegram.Bot, clock: ManualClock) -> None:
    group, other = fake.add_forum(), fake.add_forum("other")
    await bot.send_message(group.id, "1")
    await bot.send_message(other.id, "another chat is not slowed")
    with pytest.raises(RetryAfter) as caught:
        await bot.send_message(group.id, "2")
    assert seconds(caught) == 1
    await clock.advance(0.5)
    with pytest.raises(RetryAfter):
        await bot.send_message(group.id, "3")
    assert [call.params["text"] for call in fake.recorder.early] == ["3"]
    await clock.advance(2)
    await bot.send_message(group.id, "4")


async def test_twenty_a_minute_in_a_group_whatever_they_are(
    fake: FakeBotApi, bot: telegram.Bot, clock: ManualClock
) -> None:
    group = fake.add_forum()
    topic = await bot.create_forum_topic(group.id, "a")
    await clock.advance(1)
    sent = await bot.send_message(group.id, "0", message_thread_id=topic.message_thread_id)
    for number in range(1, 9):
        await clock.advance(1)
        await bot.edit_message_text(str(number), group.id, sent.message_id)
        await clock.advance(1)
        with pytest.raises(BadRequest):
            await bot.edit_message_text(str(number), group.id, sent.message_id)
    await clock.advance(1)
    await bot.close_forum_topic(group.id, topic.message_thread_id)
    await clock.advance(1)
    await bot.reopen_forum_topic(group.id, topic.message_thread_id)
    await clock.advance(1)
    assert fake.bot.ledger.used(group.id, clock.monotonic()) == 20
    with pytest.raises(RetryAfter) as caught:
        await bot.send_message(group.id, "one too many")
    assert seconds(caught) == 60 - 20
    for _ in range(5):
        await bot.send_chat_action(group.id, "typing")
    await clock.advance(41)
    await bot.send_message(group.id, "again")
    assert not fake.recorder.early
    assert busiest([call.at_ms for call in fake.calls(chat=group) if call.method != "sendChatAction"], 60) == 21


async def test_a_private_chat_has_no_budget_of_a_minute(
    fake: FakeBotApi, bot: telegram.Bot, clock: ManualClock
) -> None:
    private = fake.private(fake.user(7))
    for number in range(40):
        await bot.send_message(private.id, str(number))
        await clock.advance(1)


async def test_thirty_a_second_in_all(clock: ManualClock) -> None:
    budgets = Budgets(chat=Window(100, 1), bot=Window(30, 1))
    async with FakeBotApi(clock=clock, budgets=budgets) as fake, client(fake) as bot:
        private = fake.private(fake.user(7))
        for number in range(30):
            await bot.send_message(private.id, str(number))
        with pytest.raises(RetryAfter):
            await bot.send_message(private.id, "31")


async def test_a_ban_ends_by_itself(fake: FakeBotApi, bot: telegram.Bot, clock: ManualClock) -> None:
    group = fake.add_forum()
    fake.ban(group, 300)
    with pytest.raises(RetryAfter) as caught:
        await bot.send_message(group.id, "a")
    assert seconds(caught) == 300
    await clock.advance(301)
    await bot.send_message(group.id, "a")


async def test_a_flood_on_demand(fake: FakeBotApi, bot: telegram.Bot) -> None:
    group = fake.add_forum()
    fault = fake.flood(17, method="sendMessage", chat=group)
    with pytest.raises(RetryAfter) as caught:
        await bot.send_message(group.id, "a")
    assert (seconds(caught), fault.met) == (17, 1)
    await bot.send_message(group.id, "a")


async def test_ten_minutes_pass_at_once(fake: FakeBotApi, bot: telegram.Bot, clock: ManualClock) -> None:
    """A sender that keeps four seconds apart, and polls beside it, is never refused."""
    group = fake.add_forum()

    async def send() -> None:
        for number in range(100):
            await bot.send_message(group.id, str(number))
            await clock.sleep(4)

    async def poll() -> None:
        while clock.monotonic() < 400:
            await bot.get_updates(timeout=10)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send())
        tasks.create_task(poll())
        await fake.pass_time(600, step=2)
    assert len(fake.messages()) == 100
    assert 400 <= (fake.messages()[-1].date - fake.messages()[0].date) + 4 <= 410
    assert not fake.calls(ok=False)
    assert fake.recorder.empty_polls >= 39
