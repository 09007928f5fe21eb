"""Sending, editing and deleting texts: what is taken, and what is refused in which words."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import telegram
from telegram import InlineKeyboardButton as Button
from telegram import InlineKeyboardMarkup, MessageEntity, ReactionTypeEmoji, ReplyParameters, WebAppInfo
from telegram.error import BadRequest, Forbidden, InvalidToken

from teleclaude.testing.telegram import Chat, FakeBotApi, Person
from tests.integration.telegram_fake.conftest import client

TAP = Button("x", callback_data="d")
APP = Button("x", web_app=WebAppInfo("https://a.example"))


def keyboard(*buttons: Button, per_row: int = 1) -> InlineKeyboardMarkup:
    rows = [buttons[at : at + per_row] for at in range(0, len(buttons), per_row)]
    return InlineKeyboardMarkup(rows)


async def test_who_the_bot_is(fake: FakeBotApi, bot: telegram.Bot) -> None:
    me = await bot.get_me()
    assert (me.id, me.is_bot, me.username, me.has_topics_enabled) == (fake.bot.user.id, True, "teleclaude_bot", False)


async def test_a_text_comes_back_as_it_was_sent(bot: telegram.Bot, group: Chat) -> None:
    sent = await bot.send_message(group.id, "hello", disable_notification=True)
    assert (sent.text, sent.chat.id, sent.chat.is_forum, sent.from_user and sent.from_user.is_bot) == (
        "hello",
        group.id,
        True,
        True,
    )
    assert sent.date.microsecond == 0
    assert group.messages[sent.message_id].silent


async def test_white_space_and_control_characters_are_cleaned(bot: telegram.Bot, group: Chat) -> None:
    entity = MessageEntity("bold", 3, 2)
    sent = await bot.send_message(group.id, "\n\r\x1b\x00ab[31m\tc\r\n ", entities=[entity])
    assert sent.text == "ab[31m c"
    assert sent.parse_entities() == {MessageEntity("bold", 0, 1): "a"} or sent.entities[0].offset == 0


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        ({"text": ""}, "Message text is empty"),
        ({"text": " \n "}, "Text must be non-empty"),
        ({"text": "\u200b\u200d\u2060"}, "Text must be non-empty"),
        ({"text": "<b> </b>", "parse_mode": "HTML"}, "Text must be non-empty"),
        ({"text": "x" * 4097}, "Message is too long"),
        ({"text": "😀" * 2049}, "Message is too long"),
        ({"text": "a", "message_thread_id": 1}, "Message thread not found"),
        ({"text": "a", "message_thread_id": 77}, "Message thread not found"),
        ({"text": "a", "reply_parameters": ReplyParameters(404)}, "Message to be replied not found"),
        ({"text": "a", "entities": [MessageEntity("bold", 0, 2)]}, "Entity beginning at UTF-16 offset 0 ends after"),
        ({"text": "😀b", "entities": [MessageEntity("bold", 1, 1)]}, "UTF-16 offset 1 starts in a middle of"),
        ({"text": "a" * 101, "entities": [MessageEntity("bold", at, 1) for at in range(101)]}, "Entities_too_long"),
        (
            {"text": "a", "entities": [MessageEntity("text_link", 0, 1, url="/home/me/b.py")]},
            "Entity URL '/home/me/b.py' is invalid: URL host is empty",
        ),
        ({"text": '<a href="http://localhost:8000/">x</a>', "parse_mode": "HTML"}, "is invalid: Wrong HTTP URL"),
        ({"text": '<a href="file:///etc/passwd">x</a>', "parse_mode": "HTML"}, "is invalid: Unsupported URL protocol"),
        ({"text": "[x](http://127.0.0.1/)", "parse_mode": "MarkdownV2"}, "is invalid: Wrong HTTP URL"),
        ({"text": "<b>a", "parse_mode": "HTML"}, "Can't find end tag corresponding to start tag \"b\""),
        ({"text": "é<nope>a", "parse_mode": "HTML"}, 'Unsupported start tag "nope" at byte offset 2'),
        ({"text": "a</b>", "parse_mode": "HTML"}, "Unexpected end tag at byte offset 1"),
        ({"text": "<b>a</i>", "parse_mode": "HTML"}, 'end tag at byte offset 4, expected "</b>", found "</i>"'),
        ({"text": "a < b", "parse_mode": "HTML"}, "Unclosed start tag at byte offset 2"),
        ({"text": "a.", "parse_mode": "MarkdownV2"}, "'.' is reserved and must be escaped with the preceding '\\'"),
        ({"text": "a *b", "parse_mode": "MarkdownV2"}, "Can't find end of Bold entity at byte offset 2"),
        ({"text": "`a", "parse_mode": "MarkdownV2"}, "Can't find end of Code entity at byte offset 0"),
        ({"text": "a_b", "parse_mode": "Markdown"}, "Can't find end of the entity starting at byte offset 1"),
        ({"text": "a", "parse_mode": "BBCode"}, "Unsupported parse_mode"),
        ({"text": "a", "reply_markup": keyboard(Button("x", callback_data="d" * 65))}, "Button_data_invalid"),
        ({"text": "a", "reply_markup": keyboard(Button("x", callback_data="é" * 33))}, "Button_data_invalid"),
        ({"text": "a", "reply_markup": keyboard(Button("x", callback_data=""))}, "Button_data_invalid"),
        ({"text": "a", "reply_markup": keyboard(Button("x"))}, "Text buttons are unallowed in the inline keyboard"),
        ({"text": "a", "reply_markup": keyboard(*[TAP] * 101, per_row=8)}, "Reply_markup_too_long"),
        ({"text": "a", "reply_markup": keyboard(*[TAP] * 9, per_row=9)}, "Reply_markup_too_long"),
        ({"text": "a", "reply_markup": keyboard(APP)}, "Button_type_invalid"),
        ({"text": "a", "reply_markup": keyboard(Button("x", url="http://localhost"))}, "Inline keyboard button URL"),
    ],
)  # fmt: skip
async def test_what_is_refused(bot: telegram.Bot, group: Chat, arguments: dict[str, Any], refusal: str) -> None:
    with pytest.raises(BadRequest) as caught:
        await bot.send_message(group.id, **arguments)
    assert refusal.lower() in caught.value.message.lower()
    assert not group.messages


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (("HTML", "<b>a</b> &lt;<i>b</i>"), ("a <b", ["bold", "italic"])),
        (("HTML", '<pre><code class="language-py">x</code></pre>'), ("x", ["pre"])),
        (("HTML", '<a href="https://example.org/x">y</a>'), ("y", ["text_link"])),
        (("HTML", "<blockquote expandable>q</blockquote>"), ("q", ["expandable_blockquote"])),
        (("MarkdownV2", "*a* _b_ __c__ ~d~ ||e|| `f`"),
         ("a b c d e f", ["bold", "italic", "underline", "strikethrough", "spoiler", "code"])),
        (("MarkdownV2", "```py\na*b\n```"), ("a*b", ["pre"])),
        (("MarkdownV2", r"1\.5 [y](https://example.org/\))"), ("1.5 y", ["text_link"])),
        (("MarkdownV2", ">a\n>b\nc"), ("a\nb\nc", ["blockquote"])),
        (("MarkdownV2", "*_a_*"), ("a", ["bold", "italic"])),
        (("Markdown", "*a* `b_c`"), ("a b_c", ["bold", "code"])),
    ],
)  # fmt: skip
async def test_markup(bot: telegram.Bot, group: Chat, given: tuple[str, str], expected: tuple[str, list[str]]) -> None:
    mode, text = given
    sent = await bot.send_message(group.id, text, parse_mode=mode)
    assert (sent.text, [entity.type for entity in sent.entities]) == expected


async def test_the_length_counts_after_the_markup_has_been_read(bot: telegram.Bot, group: Chat) -> None:
    sent = await bot.send_message(group.id, f"<b>{'x' * 4096}</b>", parse_mode="HTML")
    assert len(sent.text or "") == 4096


async def test_an_edit_answers_the_changed_message(bot: telegram.Bot, group: Chat) -> None:
    sent = await bot.send_message(group.id, "one", reply_markup=keyboard(Button("x", callback_data="d")))
    edited = await bot.edit_message_text("two", group.id, sent.message_id)
    assert isinstance(edited, telegram.Message)
    assert (edited.text, edited.reply_markup) == ("two", None)
    assert edited.edit_date is not None
    marked = await bot.edit_message_reply_markup(
        group.id, sent.message_id, reply_markup=keyboard(Button("y", callback_data="e"))
    )
    assert isinstance(marked, telegram.Message)
    assert marked.reply_markup is not None
    assert group.messages[sent.message_id].edits == 2


async def test_edits_that_are_refused(bot: telegram.Bot, group: Chat, ann: Person) -> None:
    sent = await bot.send_message(group.id, "*one*", parse_mode="MarkdownV2")
    hers = await ann.says("mine")
    gone = await bot.send_message(group.id, "gone")
    await bot.delete_message(group.id, gone.message_id)
    for text, message_id, refusal in [
        (
            "*one*",
            sent.message_id,
            "Message is not modified: specified new message content and reply markup are exactly",
        ),
        ("two", hers.id, "Message can't be edited"),
        ("two", 404, "Message to edit not found"),
        ("two", gone.message_id, "Message to edit not found"),
        ("x" * 4097, sent.message_id, "Message_too_long"),
    ]:
        with pytest.raises(BadRequest, match=refusal):
            await bot.edit_message_text(text, group.id, message_id, parse_mode="MarkdownV2" if "*" in text else None)
    with pytest.raises(BadRequest, match="Message is not modified"):
        await bot.edit_message_reply_markup(group.id, sent.message_id)
    with pytest.raises(BadRequest, match="There is no caption in the message to edit"):
        await bot.edit_message_caption(group.id, sent.message_id, caption="c")


async def test_deleting(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    hers = await ann.says("mine")
    assert await bot.delete_message(group.id, hers.id)
    with pytest.raises(BadRequest, match="Message to delete not found"):
        await bot.delete_message(group.id, hers.id)
    fake.demote_bot(group, ["can_manage_topics"])
    other = await ann.says("mine too")
    with pytest.raises(BadRequest, match="Message can't be deleted"):
        await bot.delete_message(group.id, other.id)
    own = await bot.send_message(group.id, "own")
    assert await bot.delete_messages(group.id, [own.message_id, 404])
    assert not fake.messages()


async def test_chats_that_cannot_be_written_to(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(-100404, "a")
    with pytest.raises(BadRequest, match="Chat not found"):
        await bot.send_message(404, "a")
    with pytest.raises(Forbidden, match="bot can't initiate conversation with a user"):
        await bot.send_message(ann.id, "a")
    fake.private(ann)
    await ann.blocks()
    with pytest.raises(Forbidden, match="bot was blocked by the user"):
        await bot.send_message(ann.id, "a")
    fake.kick_bot(group)
    with pytest.raises(Forbidden, match="bot was kicked from the supergroup chat"):
        await bot.send_message(group.id, "a")


async def test_a_group_that_became_a_supergroup(fake: FakeBotApi, bot: telegram.Bot) -> None:
    group = fake.add_group("Small")
    new = fake.migrate(group)
    with pytest.raises(telegram.error.ChatMigrated) as caught:
        await bot.send_message(group.id, "a")
    assert caught.value.new_chat_id == new.id
    assert (await bot.send_message(new.id, "a")).text == "a"


async def test_unknown_tokens_and_methods(fake: FakeBotApi, bot: telegram.Bot) -> None:
    with pytest.raises(InvalidToken):
        async with client(fake, "1:wrong"):
            pass
    with pytest.raises((InvalidToken, BadRequest, telegram.error.EndPointNotFound)):
        await bot.do_api_request("sendTelegram", {"chat_id": 1})
    assert fake.calls("sendTelegram")[0].status == 404


async def test_reactions_actions_and_pins(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    hers = await ann.says("go")
    await bot.set_message_reaction(group.id, hers.id, "👀")
    await bot.set_message_reaction(group.id, hers.id, ReactionTypeEmoji("❤️"))
    assert hers.reactions == {fake.bot.user.id: "❤"}
    with pytest.raises(BadRequest, match="Reaction_invalid"):
        await bot.set_message_reaction(group.id, hers.id, "🐌")
    with pytest.raises(BadRequest, match="Reactions_too_many"):
        await bot.set_message_reaction(group.id, hers.id, ["👀", "🔥"])
    with pytest.raises(BadRequest, match="Message to react not found"):
        await bot.set_message_reaction(group.id, 404, "👀")
    await bot.set_message_reaction(group.id, hers.id)
    assert not hers.reactions
    assert await bot.send_chat_action(group.id, "typing", message_thread_id=1)
    with pytest.raises(BadRequest, match="Wrong parameter action in request"):
        await bot.send_chat_action(group.id, "thinking")
    await bot.pin_chat_message(group.id, hers.id)
    pinned = (await bot.get_chat(group.id)).pinned_message
    assert pinned is not None
    assert pinned.message_id == hers.id
    await bot.unpin_chat_message(group.id, hers.id)
    with pytest.raises(BadRequest, match="Message to unpin not found"):
        await bot.unpin_chat_message(group.id)
    fake.demote_bot(group)
    with pytest.raises(BadRequest, match="Not enough rights to manage pinned messages in the chat"):
        await bot.pin_chat_message(group.id, hers.id)


async def test_drafts(fake: FakeBotApi, bot: telegram.Bot, group: Chat, private: Chat) -> None:
    await bot.send_message_draft(private.id, 5, "wor")
    await bot.send_message_draft(private.id, 5, "working")
    assert private.drafts[5][0] == "working"
    with pytest.raises(BadRequest):
        await bot.send_message_draft(private.id, 0, "a")
    with pytest.raises(BadRequest):
        await bot.send_message_draft(group.id, 5, "a")


async def test_the_list_of_commands(bot: telegram.Bot, group: Chat) -> None:
    await bot.set_my_commands([("new", "begin"), ("ls", "list")])
    assert [command.command for command in await bot.get_my_commands()] == ["new", "ls"]
    scope = telegram.BotCommandScopeChat(group.id)
    assert await bot.get_my_commands(scope=scope) == ()
    await bot.set_my_commands([("who", "who")], scope=scope)
    await bot.delete_my_commands()
    assert await bot.get_my_commands() == ()
    for commands, refusal in [
        ([("New", "x")], "Bot_command_invalid"),
        ([("a", "x" * 257)], "Bot_command_description_invalid"),
        ([(f"c{number}", "x") for number in range(101)], "Bot_commands_too_much"),
    ]:
        with pytest.raises(BadRequest, match=refusal):
            await bot.set_my_commands(commands)


async def test_who_may_do_what(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    member = await bot.get_chat_member(group.id, fake.bot.user.id)
    assert isinstance(member, telegram.ChatMemberAdministrator)
    assert member.can_manage_topics
    assert (await bot.get_chat_member(group.id, ann.id)).status == "member"
    assert [person.user.id for person in await bot.get_chat_administrators(group.id)] == [fake.bot.user.id]
    assert await bot.get_chat_member_count(group.id) == 2
    with pytest.raises(BadRequest, match="Participant_id_invalid"):
        await bot.get_chat_member(group.id, 404)


async def test_taps(fake: FakeBotApi, bot: telegram.Bot, group: Chat, ann: Person) -> None:
    sent = await bot.send_message(group.id, "Go on?", reply_markup=keyboard(Button("Yes", callback_data="y")))
    tap = await ann.presses("Yes")
    (update,) = await bot.get_updates()
    query = update.callback_query
    assert query is not None
    assert (query.data, query.from_user.id, query.message and query.message.message_id) == ("y", 7, sent.message_id)
    with pytest.raises(BadRequest, match="Message_too_long"):
        await query.answer("x" * 201)
    await query.answer("done")
    assert tap.answer == {"text": "done", "show_alert": False}
    with pytest.raises(BadRequest, match=r"(?i)query is too old and response timeout expired or query id is invalid"):
        await query.answer("again")
    forged = await ann.presses("Yes", data="forged", inaccessible=True)
    (update,) = await bot.get_updates(offset=update.update_id + 1)
    assert update.callback_query is not None
    assert update.callback_query.message is not None
    assert not update.callback_query.message.is_accessible
    assert (update.callback_query.data, update.callback_query.id) == ("forged", forged.id)


@pytest.mark.parametrize("form", ["query", "form", "json", "multipart"])
async def test_every_form_of_parameters(fake: FakeBotApi, group: Chat, form: str) -> None:
    url = f"{fake.base_url}{fake.token}/SENDMESSAGE"
    fields = {"chat_id": str(group.id), "text": "hi", "entities": '[{"type": "bold", "offset": 0, "length": 1}]'}
    async with aiohttp.ClientSession() as session:
        if form == "multipart":
            body = aiohttp.FormData(default_to_multipart=True)
            for name, value in fields.items():
                body.add_field(name, value)
            fields_of: dict[str, Any] = {"data": body}
        else:
            fields_of = {{"query": "params", "form": "data", "json": "json"}[form]: fields}
        async with session.post(url, **fields_of) as reply:
            answer = await reply.json()
    await asyncio.sleep(0)
    assert answer["result"]["entities"] == [{"type": "bold", "offset": 0, "length": 1}]


async def test_text_that_is_no_text(fake: FakeBotApi, group: Chat) -> None:
    url = f"{fake.base_url}{fake.token}/sendMessage"
    async with (
        aiohttp.ClientSession() as session,
        session.post(
            url,
            data=f"chat_id={group.id}&text=%ff%fe".encode(),
            headers={"Content-Type": "application/x-www-form-urlencoded"},
        ) as reply,
    ):
        assert reply.status in {200, 400}
