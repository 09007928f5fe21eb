"""Forum topics, in supergroups and in private chats of bots that have them."""

from __future__ import annotations

from typing import Any

from teleclaude.testing.telegram.limits import TOPIC_NAME_UNITS
from teleclaude.testing.telegram.methods.request import Request
from teleclaude.testing.telegram.refusal import bad_request
from teleclaude.testing.telegram.text import blank, units
from teleclaude.testing.telegram.world import Chat, Topic, User

COLORS = (0x6FB9F0, 0xFFD67E, 0xCB86DB, 0x8EEE98, 0xFF93B2, 0xFB6F5F)
ICONS = {
    "5434144690511290129": "📰", "5312536423851630001": "💡", "5312016608254762256": "⚡️", "5377544228505134960": "🎙",
    "5418085807791545980": "🔝", "5370870893004203704": "🗣", "5420216386448270341": "🆒", "5379748062124056162": "❗️",
    "5373251851074415873": "📝", "5433614043006903194": "📆", "5357315181649076022": "📁", "5309965701241379366": "🔎",
    "5350554349074391003": "💻", "5357121491508928442": "👀", "5312138559556164615": "❤️", "5312315739842026755": "🏆",
    "5377316857231450742": "❓", "5417915203100613993": "💬", "5309832892262654231": "🤖", "5237699328843200968": "✅",
    "5312241539987020022": "🔥", "5408906741125490282": "🏁", "5377438129928020693": "⁉️", "5377498341074542641": "‼️",
    "5348436127038579546": "✈️", "5357120306097956843": "🧳", "5309984423003823246": "📣",
}  # fmt: skip
"""Icons a topic can have without a paid account: custom emoji ids and what they show."""


def create_forum_topic(request: Request) -> Any:
    chat = request.chat()
    _may_manage(request, chat, "not enough rights to create a topic")
    name = _name(request.params.text("name"))
    color = request.params.number("icon_color")
    if color is not None and color not in COLORS:
        raise bad_request("invalid forum topic icon color specified")
    icon = _icon(request.params.text("icon_custom_emoji_id"))
    topic = open_topic(request.world.date(), chat, request.bot.user, name, color=color or COLORS[0], icon=icon)
    return _view(topic)


def open_topic(date: int, chat: Chat, creator: User, name: str, *, color: int = COLORS[0], icon: str = "") -> Topic:
    """A topic has the id of the message that tells of it."""
    content: dict[str, Any] = {"name": name, "icon_color": color} | ({"icon_custom_emoji_id": icon} if icon else {})
    message = chat.add(creator, date, content={"forum_topic_created": content}, service=True)
    message.thread_id = message.id
    topic = Topic(message.id, name, color, icon)
    chat.topics[topic.id] = topic
    return topic


def edit_forum_topic(request: Request) -> Any:
    chat, topic = _managed(request)
    name, icon = request.params.text("name"), request.params.text("icon_custom_emoji_id")
    new_name = topic.name if name is None or name == "" else _name(name)
    new_icon = topic.icon_custom_emoji_id if icon is None else _icon(icon)
    if (new_name, new_icon) == (topic.name, topic.icon_custom_emoji_id):
        raise bad_request("TOPIC_NOT_MODIFIED")
    changes = ({"name": new_name} if new_name != topic.name else {}) | (
        {"icon_custom_emoji_id": new_icon} if new_icon != topic.icon_custom_emoji_id else {}
    )
    topic.name, topic.icon_custom_emoji_id = new_name, new_icon
    _tell(request, chat, topic, "forum_topic_edited", changes)
    return True


def close_forum_topic(request: Request) -> Any:
    return _set_closed(request, *_managed(request), closed=True)


def reopen_forum_topic(request: Request) -> Any:
    return _set_closed(request, *_managed(request), closed=False)


def delete_forum_topic(request: Request) -> Any:
    chat, topic = _managed(request, "can_delete_messages")
    drop_topic(chat, topic)
    return True


