"""Updates: their order, their confirmation, and who gets them."""

from __future__ import annotations

import asyncio

import pytest
import telegram
from telegram.error import Conflict

from teleclaude.testing import ManualClock
from teleclaude.testing.telegram import Chat, FakeBotApi, Person
from tests.integration.telegram_fake.conftest import client
from tests.support.wait import eventually


async def test_updates_stay_until_an_offset_confirms_them(bot: telegram.Bot, group: Chat, ann: Person) -> None:
    for word in ("one", "two", "three"):
        await ann.says(word)
    first = await bot.get_updates(limit=2)
    assert [update.message and update.message.text for update in first] == ["one", "two"]
    assert await bot.get_updates(limit=2) == first
    (last,) = await bot.get_updates(offset=first[-1].update_id + 1)
    assert last.message is not None
    assert last.message.text == "three"
    assert await bot.get_updates(offset=last.update_id + 1) == ()


async def test_a_long_poll_ends_with_the_first_update(
    fake: FakeBotApi, bot: telegram.Bot, ann: Person, group: Chat
) -> None:
    async with asyncio.TaskGroup() as group_of_tasks:
        poll = group_of_tasks.create_task(bot.get_updates(timeout=20))
        await eventually(fake.polling)
        await ann.says("now")
    assert len(poll.result()) == 1


