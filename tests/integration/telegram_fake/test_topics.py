"""Topics of forums and of private chats."""

from __future__ import annotations

from typing import Any

import pytest
import telegram
from telegram.error import BadRequest

from teleclaude.testing.telegram import Chat, FakeBotApi, Person


async def test_a_topic_and_its_messages(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    made = await bot.create_forum_topic(group.id, "build", icon_color=0x8EEE98)
    sent = await bot.send_message(group.id, "hi", message_thread_id=made.message_thread_id)
    assert (sent.message_thread_id, sent.is_topic_message) == (made.message_thread_id, True)
    assert sent.reply_to_message is not None
    assert sent.reply_to_message.forum_topic_created is not None
    await ann.says("ls", topic=made.message_thread_id)
    await ann.says("general")
    inside, outside = [update.message for update in await bot.get_updates()]
    assert inside is not None
    assert outside is not None
    assert (inside.message_thread_id, outside.message_thread_id) == (made.message_thread_id, None)


async def test_closing_and_opening(fake: FakeBotApi, bot: telegram.Bot, group: Chat) -> None:
    made = await bot.create_forum_topic(group.id, "build")
    thread = made.message_thread_id
    with pytest.raises(BadRequest, match="Topic_not_modified"):
        await bot.reopen_forum_topic(group.id, thread)
    await bot.close_forum_topic(group.id, thread)
    with pytest.raises(BadRequest, match="Topic_not_modified"):
        await bot.close_forum_topic(group.id, thread)
    with pytest.raises(BadRequest, match="Topic_closed"):
        await bot.send_message(group.id, "a", message_thread_id=thread)
    await bot.reopen_forum_topic(group.id, thread)
    await bot.edit_forum_topic(group.id, thread, name="built")
    with pytest.raises(BadRequest, match="Topic_not_modified"):
        await bot.edit_forum_topic(group.id, thread, name="built")
    assert fake.topic("built").id == thread
    await bot.delete_forum_topic(group.id, thread)
    assert not fake.topics()
    for call in (bot.close_forum_topic, bot.reopen_forum_topic, bot.delete_forum_topic):
        with pytest.raises(BadRequest, match="Topic_id_invalid"):
            await call(group.id, thread)
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(group.id, "a", message_thread_id=thread)


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"name": ""}, "Topic name must be non-empty"),
        ({"name": "x" * 129}, "Topic name is too long"),
        ({"name": "😀" * 65}, "Topic name is too long"),
        ({"name": "a", "icon_color": 1}, "Invalid forum topic icon color specified"),
        ({"name": "a", "icon_custom_emoji_id": "404"}, "Document_invalid"),
    ],
)
async def test_topics_that_are_refused(bot: telegram.Bot, group: Chat, arguments: dict[str, Any], refusal: str) -> None:
    with pytest.raises(BadRequest, match=refusal):
        await bot.create_forum_topic(group.id, **arguments)


async def test_rights_are_needed(fake: FakeBotApi, bot: telegram.Bot, group: Chat, private: Chat) -> None:
    made = await bot.create_forum_topic(group.id, "a")
    fake.demote_bot(group)
    with pytest.raises(BadRequest, match="Not enough rights to create a topic"):
        await bot.create_forum_topic(group.id, "b")
    with pytest.raises(BadRequest, match="Not enough rights"):
        await bot.close_forum_topic(group.id, made.message_thread_id)
    for chat in (fake.add_group("plain"), private):
        with pytest.raises(BadRequest, match="The chat is not a forum"):
            await bot.create_forum_topic(chat.id, "b")


async def test_icons(bot: telegram.Bot, group: Chat) -> None:
    stickers = await bot.get_forum_topic_icon_stickers()
    made = await bot.create_forum_topic(group.id, "a", icon_custom_emoji_id=stickers[0].custom_emoji_id)
    assert made.icon_custom_emoji_id == stickers[0].custom_emoji_id


async def test_the_general_topic(bot: telegram.Bot, group: Chat) -> None:
    await bot.close_general_forum_topic(group.id)
    with pytest.raises(BadRequest, match="Topic_not_modified"):
        await bot.close_general_forum_topic(group.id)
    with pytest.raises(BadRequest, match="Topic_closed"):
        await bot.send_message(group.id, "a")
    await bot.reopen_general_forum_topic(group.id)
    await bot.edit_general_forum_topic(group.id, "Lobby")
    await bot.hide_general_forum_topic(group.id)
    await bot.unhide_general_forum_topic(group.id)
    assert (await bot.send_message(group.id, "a")).message_thread_id is None


async def test_people_change_topics(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    topic = await ann.creates_topic("hers")
    await ann.closes_topic(topic)
    await ann.reopens_topic(topic)
    await ann.renames_topic(topic, "ours")
    seen = [update.message for update in await bot.get_updates()]
    assert all(message is not None and message.message_thread_id == topic.id for message in seen)
    created, closed, reopened, edited = seen
    assert created is not None
    assert created.forum_topic_created is not None
    assert closed is not None
    assert closed.forum_topic_closed is not None
    assert reopened is not None
    assert reopened.forum_topic_reopened is not None
    assert edited is not None
    assert edited.forum_topic_edited is not None
    await ann.deletes_topic(topic)
    with pytest.raises(BadRequest, match="Message thread not found"):
        await bot.send_message(group.id, "a", message_thread_id=topic.id)


async def test_private_chats_with_topics(fake: FakeBotApi, bot: telegram.Bot, private: Chat, ann: Person) -> None:
    fake.bot.topics = True
    assert (await bot.get_me()).has_topics_enabled
    made = await bot.create_forum_topic(private.id, "build")
    sent = await bot.send_message(private.id, "hi", message_thread_id=made.message_thread_id)
    assert sent.is_topic_message
    await ann.says("outside of all topics", chat=private)
    created, said = [update.message for update in await bot.get_updates()]
    assert created is not None
    assert said is not None
    assert created.forum_topic_created is not None
    assert said.message_thread_id == created.message_id