def drop_topic(chat: Chat, topic: Topic) -> None:
    """Its messages go with it."""
    topic.deleted = True
    for message in chat.messages.values():
        if message.thread_id == topic.id:
            message.deleted = True


def unpin_all_forum_topic_messages(request: Request) -> Any:
    chat, topic = _managed(request, "can_pin_messages")
    chat.pinned = [pinned for pinned in chat.pinned if chat.messages[pinned].thread_id != topic.id]
    return True


def edit_general_forum_topic(request: Request) -> Any:
    chat, topic = _general(request)
    name = _name(request.params.text("name"))
    if name == topic.name:
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic.name = name
    _tell(request, chat, topic, "forum_topic_edited", {"name": name})
    return True


def close_general_forum_topic(request: Request) -> Any:
    return _set_closed(request, *_general(request), closed=True)


def reopen_general_forum_topic(request: Request) -> Any:
    return _set_closed(request, *_general(request), closed=False)


def hide_general_forum_topic(request: Request) -> Any:
    return _set_hidden(request, hidden=True)


def unhide_general_forum_topic(request: Request) -> Any:
    return _set_hidden(request, hidden=False)


def get_forum_topic_icon_stickers(request: Request) -> Any:
    del request
    common = {"width": 512, "height": 512, "is_animated": True, "is_video": False, "type": "custom_emoji"}
    return [
        common | {"file_id": f"S{key}", "file_unique_id": f"U{key}", "emoji": emoji, "custom_emoji_id": key}
        for key, emoji in ICONS.items()
    ]


def _set_hidden(request: Request, *, hidden: bool) -> bool:
    chat, topic = _general(request)
    if topic.hidden is hidden:
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic.hidden = hidden
    _tell(request, chat, topic, f"general_forum_topic_{'hidden' if hidden else 'unhidden'}", {})
    return True


def _set_closed(request: Request, chat: Chat, topic: Topic, *, closed: bool) -> bool:
    if topic.closed is closed:
        raise bad_request("TOPIC_NOT_MODIFIED")
    topic.closed = closed
    _tell(request, chat, topic, "forum_topic_closed" if closed else "forum_topic_reopened", {})
    return True


def _tell(request: Request, chat: Chat, topic: Topic, kind: str, content: dict[str, Any]) -> None:
    date = request.world.date()
    chat.add(request.bot.user, date, thread_id=topic.id, content={kind: content}, service=True)


def _general(request: Request) -> tuple[Chat, Topic]:
    chat = request.chat()
    _may_manage(request, chat, "not enough rights to manage topics")
    return chat, chat.general


def _managed(request: Request, right: str = "can_manage_topics") -> tuple[Chat, Topic]:
    chat = request.chat()
    topic = chat.topics.get(request.params.needed("message_thread_id", "message thread identifier is not specified"))
    _may_manage(request, chat, "not enough rights", right)
    if topic is None or topic.deleted:
        raise bad_request("TOPIC_ID_INVALID")
    return chat, topic


def _may_manage(request: Request, chat: Chat, refusal: str, right: str = "can_manage_topics") -> None:
    if not chat.is_group:
        if not request.bot.topics:
            raise bad_request("the chat is not a forum")
    elif not chat.forum:
        raise bad_request("the chat is not a forum")
    elif not chat.can(request.bot.user.id, right):
        raise bad_request(refusal)


def _name(name: str | None) -> str:
    name = (name or "").strip()
    if blank(name):
        raise bad_request("topic name must be non-empty")
    if units(name) > TOPIC_NAME_UNITS:
        raise bad_request("topic name is too long")
    return name


def _icon(icon: str | None) -> str:
    if icon and icon not in ICONS:
        raise bad_request("DOCUMENT_INVALID")
    return icon or ""


def _view(topic: Topic) -> dict[str, Any]:
    view: dict[str, Any] = {"message_thread_id": topic.id, "name": topic.name, "icon_color": topic.icon_color}
    return view | ({"icon_custom_emoji_id": topic.icon_custom_emoji_id} if topic.icon_custom_emoji_id else {})
