"""How what a person does comes into a chat, and which bots hear of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from teleclaude.testing.telegram.methods.topics import open_topic
from teleclaude.testing.telegram.pointing import Pointing, id_of
from teleclaude.testing.telegram.world import GENERAL, Bot, Chat, Message, Topic, User, World

ANONYMOUS = User(1087968824, "Group", "GroupAnonymousBot", is_bot=True)
"""Who speaks for an administrator that hides."""

Note = Callable[[str, User, dict[str, Any], Message | None], None]


class Actor:
    """The part of a ``Person`` that all deeds share."""

    def __init__(self, world: World, user: User, note: Note) -> None:
        self._world = world
        self._note = note
        self._where = Pointing(world, user)
        self.user = user

    @property
    def id(self) -> int:
        return self.user.id

    def _send_file(
        self,
        action: str,
        args: dict[str, Any],
        content: dict[str, Any],
        chat: Chat | int | None,
        topic: Topic | int | None,
    ) -> Message:
        caption = args.get("caption")
        where, thread = self._place(chat, topic, caption or action)
        args = args | {"chat": where.id, "topic": thread}
        return self._post(action, args, where, thread, content=content, caption=caption)

    def _post(
        self,
        action: str,
        args: dict[str, Any],
        chat: Chat,
        thread: int | None,
        *,
        ago: float = 0.0,
        anonymous: bool = False,
        **fields: Any,
    ) -> Message:
        sender = ANONYMOUS if anonymous else self.user
        if anonymous:
            fields["extra"] = fields["extra"] | {"sender_chat": chat.view()}
        message = chat.add(sender, self._world.date() - int(ago), thread_id=thread, **fields)
        self._tell(chat, "message", message)
        self._note(
            action, self.user, {name: value for name, value in args.items() if value not in (None, False)}, message
        )
        return message

    def _tell(self, chat: Chat, kind: str, message: Message) -> None:
        for bot in self._world.listeners(chat):
            if _heard(bot, chat, message):
                self._world.announce(bot, kind, message.view())

    def _service(self, action: str, chat: Chat, content: dict[str, Any]) -> None:
        message = chat.add(self.user, self._world.date(), content=content, service=True)
        self._tell(chat, "message", message)
        self._note(action, self.user, {"chat": chat.id}, message)

    def _topic_news(self, action: str, chat: Chat, topic: Topic, kind: str, content: dict[str, Any]) -> None:
        date = self._world.date()
        message = chat.add(self.user, date, thread_id=topic.id, content={kind: content}, service=True)
        self._tell(chat, "message", message)
        self._note(action, self.user, {"topic": topic.id, "chat": chat.id} | content, message)

    def _open_topic(self, chat: Chat, name: str) -> Topic:
        topic = open_topic(self._world.date(), chat, self.user, name)
        self._tell(chat, "message", chat.messages[topic.id])
        return topic

    def _place(self, chat: Chat | int | None, topic: Topic | int | None, text: str) -> tuple[Chat, int | None]:
        where = self._where.chat(chat)
        if topic is not None and id_of(topic) != GENERAL:
            return where, self._where.topic(where, topic)[1].id
        if where.forum:
            return where, GENERAL
        bot = next((bot for bot in self._world.bots.values() if bot.private.get(where.id) is where), None)
        if bot is not None and bot.topics and bot.users_may_create_topics and not text.startswith("/start"):
            return where, self._open_topic(where, text[:64]).id
        return where, None


def _heard(bot: Bot, chat: Chat, message: Message) -> bool:
    """In a group a bot in privacy mode hears commands, replies to it and its own name, unless it is administrator."""
    if not chat.is_group or not bot.privacy or message.service:
        return True
    if chat.members.get(bot.user.id) == "administrator":
        return True
    target = chat.messages.get(message.reply_to or 0)
    called = f"@{bot.user.username}" in message.shown
    return message.shown.startswith("/") or called or (target is not None and target.sender.id == bot.user.id)
