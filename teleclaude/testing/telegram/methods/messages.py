"""Sending, editing, deleting, pinning and reacting."""

from __future__ import annotations

from typing import Any

from teleclaude.testing.telegram.limits import DELETE_SECONDS, DRAFT_SECONDS, TEXT_UNITS
from teleclaude.testing.telegram.methods.request import Request, formatted, same
from teleclaude.testing.telegram.refusal import bad_request
from teleclaude.testing.telegram.text import units
from teleclaude.testing.telegram.world import GENERAL, Chat, Message

ACTIONS = frozenset(
    {
        "typing", "upload_photo", "record_video", "upload_video", "record_voice", "upload_voice", "upload_document",
        "choose_sticker", "find_location", "record_video_note", "upload_video_note",
    }
)  # fmt: skip
_EMOJI = (
    "👍 👎 ❤ 🔥 🥰 👏 😁 🤔 🤯 😱 🤬 😢 🎉 🤩 🤮 💩 🙏 👌 🕊 🤡 🥱 🥴 😍 🐳 ❤\u200d🔥 🌚 🌭 💯 🤣 ⚡ 🍌 🏆 💔 🤨 "
    "😐 🍓 🍾 💋 🖕 😈 😴 😭 🤓 👻 👨\u200d💻 👀 🎃 🙈 😇 😨 🤝 ✍ 🤗 🫡 🎅 🎄 ☃ 💅 🤪 🗿 🆒 💘 🙉 🦄 😘 💊 🙊 😎 👾 "
    "🤷\u200d♂ 🤷 🤷\u200d♀ 😡"
)
REACTIONS = frozenset(_EMOJI.split())
"""What a bot may react with."""
MAX_DELETED = 100
MAX_DRAFTS = 100


def send_message(request: Request) -> Any:
    chat = request.chat()
    thread = request.thread(chat)
    text, entities = request.body()
    message = chat.add(
        request.bot.user,
        request.world.date(),
        thread_id=thread,
        text=text,
        entities=entities,
        keyboard=request.keyboard(chat),
        reply_to=request.reply_target(chat),
        silent=request.params.flag("disable_notification"),
    )
    return message.view()


def edit_message_text(request: Request) -> Any:
    chat, message = _editable(request)
    if message.text is None:
        raise bad_request("there is no text in the message to edit")
    text, entities = _new_text(request)
    keyboard = request.keyboard(chat)
    if (text, entities, keyboard) == (message.text, message.entities, message.keyboard):
        raise same()
    message.text, message.entities, message.keyboard = text, entities, keyboard
    return _edited(request, message)


def _new_text(request: Request) -> tuple[str, list[dict[str, Any]]]:
    text = request.params.text("text") or ""
    if units(text) > TEXT_UNITS and not request.params.text("parse_mode"):
        raise bad_request("MESSAGE_TOO_LONG")
    return request.body()


def edit_message_caption(request: Request) -> Any:
    chat, message = _editable(request)
    if message.text is not None:
        raise bad_request("there is no caption in the message to edit")
    caption, entities = request.caption()
    keyboard = request.keyboard(chat)
    if (caption, entities, keyboard) == (message.caption, message.entities, message.keyboard):
        raise same()
    message.caption, message.entities, message.keyboard = caption, entities, keyboard
    return _edited(request, message)


def edit_message_reply_markup(request: Request) -> Any:
    chat, message = _editable(request)
    keyboard = request.keyboard(chat)
    if keyboard == message.keyboard:
        raise same()
    message.keyboard = keyboard
    return _edited(request, message)


def _editable(request: Request) -> tuple[Chat, Message]:
    chat = request.chat()
    return chat, request.own_message(chat, "message to edit not found", "message can't be edited")


def _edited(request: Request, message: Message) -> Any:
    message.edit_date = request.world.date()
    message.edits += 1
    return message.view()


