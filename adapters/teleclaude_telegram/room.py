"""The chat as it is known: its id, what it can do, and where each session is in it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import structlog
from telegram import Message

from teleclaude.api import AdapterContext, Hub
from teleclaude.errors import TeleclaudeError
from teleclaude.model import Principal, Role, Screen
from teleclaude.wire.screens import ReadScreen
from teleclaude_telegram import render
from teleclaude_telegram.api import ApiError, BadRequest, BotApi, explain
from teleclaude_telegram.journal import Journal, Place
from teleclaude_telegram.looks import icons_of

log = structlog.get_logger(__name__)

SELF = Principal(name="local", role=Role.OWNER)
"""As whom the adapter itself asks, to show what there is."""

CHAT = "chat"
MODE = "mode"
CURRENT = "current"
IDENTITY = "identity"
ICONS = "icons"
TOPICS, PLAIN = "topics", "plain"
NO_TOPICS_SECONDS = 300.0
"""How long after a refusal no topic is tried again."""


def write_private(path: Path, data: bytes) -> None:
    """A file that only this user can read. Raises ``OSError``."""
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    path.write_bytes(data)


class Room:
    """``mode`` is topics or plain, None until Telegram could be asked. Places are kept in the journal as well."""

    def __init__(self, context: AdapterContext, api: BotApi, journal: Journal, folder: Path) -> None:
        self.context = context
        self.api = api
        self.journal = journal
        self.folder = folder
        self.chat_id: int = context.settings.chat_id
        self.mode: str | None = None
        self.is_sure = True
        """Whether the mode is still what it was when Telegram was asked."""
        self.username = ""
        self.current: str | None = None
        """In a chat without topics, the session that texts go to."""
        self.no_topics_until = 0.0
        """The bot may not make topics: until then sessions without one speak in the general one."""
        self.icons: dict[str, str] = {}
        """What topics may have as their icon: custom emoji ids by the emoji they show."""
        self.places: dict[str, Place] = {}
        self._threads: dict[int, str] = {}

    @property
    def hub(self) -> Hub:
        return self.context.hub

    @property
    def is_group(self) -> bool:
        return self.chat_id < 0

    @property
    def bot_id(self) -> str:
        return self.api.bot.token.partition(":")[0]

    def now(self) -> float:
        """Wall time in seconds."""
        return self.context.clock.now().timestamp()

    async def load(self) -> None:
        """Take up what was known, as far as it was of this bot and this chat."""
        await self._same_bot_and_chat()
        for place in await self.journal.places():
            self.places[place.session_id] = place
            if place.thread is not None and not place.left:
                self._threads[place.thread] = place.session_id
        moved = await self.journal.setting(f"{CHAT}:{self.chat_id}")
        if moved is not None:
            self.chat_id = int(moved)
        self.mode = await self.journal.setting(f"{MODE}:{self.chat_id}")
        self.current = await self.journal.setting(CURRENT) or None
        self.icons = json.loads(await self.journal.setting(ICONS) or "{}")

    async def _same_bot_and_chat(self) -> None:
        """Another bot counts its updates anew, and in another chat there are no topics yet."""
        bot = self.bot_id
        identity = f"{bot}:{self.context.settings.chat_id}"
        before = await self.journal.setting(IDENTITY)
        if before == identity:
            return
        if before is not None:
            log.warning("telegram_begins_anew", before=before, now=identity)
            await self.journal.begin_anew(keep_offset=before.partition(":")[0] == bot)
        await self.journal.set(IDENTITY, identity)

    async def learn(self) -> None:
        """Ask Telegram who the bot is and what the chat can do. Raises ``ApiError``."""
        me = await self.api.bot.get_me()
        chat = await self.api.bot.get_chat(self.chat_id)
        topics = bool(chat.is_forum) if self.is_group else bool(me.has_topics_enabled)
        self.username = (me.username or "").lower()
        if topics:
            await self._learn_icons()
        self.mode = TOPICS if topics else PLAIN
        self.is_sure = True
        await self.journal.set(f"{MODE}:{self.chat_id}", self.mode)

    async def _learn_icons(self) -> None:
        """They are the same for all. What was known stays where nothing is learnt, and without any there are signs."""
        try:
            stickers = await self.api.bot.get_forum_topic_icon_stickers()
        except ApiError as error:
            log.info("telegram_no_icons", error=explain(error))
            return
        self.icons = icons_of((sticker.emoji, sticker.custom_emoji_id) for sticker in stickers)
        await self.journal.set(ICONS, json.dumps(self.icons))

    async def move(self, chat_id: int) -> None:
        """The group has become a supergroup with another id."""
        await self.journal.set(f"{CHAT}:{self.context.settings.chat_id}", str(chat_id))
        self.chat_id = chat_id
        self.mode = None

    def doubt(self) -> None:
        """What the chat can do, or the bot in it, is not what it was: it is asked for again before anything is said."""
        self.is_sure, self.no_topics_until = False, 0.0

    @property
    def may_make_topics(self) -> bool:
        """As far as is known."""
        return self.mode == TOPICS and self.context.clock.monotonic() >= self.no_topics_until

    def refuses_topics(self) -> None:
        """The bot lacks the right to make one."""
        self.no_topics_until = self.context.clock.monotonic() + NO_TOPICS_SECONDS

    def is_apart(self, place: Place) -> bool:
        """Whether it has a topic, so that nobody has to be told which session speaks."""
        return self.mode == TOPICS and place.thread is not None

    def place(self, session_id: str) -> Place | None:
        return self.places.get(session_id)

    def at(self, thread: int | None) -> Place | None:
        """Whose topic this is; in a chat without topics the current session."""
        if self.mode == PLAIN:
            return self.places.get(self.current or "")
        session_id = None if thread is None else self._threads.get(thread)
        return None if session_id is None else self.places.get(session_id)

    def left_from(self, thread: int | None) -> Place | None:
        """Which session of ours had this topic and has gone to another computer with it."""
        left = [place for place in self.places.values() if place.left and place.thread == thread]
        return max(left, key=lambda place: place.left_at) if left and self.at(thread) is None else None

    async def add(self, place: Place) -> None:
        """From now on the session has a place."""
        self.places[place.session_id] = place
        await self.keep(place)

    async def screen(self, place: Place) -> Screen | None:
        """What its terminal shows now; None where that cannot be known."""
        if place.left:
            return None
        try:
            return await self.hub.call(SELF, ReadScreen(id=place.session_id))
        except TeleclaudeError as error:
            log.debug("telegram_no_screen", session=place.session_id, error=str(error))
            return None

    async def last_screen(self, place: Place) -> str:
        """The last lines of that, as text; empty where it cannot be known."""
        screen = await self.screen(place)
        return "" if screen is None else render.screen_text(screen.lines, render.FINAL_LINES)

    async def keep(self, place: Place) -> None:
        """Write it down, after it was changed. One that was dropped meanwhile stays so."""
        if self.places.get(place.session_id) is not place:
            return
        for thread in [thread for thread, owner in self._threads.items() if owner == place.session_id]:
            if thread != place.thread or place.left:
                del self._threads[thread]
        if place.thread is not None and not place.left:
            self._threads[place.thread] = place.session_id
        await self.journal.keep(place)

    async def drop(self, session_id: str) -> None:
        place = self.places.pop(session_id, None)
        if place is not None and place.thread is not None and self._threads.get(place.thread) == session_id:
            del self._threads[place.thread]
        await self.journal.drop(session_id)

    async def turn_to(self, session_id: str | None) -> None:
        """In a chat without topics: texts go there from now on."""
        self.current = session_id
        await self.journal.set(CURRENT, session_id or "")

    async def expect_in(self, place: Place | None, message: Message) -> None:
        """Take it back when the server put it elsewhere silently. Raises ``BadRequest`` as for a deleted topic."""
        if place is not None and place.thread is not None and message.message_thread_id != place.thread:
            await self.tidy([message.message_id])
            raise BadRequest("message thread not found")

    async def tidy(self, message_ids: Iterable[int]) -> None:
        """Delete messages that have served; one that cannot be deleted stays."""
        ids = list(message_ids)
        for start in range(0, len(ids), 100):
            try:
                await self.api.bot.delete_messages(self.chat_id, ids[start : start + 100])
            except ApiError as error:
                log.debug("telegram_not_tidied", error=explain(error))
