"""The fake server as tests and the demonstration use it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self, TypeVar

from teleclaude.clock import Clock, SystemClock
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock
from teleclaude.testing.telegram.door import Door
from teleclaude.testing.telegram.faults import Faults
from teleclaude.testing.telegram.limits import Budgets
from teleclaude.testing.telegram.people import Person
from teleclaude.testing.telegram.polling import Polls
from teleclaude.testing.telegram.recorder import Call, Deed, Entry, Recorder
from teleclaude.testing.telegram.transcript import transcript
from teleclaude.testing.telegram.troubles import Troubles, chat_id_of
from teleclaude.testing.telegram.world import Bot, Chat, Message, Topic, User, World

T = TypeVar("T")

OWNER = "fake-bot-api"
ADMINISTRATOR = frozenset({"can_manage_topics", "can_pin_messages", "can_delete_messages"})
FIRST_BOT = 7_000_000_001
FIRST_GROUP = -1_001_000_000_001
QUIET_TURNS = 20
THREAD_SECONDS = 0.0005
"""Real time for what a client does in a thread, such as writing down what came."""
SETTLE_SECONDS = 10.0


class FakeBotApi(Troubles):
    """A Bot API server on a loopback port; see the package's text. ``budgets`` None lifts the limits of the rate."""

    def __init__(self, *, clock: Clock | None = None, budgets: Budgets | None = Budgets()) -> None:  # noqa: B008 (frozen)
        self.clock = clock or SystemClock()
        self.world = World(lambda: self.clock.now().timestamp(), self.clock.monotonic, budgets)
        self.faults = Faults()
        self.recorder = Recorder()
        self._tasks = TaskRegistry(self.clock)
        self._polls = Polls(self.clock, self._tasks, OWNER)
        self._door = Door(self.world, self._polls, self.faults, self.recorder, self.clock)
        self._people: dict[int, Person] = {}
        self._changed = asyncio.Event()
        self.listeners: list[Callable[[Entry], None]] = []
        """Who hears of every new entry of the record."""
        self.world.on_update = self._updated
        self._polls.on_change = self._changed.set
        self.recorder.on_entry = self._happened
        self.bot = self.world.add_bot(
            f"{FIRST_BOT}:fake-token-of-the-first-bot", _bot_user(FIRST_BOT, "teleclaude_bot")
        )

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        await self._door.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._door.aclose()
        await self._tasks.aclose()

    @property
    def token(self) -> str:
        return self.bot.token

    @property
    def base_url(self) -> str:
        """For a client that puts the token and the method behind it."""
        return f"http://127.0.0.1:{self._door.port}/bot"

    @property
    def base_file_url(self) -> str:
        return f"http://127.0.0.1:{self._door.port}/file/bot"

    def add_bot(self, username: str) -> Bot:
        """One more bot account, with a token of its own."""
        bot_id = FIRST_BOT + len(self.world.bots)
        bot = self.world.add_bot(f"{bot_id}:fake-token-of-{username}", _bot_user(bot_id, username))
        self._note_world("add_bot", {"username": username})
        return bot

    def user(self, user_id: int, name: str | None = None, username: str | None = None) -> Person:
        """The person with this id, made when there is none."""
        if user_id not in self._people:
            user = User(user_id, name or f"User {user_id}", username)
            self.world.users[user_id] = user
            self._people[user_id] = Person(self.world, user, self._note)
        return self._people[user_id]

    def private(self, person: Person, bot: Bot | None = None) -> Chat:
        """The private chat of a person with a bot (the first one), started."""
        self._note_world("private", {"person": person.id, "bot": bot.user.username if bot else None})
        return self.world.private_with(bot or self.bot, person.user)

    def add_forum(
        self,
        title: str = "Work",
        *,
        members: Iterable[Person] = (),
        bots: Iterable[Bot] | None = None,
        rights: Iterable[str] = ADMINISTRATOR,
        chat_id: int | None = None,
    ) -> Chat:
        """A supergroup with topics, in which ``bots`` (all there are) are administrators with ``rights``."""
        return self._add_group(title, members, bots, rights, chat_id)

    def add_group(
        self,
        title: str = "Group",
        *,
        members: Iterable[Person] = (),
        bots: Iterable[Bot] | None = None,
        chat_id: int | None = None,
    ) -> Chat:
        """A plain group, in which the bots are members only."""
        return self._add_group(title, members, bots, None, chat_id)

    def _add_group(
        self,
        title: str,
        members: Iterable[Person],
        bots: Iterable[Bot] | None,
        rights: Iterable[str] | None,
        chat_id: int | None,
    ) -> Chat:
        members = tuple(members)
        action = "add_group" if rights is None else "add_forum"
        chat_id = chat_id or FIRST_GROUP - len(self.world.groups)
        chat = Chat(chat_id, "group" if rights is None else "supergroup", title, forum=rights is not None)
        chat.members = {person.id: "member" for person in members}
        for bot in self.world.bots.values() if bots is None else bots:
            chat.members[bot.user.id] = "member" if rights is None else "administrator"
            chat.rights[bot.user.id] = frozenset(rights or ())
        self.world.groups[chat_id] = chat
        args: dict[str, Any] = {"title": title, "chat_id": chat_id, "members": [_named(person) for person in members]}
        self._note_world(
            action, args if rights is None else args | {"rights": sorted(chat.rights.get(self.bot.user.id, ()))}
        )
        return chat

    def migrate(self, chat: Chat) -> Chat:
        """Turn a group into a supergroup with another id; the old id is refused from now on with the new one."""
        new = Chat(FIRST_GROUP - len(self.world.groups), "supergroup", chat.title, members=dict(chat.members))
        new.forum, new.rights = chat.forum, dict(chat.rights)
        self.world.groups[new.id] = new
        chat.migrated_to = new.id
        self._note_world("migrate", {"chat": chat.id})
        return new

    # Looking at what the bots have done.

    def messages(
        self,
        text: str = "",
        *,
        chat: Chat | None = None,
        topic: Topic | int | None = None,
        button: str | None = None,
        sender: Bot | None = None,
    ) -> list[Message]:
        """The bots' messages that are still there and have ``text`` in them and a ``button``, oldest first."""
        chats = [chat] if chat is not None else self._chats()
        thread = topic.id if isinstance(topic, Topic) else topic
        bots = {bot.user.id for bot in self.world.bots.values()} if sender is None else {sender.user.id}
        return [
            message
            for place in chats
            for message in place.messages.values()
            if not message.deleted
            and not message.service
            and message.sender.id in bots
            and text in message.shown
            and thread in (None, message.thread_id)
            and (button is None or button in message.buttons)
        ]

    def topics(self, chat: Chat | None = None) -> list[Topic]:
        """The topics that are still there, oldest first."""
        chats = [chat] if chat is not None else self._chats()
        return [topic for place in chats for topic in place.topics.values() if not topic.deleted]

    def topic(self, name: str, chat: Chat | None = None) -> Topic:
        """The newest topic with ``name`` in its title. Raises ``LookupError``."""
        found = [topic for topic in self.topics(chat) if name in topic.name]
        if not found:
            raise LookupError(f"no topic is called {name!r}; there are {[topic.name for topic in self.topics(chat)]}")
        return found[-1]

    def calls(self, method: str | None = None, *, chat: Chat | None = None, ok: bool | None = None) -> list[Call]:
        return self.recorder.calls(method, chat=chat_id_of(chat), ok=ok)

    def polling(self, bot: Bot | None = None) -> bool:
        """Whether a long poll waits now."""
        return self._polls.polling(bot or self.bot)

    def transcript(self) -> str:
        """The conversation so far, a line for each thing that was said or done."""
        return transcript(self.recorder, self.world)

    def save(self, path: Path) -> None:
        """Write an incident file: one JSON object a line. Raises ``OSError``."""
        self.recorder.save(path)

    async def until(self, predicate: Callable[[], T], timeout: float = 5.0) -> T:
        """Ask again after each thing that happens, until the answer is true; a ``LookupError`` means not yet.

        Raises ``TimeoutError`` after ``timeout`` seconds of real time, with the conversation so far.
        """
        try:
            async with asyncio.timeout(timeout):
                while True:
                    self._changed.clear()
                    answer = _ask(predicate)
                    if answer:
                        return answer
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"not so within {timeout:g} s; so far:\n{self.transcript()}") from None

    async def settle(self) -> None:
        """Wait until no call but long polls is being answered, and what a client does between two calls is done.

        Raises ``TimeoutError`` after ``SETTLE_SECONDS``.
        """
        async with asyncio.timeout(SETTLE_SECONDS):
            quiet = 0
            while quiet < QUIET_TURNS:
                await asyncio.sleep(THREAD_SECONDS if quiet % 5 == 4 else 0)
                quiet = 0 if self._door.busy else quiet + 1

    async def pass_time(self, seconds: float, *, step: float = 0.5) -> None:
        """Move a ``ManualClock`` on in steps, letting the calls of each step end before the next."""
        if not isinstance(self.clock, ManualClock):
            raise TypeError("only a ManualClock can be moved")
        left = seconds
        while left > 0:
            await self.clock.advance(min(step, left))
            await self.settle()
            left -= step

    def _chats(self) -> list[Chat]:
        private = [chat for bot in self.world.bots.values() for chat in bot.private.values()]
        return [*self.world.groups.values(), *private]

    def _updated(self, bot: Bot) -> None:
        self._polls.wake(bot)
        self._changed.set()

    def _happened(self, entry: Entry) -> None:
        self._changed.set()
        for listener in self.listeners:
            listener(entry)

    def _note(self, action: str, user: User, args: dict[str, Any], message: Message | None) -> None:
        actor = {"user_id": user.id, "name": user.first_name, "username": user.username}
        shown = None if message is None else message.view(nested=True)
        self.recorder.add(Deed(self._now_ms(), "user", action, actor, args, shown))


def _ask(predicate: Callable[[], T]) -> T | None:
    try:
        return predicate()
    except LookupError:
        return None


def _bot_user(bot_id: int, username: str) -> User:
    return User(bot_id, username.removesuffix("_bot"), username, is_bot=True)


def _named(person: Person) -> dict[str, Any]:
    return {"user_id": person.id, "name": person.user.first_name, "username": person.user.username}