def delete_message(request: Request) -> Any:
    chat = request.chat()
    message = chat.alive(request.params.needed("message_id", "message identifier is not specified"))
    if message is None:
        raise bad_request("message to delete not found")
    own = message.sender.id == request.bot.user.id or not chat.is_group
    old = request.world.date() - message.date > DELETE_SECONDS
    if message.content.get("forum_topic_created") or not (chat.can(request.bot.user.id, "can_delete_messages") or own):
        raise bad_request("message can't be deleted")
    if old and not chat.can(request.bot.user.id, "can_delete_messages"):
        raise bad_request("message can't be deleted for everyone")
    message.deleted = True
    return True


def delete_messages(request: Request) -> Any:
    chat = request.chat()
    ids = request.params.value("message_ids", "message identifiers")
    if not isinstance(ids, list) or not 1 <= len(ids) <= MAX_DELETED:
        raise bad_request("message identifiers are not specified")
    any_ones = not chat.is_group or chat.can(request.bot.user.id, "can_delete_messages")
    for message_id in ids:
        message = chat.alive(int(message_id))
        if message is not None and (any_ones or message.sender.id == request.bot.user.id):
            message.deleted = True
    return True


def send_chat_action(request: Request) -> Any:
    chat = request.chat()
    if request.params.text("action") not in ACTIONS:
        raise bad_request("wrong parameter action in request")
    thread = request.params.number("message_thread_id")
    if thread not in (None, GENERAL):
        request.thread(chat)
    return True


def set_message_reaction(request: Request) -> Any:
    chat = request.chat()
    message = chat.alive(request.params.needed("message_id", "message identifier is not specified"))
    if message is None:
        raise bad_request("message to react not found")
    reaction = request.params.value("reaction", "reaction") or []
    if len(reaction) > 1:
        raise bad_request("REACTIONS_TOO_MANY")
    if not reaction:
        message.reactions.pop(request.bot.user.id, None)
        return True
    emoji = str(reaction[0].get("emoji", "")).replace("\ufe0f", "")
    if reaction[0].get("type") != "emoji" or emoji not in REACTIONS:
        raise bad_request("REACTION_INVALID")
    message.reactions[request.bot.user.id] = emoji
    return True


def pin_chat_message(request: Request) -> Any:
    chat = request.chat()
    _may_pin(request, chat)
    message = chat.alive(request.params.needed("message_id", "message identifier is not specified"))
    if message is None:
        raise bad_request("message to pin not found")
    if message.id not in chat.pinned:
        chat.pinned.append(message.id)
        content = {"pinned_message": message.view(nested=True)}
        date = request.world.date()
        chat.add(request.bot.user, date, thread_id=message.thread_id, content=content, service=True)
    return True


def unpin_chat_message(request: Request) -> Any:
    chat = request.chat()
    _may_pin(request, chat)
    if not chat.pinned:
        raise bad_request("message to unpin not found")
    message_id = request.params.number("message_id") or chat.pinned[-1]
    if message_id not in chat.pinned:
        raise bad_request("message to unpin not found")
    chat.pinned.remove(message_id)
    return True


def unpin_all_chat_messages(request: Request) -> Any:
    chat = request.chat()
    _may_pin(request, chat)
    chat.pinned.clear()
    return True


def _may_pin(request: Request, chat: Chat) -> None:
    if chat.is_group and not chat.can(request.bot.user.id, "can_pin_messages"):
        raise bad_request("not enough rights to manage pinned messages in the chat")


def send_message_draft(request: Request) -> Any:
    """A text that is being written: shown for half a minute, and then gone unless it is sent again."""
    chat = request.chat()
    if chat.is_group:
        raise bad_request("PEER_ID_INVALID")
    draft_id = request.params.number("draft_id")
    if not draft_id:
        raise bad_request("draft_id must be non-zero")
    if request.params.number("message_thread_id") is not None:
        request.thread(chat)
    text = request.params.text("text") or ""
    if text:
        text, _ = formatted(text, request.params.text("parse_mode"), request.params.value("entities", "entities"))
    if units(text) > TEXT_UNITS:
        raise bad_request("message is too long")
    now = request.world.monotonic()
    for gone in [key for key, (_, until) in chat.drafts.items() if until <= now]:
        del chat.drafts[gone]
    if len(chat.drafts) >= MAX_DRAFTS:
        raise bad_request("too many drafts")
    chat.drafts[draft_id] = (text, now + DRAFT_SECONDS)
    return True
