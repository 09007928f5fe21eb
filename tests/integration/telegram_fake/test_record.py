"""The record: a text to read, and an incident to play again."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
import telegram
from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from teleclaude.testing.telegram import FakeBotApi, Incident
from tests.integration.telegram_fake.conftest import client

PRESS = InlineKeyboardMarkup(
    [[InlineKeyboardButton("Yes", callback_data="y"), InlineKeyboardButton("No", callback_data="n")]]
)


async def serve_one(bot: telegram.Bot) -> None:
    """A small bot: it asks back whatever it is told, and says which button was pressed."""
    offset = 0
    while True:
        for update in await bot.get_updates(offset=offset, timeout=10):
            offset = update.update_id + 1
            if update.message is not None and update.message.text:
                thread = update.message.message_thread_id
                await bot.send_message(
                    update.message.chat.id,
                    f"Run {update.message.text}?\nSure?",
                    message_thread_id=thread,
                    reply_markup=PRESS,
                )
            elif update.callback_query is not None:
                await update.callback_query.answer("taken")
                await update.callback_query.edit_message_text(f"pressed {update.callback_query.data}")
                return


async def test_an_incident_is_played_again(fake: FakeBotApi, bot: telegram.Bot, tmp_path: Path) -> None:
    ann = fake.user(7, "Ann")
    group = fake.add_forum("Work", members=[ann])
    topic = await bot.create_forum_topic(group.id, "build")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve_one(bot))
        await ann.says("make", topic=topic.message_thread_id)
        fake.fail(500, method="getMe")
        await fake.until(lambda: fake.messages(button="Yes"))
        tap = await ann.presses("No")
        await fake.until(lambda: tap.answer)
    path = tmp_path / "incident.jsonl"
    await asyncio.to_thread(fake.save, path)
    said = fake.transcript()
    for line in (
        "teleclaude makes the topic “build”",
        "Ann → build: make",
        "teleclaude → build: Run make?",
        "          Sure?",
        "          [Yes] [No]",
        "Ann presses [No]",
        "teleclaude answers the tap: taken",
        "teleclaude edits 4: pressed n",
    ):
        assert line in said

    incident = await asyncio.to_thread(Incident.load, path)
    async with FakeBotApi(budgets=None) as second, client(second) as again:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_prepared(second, again))
            await incident.play(second, hurry=True)
        assert [message.text for message in second.messages()] == ["pressed n"]
        assert [call["method"] for call in incident.calls] == [call.method for call in second.calls()]


async def _prepared(fake: FakeBotApi, bot: telegram.Bot) -> None:
    group = await fake.until(lambda: next(iter(fake.world.groups.values())) if fake.world.groups else None)
    assert group is not None
    await bot.create_forum_topic(group.id, "build")
    await serve_one(bot)


@pytest.mark.parametrize("row", ["[]", '{"kind": "user"}', "nonsense"])
async def test_a_file_that_is_no_incident(tmp_path: Path, row: str) -> None:
    path = tmp_path / "x.jsonl"
    await asyncio.to_thread(path.write_text, row)
    with pytest.raises(ValueError, match=r"x\.jsonl:1|Expecting value"):
        await asyncio.to_thread(Incident.load, path)


async def test_deeds_that_are_unknown(fake: FakeBotApi) -> None:
    actor = {"user_id": 7, "name": "Ann", "username": None}
    for row in (
        {"kind": "user", "action": "_post", "actor": actor, "args": {}},
        {"kind": "user", "action": "flies", "actor": actor, "args": {}},
        {"kind": "world", "action": "ends", "args": {}},
        {"kind": "x", "args": {}},
    ):
        with pytest.raises(ValueError, match=r"know|has no"):
            await Incident(({"at_ms": 0, **row},)).play(fake)


async def test_waiting_in_vain_shows_what_was_said(fake: FakeBotApi) -> None:
    ann = fake.user(7, "Ann")
    fake.private(ann)
    await ann.says("hello")
    with pytest.raises(TimeoutError, match=r"Ann → private chat: hello"):
        await fake.until(lambda: fake.messages("never"), timeout=0.05)


async def test_the_record_is_json(fake: FakeBotApi, bot: telegram.Bot) -> None:
    group = fake.add_forum()
    await bot.send_document(group.id, b"abc", filename="a.txt")
    rows = [json.loads(line) for line in fake.recorder.lines()]
    call = next(row for row in rows if row.get("method") == "sendDocument")
    assert call["params"]["document"] == {"file": "a.txt", "bytes": 3} or "a.txt" in json.dumps(call["params"])
