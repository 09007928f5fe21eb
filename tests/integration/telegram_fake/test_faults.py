"""Trouble on demand."""

from __future__ import annotations

import time

import pytest
import telegram
from telegram.error import NetworkError, TimedOut

from teleclaude.testing.telegram import Chat, FakeBotApi


@pytest.mark.parametrize("code", [500, 502, 504])
async def test_a_server_that_fails(fake: FakeBotApi, bot: telegram.Bot, group: Chat, code: int) -> None:
    fake.fail(code, times=2, method="sendMessage")
    for _ in range(2):
        with pytest.raises(NetworkError):
            await bot.send_message(group.id, "a")
    await bot.send_message(group.id, "b")
    assert [message.text for message in fake.messages()] == ["b"]


async def test_a_connection_cut_after_the_message_was_taken(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    fake.cut(done=True)
    with pytest.raises(NetworkError):
        await bot.send_message(group.id, "kept")
    fake.cut(done=False)
    with pytest.raises(NetworkError):
        await bot.send_message(group.id, "lost")
    assert [message.text for message in fake.messages()] == ["kept"]
    assert [call.status for call in fake.calls("sendMessage")] == [0, 0]


async def test_an_answer_that_does_not_come(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    fake.delay(30)
    begun = time.monotonic()
    with pytest.raises(TimedOut):
        await bot.send_message(group.id, "a", read_timeout=0.2)
    assert time.monotonic() - begun < 5
    assert not fake.messages()


async def test_an_outage(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    fake.outage(on=True)
    with pytest.raises(NetworkError):
        await bot.send_message(group.id, "a")
    fake.outage(on=False)
    await bot.send_message(group.id, "b")


async def test_a_message_that_lands_elsewhere(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    topic = await bot.create_forum_topic(group.id, "build")
    fake.misplace()
    sent = await bot.send_message(group.id, "a", message_thread_id=topic.message_thread_id)
    assert sent.message_thread_id is None
    again = await bot.send_message(group.id, "b", message_thread_id=topic.message_thread_id)
    assert again.message_thread_id == topic.message_thread_id


async def test_faults_choose_their_calls(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    other = fake.add_forum("other")
    fault = fake.fail(chat=other, times=None)
    await bot.send_message(group.id, "a")
    for _ in range(3):
        with pytest.raises(NetworkError):
            await bot.send_message(other.id, "a")
    fault.end()
    await bot.send_message(other.id, "a")
    assert fault.met == 3