async def test_a_confirmation_can_be_waited_for(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    await ann.says("a")
    (update,) = await bot.get_updates()

    async def confirm() -> None:
        await fake.until(fake.polling)
        await ann.says("b")

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(confirm())
        tasks.create_task(bot.get_updates(offset=update.update_id + 1, timeout=20))
        await fake.until(lambda: fake.bot.updates.confirmed >= update.update_id)


async def test_a_long_poll_ends_by_the_clock() -> None:
    clock = ManualClock()
    async with FakeBotApi(clock=clock) as fake, client(fake) as bot, asyncio.TaskGroup() as tasks:
        poll = tasks.create_task(bot.get_updates(timeout=30))
        await eventually(fake.polling)
        await clock.advance(29)
        assert fake.polling()
        await clock.advance(2)
        assert await poll == ()
        assert fake.recorder.empty_polls == 1


async def test_a_second_poller_ends_the_first(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    async def first() -> None:
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await bot.get_updates(timeout=20)

    async with client(fake) as rival, asyncio.TaskGroup() as tasks:
        refused = tasks.create_task(first())
        await eventually(fake.polling)
        other = tasks.create_task(rival.get_updates(timeout=20))
        await refused
        await eventually(fake.polling)
        await ann.says("a")
        assert len(await other) == 1


async def test_a_poller_that_hung_up_leaves_no_slot_taken(fake: FakeBotApi, bot: telegram.Bot) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await bot.get_updates(timeout=20)
    await eventually(lambda: not fake.polling())


async def test_a_second_poller_on_demand(fake: FakeBotApi, bot: telegram.Bot) -> None:
    rival = fake.second_poller()
    for _ in range(2):
        with pytest.raises(Conflict):
            await bot.get_updates()
    rival.end()
    assert await bot.get_updates() == ()
    assert rival.met == 2


async def test_a_webhook_and_polls_exclude_each_other(bot: telegram.Bot, group: Chat, ann: Person) -> None:
    with pytest.raises(telegram.error.BadRequest, match="https"):
        await bot.set_webhook("http://a.example")
    await bot.set_webhook("https://a.example")
    with pytest.raises(Conflict, match="webhook is active"):
        await bot.get_updates()
    await ann.says("a")
    assert (await bot.get_webhook_info()).pending_update_count == 1
    await bot.delete_webhook(drop_pending_updates=True)
    assert await bot.get_updates() == ()


async def test_kinds_of_updates_are_remembered(bot: telegram.Bot, group: Chat, ann: Person) -> None:
    message = await ann.says("a")
    await ann.reacts(message, "👍")
    assert [update.message_reaction for update in await bot.get_updates()] == [None]
    await bot.get_updates(allowed_updates=["message_reaction"])
    await ann.says("unheard")
    await ann.reacts(message, "🔥")
    updates = await bot.get_updates()
    reaction = updates[-1].message_reaction
    assert reaction is not None
    assert [kind.to_dict()["emoji"] for kind in (*reaction.old_reaction, *reaction.new_reaction)] == ["👍", "🔥"]
    assert [update.message and update.message.text for update in updates] == ["a", None]
    assert updates[-1].update_id - updates[-2].update_id == 3


async def test_updates_come_twice_and_in_any_shape(
    fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person
) -> None:
    await ann.says("a")
    (update,) = await bot.get_updates()
    assert await bot.get_updates(offset=update.update_id + 1) == ()
    fake.bot.updates.repeat()
    assert await bot.get_updates(offset=update.update_id + 1) == (update,)
    fake.bot.updates.skip(10)
    fake.inject({"update_id": update.update_id + 20, "never_heard_of": {"a": 1}})
    (odd,) = await bot.get_updates(offset=update.update_id + 1)
    assert odd.api_kwargs["never_heard_of"] == {"a": 1}


async def test_old_updates_are_dropped_after_a_day() -> None:
    clock = ManualClock()
    async with FakeBotApi(clock=clock) as fake, client(fake) as bot:
        ann = fake.user(7)
        fake.private(ann)
        await ann.says("old")
        await clock.advance(23 * 3600)
        await ann.says("new")
        await clock.advance(2 * 3600)
        assert [update.message and update.message.text for update in await bot.get_updates()] == ["new"]


async def test_a_tap_cannot_be_answered_for_ever() -> None:
    clock = ManualClock()
    async with FakeBotApi(clock=clock) as fake, client(fake) as bot:
        ann = fake.user(7)
        markup = telegram.InlineKeyboardMarkup([[telegram.InlineKeyboardButton("Yes", callback_data="y")]])
        await bot.send_message(fake.private(ann).id, "Well?", reply_markup=markup)
        tap = await ann.presses("Yes")
        await clock.advance(601)
        with pytest.raises(telegram.error.BadRequest, match="too old"):
            await bot.answer_callback_query(tap.id)


async def test_each_bot_has_updates_of_its_own(fake: FakeBotApi, bot: telegram.Bot, ann: Person) -> None:
    second = fake.add_bot("second_bot")
    group = fake.add_forum("Both", members=[ann])
    async with client(fake, second.token) as other:
        await other.send_message(group.id, "from the second")
        await ann.says("to both", chat=group)
        assert [len(await each.get_updates()) for each in (bot, other)] == [1, 1]
        sent = group.messages[max(group.messages) - 1]
        with pytest.raises(telegram.error.BadRequest, match="Message can't be edited"):
            await bot.edit_message_text("x", group.id, sent.id)


async def test_privacy_mode(fake: FakeBotApi, bot: telegram.Bot, ann: Person) -> None:
    group = fake.add_group("plain", members=[ann])
    mine = await bot.send_message(group.id, "a")
    for text in ("unheard", "/ls", "hello @teleclaude_bot"):
        await ann.says(text, chat=group)
    await ann.says("an answer", chat=group, reply_to=mine.message_id)
    heard = [update.message and update.message.text for update in await bot.get_updates()]
    assert heard == ["/ls", "hello @teleclaude_bot", "an answer"]


async def test_what_people_do_comes_as_telegram_tells_it(
    fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person
) -> None:
    said = await ann.says("/new build now", ago=600)
    await ann.edits(said, "/kill build")
    await ann.says("who am I", anonymous=True)
    bob = fake.user(8, "Bob")
    await bob.joins(group)
    origin = {"type": "user", "date": 1, "sender_user": {"id": 9, "is_bot": False, "first_name": "Eve"}}
    await bob.says("rm -rf", extra={"forward_origin": origin})
    updates = await bot.get_updates()
    new, edited, hidden, joined, forwarded = updates
    assert new.message is not None
    assert (new.message.date - new.message.date.now(new.message.date.tzinfo)).total_seconds() < -598
    assert new.message.parse_entities(["bot_command"]) == {new.message.entities[0]: "/new"}
    assert edited.edited_message is not None
    assert edited.edited_message.text == "/kill build"
    assert hidden.message is not None
    assert hidden.message.sender_chat is not None
    assert hidden.message.from_user is not None
    assert hidden.message.from_user.username == "GroupAnonymousBot"
    assert joined.message is not None
    assert [user.id for user in joined.message.new_chat_members] == [8]
    assert forwarded.message is not None
    assert isinstance(forwarded.message.forward_origin, telegram.MessageOriginUser)


async def test_a_block_is_told(fake: FakeBotApi, bot: telegram.Bot, private: Chat, ann: Person) -> None:
    await ann.blocks()
    await ann.unblocks()
    changes = [update.my_chat_member for update in await bot.get_updates()]
    assert [change and change.new_chat_member.status for change in changes] == ["kicked", "member"]
