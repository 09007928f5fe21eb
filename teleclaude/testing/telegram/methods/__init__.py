"""The methods of the Bot API that the fake knows: pure functions from a request to the ``result`` of the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teleclaude.testing.telegram.methods import account, callbacks, chats, files, messages, topics
from teleclaude.testing.telegram.methods.request import Request

Method = Callable[[Request], Any]

_FUNCTIONS: tuple[Method, ...] = (
    account.get_me, account.set_my_commands, account.get_my_commands, account.delete_my_commands, account.set_webhook,
    account.delete_webhook, account.get_webhook_info, account.log_out,
    messages.send_message, messages.edit_message_text, messages.edit_message_caption,
    messages.edit_message_reply_markup, messages.delete_message, messages.delete_messages, messages.send_chat_action,
    messages.set_message_reaction, messages.pin_chat_message, messages.unpin_chat_message,
    messages.unpin_all_chat_messages, messages.send_message_draft,
    files.send_photo, files.send_document, files.send_voice, files.send_media_group, files.edit_message_media,
    files.get_file,
    topics.create_forum_topic, topics.edit_forum_topic, topics.close_forum_topic, topics.reopen_forum_topic,
    topics.delete_forum_topic, topics.unpin_all_forum_topic_messages, topics.edit_general_forum_topic,
    topics.close_general_forum_topic, topics.reopen_general_forum_topic, topics.hide_general_forum_topic,
    topics.unhide_general_forum_topic, topics.get_forum_topic_icon_stickers,
    chats.get_chat, chats.get_chat_member, chats.get_chat_administrators, chats.get_chat_member_count,
    chats.leave_chat,
    callbacks.answer_callback_query,
)  # fmt: skip


def _wire_name(function: Method) -> str:
    first, *rest = function.__name__.split("_")
    return first + "".join(word.capitalize() for word in rest)


METHODS: dict[str, Method] = {_wire_name(function): function for function in _FUNCTIONS}
"""By the name in the URL, in Telegram's spelling."""

BY_LOWER: dict[str, str] = {name.lower(): name for name in (*METHODS, "getUpdates")}
"""Method names are not case-sensitive."""

COUNTED = frozenset(
    {
        "sendMessage", "sendPhoto", "sendDocument", "sendVoice", "sendMediaGroup", "editMessageText",
        "editMessageCaption", "editMessageMedia", "editMessageReplyMarkup", "pinChatMessage", "createForumTopic",
        "editForumTopic", "closeForumTopic", "reopenForumTopic", "editGeneralForumTopic", "closeGeneralForumTopic",
        "reopenGeneralForumTopic", "hideGeneralForumTopic", "unhideGeneralForumTopic",
    }
)  # fmt: skip
"""What counts against the budgets of a chat: sends, edits, and all that makes a service message."""

__all__ = ["BY_LOWER", "COUNTED", "METHODS", "Method", "Request"]
