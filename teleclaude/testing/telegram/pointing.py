"""What people point at: chats, topics, messages and buttons, given as objects or as ids. Pure.

Every function raises ``LookupError`` for what is not there.
"""

from __future__ import annotations

from teleclaude.testing.telegram.world import GENERAL, Bot, Chat, Message, Topic, User, World


class Pointing:
    """As ``user`` sees it."""

    def __init__(self, world: World, user: User) -> None:
        self._world = world
        self._user = user

    def chat(self, chat: Chat | int | None) -> Chat:
        """None is the first group, else the private chat with the first bot."""
        if isinstance(chat, Chat):
            return chat
        if chat is None and self._world.groups:
            return next(iter(self._world.groups.values()))
        if chat is None or chat == self._user.id:
            return self._world.private_with(self.first_bot(), self._user)
        return self._world.groups[chat]

    def first_bot(self) -> Bot:
        return next(iter(self._world.bots.values()))

    def topic(self, chat: Chat | int | None, topic: Topic | int) -> tuple[Chat, Topic]:
        where = self.chat(chat)
        if isinstance(topic, Topic):
            return where, topic
        return where, where.general if topic == GENERAL else where.topics[topic]


def id_of(thing: Message | Topic | int | None) -> int | None:
    return thing.id if isinstance(thing, Message | Topic) else thing


def message_of(chat: Chat, message: Message | int) -> Message:
    return message if isinstance(message, Message) else chat.messages[message]


def alive(chat: Chat, message: Message | int) -> Message:
    found = message_of(chat, message)
    if found.deleted:
        raise LookupError(f"message {found.id} has been deleted")
    return found


def with_button(chat: Chat, button: str) -> Message:
    for message in reversed(chat.messages.values()):
        if not message.deleted and button in message.buttons:
            return message
    shown = sorted({text for message in chat.messages.values() if not message.deleted for text in message.buttons})
    raise LookupError(f"no message has a button {button!r}; there are {shown}")


def data_of(message: Message, button: str) -> str:
    for row in message.keyboard or []:
        for candidate in row:
            if candidate["text"] == button and "callback_data" in candidate:
                return str(candidate["callback_data"])
    raise LookupError(f"message {message.id} has no button {button!r} with callback data, but {message.buttons}")
