"""The people in the chats: each of their deeds reaches the bots as Telegram would tell it."""

from __future__ import annotations

import base64
import re
import secrets
from typing import Any

from teleclaude.testing.telegram.actor import Actor
from teleclaude.testing.telegram.methods.files import document_content, photo_content, voice_content
from teleclaude.testing.telegram.methods.topics import drop_topic
from teleclaude.testing.telegram.pointing import alive, data_of, id_of, message_of, with_button
from teleclaude.testing.telegram.text import units
from teleclaude.testing.telegram.world import MAX_TAPS, Bot, Chat, Message, Tap, Topic

_COMMAND = re.compile(r"(?<![\w/])/[A-Za-z0-9_]{1,32}(?:@\w{1,32})?(?![\w/@])")


class Person(Actor):
    """One user. Chats, topics and messages may be given as objects or as ids.

    ``chat`` None is the place the world calls home: its first group, else the private chat with the first bot.
    Every method raises ``LookupError`` for what is not there.
    """

    async def says(
        self,
        text: str,
        *,
        chat: Chat | int | None = None,
        topic: Topic | int | None = None,
        reply_to: Message | int | None = None,
        ago: float = 0.0,
        anonymous: bool = False,
        extra: dict[str, Any] | None = None,
    ) -> Message:
        """Send a text; ``ago`` dates it back by so many seconds, ``extra`` adds fields of the API's object.

        In a private chat of a bot with topics, a text outside them opens a topic, as Telegram does.
        """
        entities = [
            {"type": "bot_command", "offset": units(text[: found.start()]), "length": units(found[0])}
            for found in _COMMAND.finditer(text)
        ]
        where, thread = self._place(chat, topic, text)
        args = {"text": text, "chat": where.id, "topic": thread, "reply_to": id_of(reply_to), "ago": ago}
        return self._post(
            "says",
            args | {"anonymous": anonymous, "extra": extra},
            where,
            thread,
            ago=ago,
            anonymous=anonymous,
            text=text,
            entities=entities,
            reply_to=id_of(reply_to),
            extra=extra or {},
        )

    async def edits(self, message: Message | int, text: str, *, chat: Chat | int | None = None) -> Message:
        where = message.chat if isinstance(message, Message) else self._where.chat(chat)
        found = alive(where, message)
        found.text, found.edit_date = text, self._world.date()
        found.edits += 1
        self._tell(where, "edited_message", found)
        args = {"message": found.id, "text": text, "chat": where.id}
        self._note("edits", self.user, args, found)
        return found

    async def deletes(self, message: Message | int, *, chat: Chat | int | None = None) -> None:
        """Bots are not told."""
        where = message.chat if isinstance(message, Message) else self._where.chat(chat)
        alive(where, message).deleted = True
        self._note("deletes", self.user, {"message": id_of(message), "chat": where.id}, None)

    async def uploads(
        self,
        name: str,
        data: bytes | str,
        *,
        mime: str = "application/octet-stream",
        size: int | None = None,
        caption: str | None = None,
        chat: Chat | int | None = None,
        topic: Topic | int | None = None,
    ) -> Message:
        """Send a document (``data`` as bytes, or base64 text). ``size`` may claim more than is there."""
        raw = _bytes(data)
        content = document_content(self._world.add_file(raw, name, mime, size))
        args = {"name": name, "data": _base64(raw), "mime": mime, "size": size, "caption": caption}
        return self._send_file("uploads", args, content, chat, topic)

    async def sends_photo(
        self,
        data: bytes | str,
        *,
        caption: str | None = None,
        chat: Chat | int | None = None,
        topic: Topic | int | None = None,
    ) -> Message:
        raw = _bytes(data)
        content = photo_content(self._world.add_file(raw, "photo.jpg", "image/jpeg"))
        return self._send_file("sends_photo", {"data": _base64(raw), "caption": caption}, content, chat, topic)

    async def voice(
        self,
        data: bytes | str,
        *,
        seconds: int = 1,
        chat: Chat | int | None = None,
        topic: Topic | int | None = None,
    ) -> Message:
        raw = _bytes(data)
        content = voice_content(self._world.add_file(raw, "voice.oga", "audio/ogg"), seconds)
        return self._send_file("voice", {"data": _base64(raw), "seconds": seconds}, content, chat, topic)

    async def presses(
        self,
        button: str,
        *,
        message: Message | int | None = None,
        chat: Chat | int | None = None,
        data: str | None = None,
        inaccessible: bool = False,
    ) -> Tap:
        """Tap the button with this text, on the newest message that has it when none is given.

        ``data`` sends this callback data whatever the button holds; ``inaccessible`` tells the bot of the message as
        of one that can no longer be read.
        """
        where = message.chat if isinstance(message, Message) else self._where.chat(chat)
        found = with_button(where, button) if message is None else message_of(where, message)
        given = data if data is not None else data_of(found, button)
        bot = next((bot for bot in self._world.bots.values() if bot.user.id == found.sender.id), None)
        if bot is None:
            raise LookupError(f"message {found.id} is not of a bot")
        tap = Tap(str(secrets.randbits(60)), self.user, found, given, self._world.monotonic())
        _keep(bot, tap)
        shown = {"message_id": found.id, "chat": where.view(), "date": 0} if inaccessible else found.view()
        content = {
            "id": tap.id,
            "from": self.user.view(),
            "chat_instance": str(where.id),
            "data": given,
            "message": shown,
        }
        self._world.announce(bot, "callback_query", content)
        args = {"button": button, "message": found.id, "chat": where.id, "data": data, "inaccessible": inaccessible}
        self._note("presses", self.user, args, found)
        return tap

    async def creates_topic(self, name: str, *, chat: Chat | int | None = None) -> Topic:
        where = self._where.chat(chat)
        topic = self._open_topic(where, name)
        self._note("creates_topic", self.user, {"name": name, "chat": where.id}, where.messages[topic.id])
        return topic

    async def closes_topic(self, topic: Topic | int, *, chat: Chat | int | None = None) -> None:
        where, found = self._where.topic(chat, topic)
        found.closed = True
        self._topic_news("closes_topic", where, found, "forum_topic_closed", {})

    async def reopens_topic(self, topic: Topic | int, *, chat: Chat | int | None = None) -> None:
        where, found = self._where.topic(chat, topic)
        found.closed = False
        self._topic_news("reopens_topic", where, found, "forum_topic_reopened", {})

    async def renames_topic(self, topic: Topic | int, name: str, *, chat: Chat | int | None = None) -> None:
        where, found = self._where.topic(chat, topic)
        found.name = name
        self._topic_news("renames_topic", where, found, "forum_topic_edited", {"name": name})

    async def deletes_topic(self, topic: Topic | int, *, chat: Chat | int | None = None) -> None:
        """Bots are not told, and find out by being refused."""
        where, found = self._where.topic(chat, topic)
        drop_topic(where, found)
        self._note("deletes_topic", self.user, {"topic": found.id, "chat": where.id}, None)

    async def reacts(self, message: Message | int, emoji: str, *, chat: Chat | int | None = None) -> None:
        where = message.chat if isinstance(message, Message) else self._where.chat(chat)
        found = alive(where, message)
        old = found.reactions.get(self.id)
        found.reactions[self.id] = emoji
        content = {
            "chat": where.view(),
            "message_id": found.id,
            "user": self.user.view(),
            "date": self._world.date(),
            "old_reaction": [{"type": "emoji", "emoji": old}] if old else [],
            "new_reaction": [{"type": "emoji", "emoji": emoji}],
        }
        for bot in self._world.listeners(where):
            self._world.announce(bot, "message_reaction", content)
        self._note("reacts", self.user, {"message": found.id, "emoji": emoji, "chat": where.id}, found)

    async def joins(self, chat: Chat | int | None = None) -> None:
        where = self._where.chat(chat)
        where.members[self.id] = "member"
        self._service("joins", where, {"new_chat_members": [self.user.view()]})

    async def leaves(self, chat: Chat | int | None = None) -> None:
        where = self._where.chat(chat)
        where.members[self.id] = "left"
        self._service("leaves", where, {"left_chat_member": self.user.view()})

    async def blocks(self, bot: Bot | None = None) -> None:
        """End the private chat with a bot; it may send nothing more."""
        self._standing(bot, blocked=True)

    async def unblocks(self, bot: Bot | None = None) -> None:
        self._standing(bot, blocked=False)

    def _standing(self, bot: Bot | None, *, blocked: bool) -> None:
        bot = bot or self._where.first_bot()
        chat = self._world.private_with(bot, self.user)
        before = "kicked" if self.id in bot.blocked else "member"
        (bot.blocked.add if blocked else bot.blocked.discard)(self.id)
        after = "kicked" if blocked else "member"
        membership = [{"user": bot.user.view(), "status": status, "until_date": 0} for status in (before, after)]
        old, new = membership
        content = {"chat": chat.view(), "from": self.user.view(), "date": self._world.date()}
        self._world.announce(bot, "my_chat_member", content | {"old_chat_member": old, "new_chat_member": new})
        self._note("blocks" if blocked else "unblocks", self.user, {}, None)


def _keep(bot: Bot, tap: Tap) -> None:
    bot.taps[tap.id] = tap
    if len(bot.taps) > MAX_TAPS:
        del bot.taps[next(iter(bot.taps))]


def _bytes(data: bytes | str) -> bytes:
    return base64.b64decode(data) if isinstance(data, str) else data


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
