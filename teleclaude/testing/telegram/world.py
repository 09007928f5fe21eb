"""What Telegram knows: bots, users, chats, topics, messages, taps and files. Pure: the time is a function given in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from teleclaude.testing.telegram.keyboard import Keyboard
from teleclaude.testing.telegram.limits import Budgets, Ledger
from teleclaude.testing.telegram.refusal import ApiError, bad_request, forbidden
from teleclaude.testing.telegram.text import Entity
from teleclaude.testing.telegram.updates import Updates

ChatType = Literal["private", "group", "supergroup"]
Membership = Literal["administrator", "member", "restricted", "left", "kicked"]

GENERAL = 1
MAX_MESSAGES = 50_000
MAX_TAPS = 10_000
MAX_FILES = 2_000


@dataclass(frozen=True, slots=True)
class User:
    id: int
    first_name: str
    username: str | None = None
    is_bot: bool = False

    def view(self) -> dict[str, Any]:
        view: dict[str, Any] = {"id": self.id, "is_bot": self.is_bot, "first_name": self.first_name}
        return view | ({"username": self.username} if self.username else {})


@dataclass(slots=True)
class Topic:
    id: int
    name: str
    icon_color: int
    icon_custom_emoji_id: str = ""
    closed: bool = False
    deleted: bool = False
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class File:
    id: str
    path: str
    data: bytes
    name: str
    mime: str
    size: int
    """What Telegram says its size is; of a large one the fake need not hold the bytes."""

    @property
    def unique_id(self) -> str:
        return self.id[-12:]


@dataclass(slots=True)
class Message:
    """``content`` holds the fields of a service message or of media as the API has them."""

    chat: Chat
    id: int
    date: int
    sender: User
    thread_id: int | None = None
    text: str | None = None
    entities: list[Entity] = field(default_factory=list)
    content: dict[str, Any] = field(default_factory=dict)
    caption: str | None = None
    keyboard: Keyboard | None = None
    silent: bool = False
    service: bool = False
    reply_to: int | None = None
    edit_date: int | None = None
    deleted: bool = False
    reactions: dict[int, str] = field(default_factory=dict)
    """By user id."""
    edits: int = 0
    extra: dict[str, Any] = field(default_factory=dict)
    """Further fields of the API's object: ``forward_origin``, ``via_bot``, ``sender_chat`` …"""

    @property
    def shown(self) -> str:
        """Its text or caption."""
        return self.text if self.text is not None else self.caption or ""

    @property
    def buttons(self) -> list[str]:
        return [button["text"] for row in self.keyboard or [] for button in row]

    def view(self, *, nested: bool = False) -> dict[str, Any]:
        view: dict[str, Any] = {"message_id": self.id, "date": self.date, "chat": self.chat.view()}
        view["from"] = self.sender.view()
        if self.thread_id is not None and self.thread_id != GENERAL:
            view |= {"message_thread_id": self.thread_id, "is_topic_message": True}
        if self.edit_date is not None:
            view["edit_date"] = self.edit_date
        if self.text is not None:
            view |= {"text": self.text} | ({"entities": self.entities} if self.entities else {})
        if self.caption is not None:
            view |= {"caption": self.caption} | ({"caption_entities": self.entities} if self.entities else {})
        view |= self.content
        if self.keyboard:
            view["reply_markup"] = {"inline_keyboard": self.keyboard}
        if not nested:
            view |= self._replied()
        return view | self.extra

    def _replied(self) -> dict[str, Any]:
        """In a topic everything answers the topic's first message, if nothing else."""
        target = self.reply_to or (self.thread_id if not self.service else None)
        found = self.chat.messages.get(target) if target else None
        return {"reply_to_message": found.view(nested=True)} if found and found is not self else {}


@dataclass(slots=True)
class Chat:
    id: int
    type: ChatType
    title: str = ""
    forum: bool = False
    user: User | None = None
    """The other side of a private chat."""
    members: dict[int, Membership] = field(default_factory=dict)
    rights: dict[int, frozenset[str]] = field(default_factory=dict)
    """What an administrator may do, as ``ChatMemberAdministrator`` names it."""
    topics: dict[int, Topic] = field(default_factory=dict)
    messages: dict[int, Message] = field(default_factory=dict)
    pinned: list[int] = field(default_factory=list)
    drafts: dict[int, tuple[str, float]] = field(default_factory=dict)
    """By draft id: the text, and the monotonic time at which it fades."""
    migrated_to: int | None = None
    general: Topic = field(default_factory=lambda: Topic(GENERAL, "General", 0x6FB9F0))
    last_id: int = 1
    """A chat begins with the message that tells of it; so no topic has the id of the general one."""

    @property
    def is_group(self) -> bool:
        return self.type != "private"

    def view(self) -> dict[str, Any]:
        if self.user is not None:
            named = {"username": self.user.username} if self.user.username else {}
            return {"id": self.id, "type": "private", "first_name": self.user.first_name} | named
        return {"id": self.id, "type": self.type, "title": self.title} | ({"is_forum": True} if self.forum else {})

    def add(self, sender: User, date: int, **fields: Any) -> Message:
        """A new message in this chat."""
        self.last_id += 1
        message = Message(self, self.last_id, date, sender, **fields)
        self.messages[message.id] = message
        if len(self.messages) > MAX_MESSAGES:
            del self.messages[next(iter(self.messages))]
        return message

    def alive(self, message_id: int | None) -> Message | None:
        message = self.messages.get(message_id or 0)
        return None if message is None or message.deleted else message

    def can(self, user_id: int, right: str) -> bool:
        return self.members.get(user_id) == "administrator" and right in self.rights.get(user_id, frozenset())


@dataclass(slots=True)
class Tap:
    """A pressed button; ``answer`` is what the bot answered with."""

    id: str
    user: User
    message: Message
    data: str
    at: float
    answer: dict[str, Any] | None = None


@dataclass(slots=True)
class Bot:
    """One bot account. ``topics`` is BotFather's threaded mode, ``privacy`` its privacy mode."""

    token: str
    user: User
    ledger: Ledger
    topics: bool = False
    users_may_create_topics: bool = True
    privacy: bool = True
    updates: Updates = field(default_factory=Updates)
    private: dict[int, Chat] = field(default_factory=dict)
    blocked: set[int] = field(default_factory=set)
    taps: dict[str, Tap] = field(default_factory=dict)
    commands: dict[str, list[dict[str, str]]] = field(default_factory=dict)
    """By scope and language."""
    webhook: str = ""

    def view(self) -> dict[str, Any]:
        return self.user.view() | {
            "can_join_groups": True,
            "can_read_all_group_messages": not self.privacy,
            "supports_inline_queries": False,
            "has_topics_enabled": self.topics,
            "allows_users_to_create_topics": self.topics and self.users_may_create_topics,
        }


class World:
    """``date`` answers wall-clock seconds, ``monotonic`` seconds that never run backwards."""

    def __init__(self, date: Callable[[], float], monotonic: Callable[[], float], budgets: Budgets | None) -> None:
        self._date = date
        self.monotonic = monotonic
        self._budgets = budgets
        self.bots: dict[str, Bot] = {}
        self.users: dict[int, User] = {}
        self.groups: dict[int, Chat] = {}
        self.files: dict[str, File] = {}
        self.on_update: Callable[[Bot], None] = lambda _bot: None

    def date(self) -> int:
        return int(self._date())

    def add_bot(self, token: str, user: User) -> Bot:
        bot = Bot(token, user, Ledger(self._budgets))
        self.bots[token] = bot
        return bot

    def add_file(self, data: bytes, name: str, mime: str, size: int | None = None) -> File:
        file_id = f"F{len(self.files) + 1:04d}{secrets.token_urlsafe(24)}"
        suffix = name[name.rfind(".") :] if "." in name and len(name) < 200 else ""
        path = f"documents/file_{len(self.files) + 1}{suffix if suffix[1:].isalnum() else ''}"
        file = File(file_id, path, data, name, mime, len(data) if size is None else size)
        self.files[file_id] = file
        if len(self.files) > MAX_FILES:
            del self.files[next(iter(self.files))]
        return file

    def chat(self, bot: Bot, chat_id: int) -> Chat:
        """The chat as this bot may use it. Raises ``ApiError``."""
        if chat_id > 0:
            return self._private(bot, chat_id)
        chat = self.groups.get(chat_id)
        if chat is None:
            raise bad_request("chat not found")
        if chat.migrated_to is not None:
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise ApiError(400, text, migrate_to_chat_id=chat.migrated_to)
        kind = "supergroup" if chat.type == "supergroup" else "group"
        match chat.members.get(bot.user.id, "left"):
            case "kicked":
                raise forbidden(f"bot was kicked from the {kind} chat")
            case "left":
                raise forbidden(f"bot is not a member of the {kind} chat")
        return chat

    def _private(self, bot: Bot, user_id: int) -> Chat:
        chat = bot.private.get(user_id)
        if chat is None:
            if user_id in self.users:
                raise forbidden("bot can't initiate conversation with a user")
            raise bad_request("chat not found")
        if user_id in bot.blocked:
            raise forbidden("bot was blocked by the user")
        return chat

    def private_with(self, bot: Bot, user: User) -> Chat:
        """The private chat of a user with a bot, begun when it is not there."""
        if user.id not in bot.private:
            bot.private[user.id] = Chat(user.id, "private", user=user)
        return bot.private[user.id]

    def announce(self, bot: Bot, kind: str, content: dict[str, Any]) -> int:
        """Queue an update for one bot; its id."""
        update_id = bot.updates.add(kind, content, self._date())
        self.on_update(bot)
        return update_id

    def listeners(self, chat: Chat) -> Iterator[Bot]:
        """The bots in a chat."""
        for bot in self.bots.values():
            if chat.is_group:
                if chat.members.get(bot.user.id, "left") not in ("left", "kicked"):
                    yield bot
            elif bot.private.get(chat.id) is chat and chat.id not in bot.blocked:
                yield bot
