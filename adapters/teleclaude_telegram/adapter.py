"""The adapter: what it is made of, and how it starts and ends."""

from __future__ import annotations

import asyncio
import stat
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog
import telegram

from teleclaude.api import AdapterContext, Check, TaskPolicy
from teleclaude.errors import UnavailableError
from teleclaude_telegram import beside, lanes, watch
from teleclaude_telegram.api import ApiError, BotApi, explain
from teleclaude_telegram.ask import Ask, Tools
from teleclaude_telegram.beside import WORKS, Beside
from teleclaude_telegram.commands import TABLE
from teleclaude_telegram.deliver import Deliverer
from teleclaude_telegram.desk import Desk
from teleclaude_telegram.journal import Journal
from teleclaude_telegram.outbox import UPLOADS, Outbox
from teleclaude_telegram.people import People
from teleclaude_telegram.plan import GROUP, PRIVATE, Limits, Plan, Rank
from teleclaude_telegram.poll import DEAF_SECONDS, Poller
from teleclaude_telegram.room import TOPICS, Room
from teleclaude_telegram.spool import held, sweep
from teleclaude_telegram.taps import Deed, Taps
from teleclaude_telegram.turns import QUIET_SECONDS
from teleclaude_telegram.watch import Watcher

log = structlog.get_logger(__name__)

OWNER = "telegram"
OWNERS = (OWNER, lanes.OWNER, UPLOADS, watch.OWNER, beside.OWNER)
STOP_SECONDS = 1.0
RETRY_SECONDS = 10.0
BEGIN_SECONDS = 10.0
"""For so long what was written waits until it is known which topic is whose."""
DESCRIPTION_CHARS = 256


@dataclass(frozen=True, slots=True)
class Timing:
    """``limits`` None are those that Telegram publishes for the kind of chat; ``quiet`` ends a turn, in seconds."""

    limits: Limits | None = None
    quiet: float = QUIET_SECONDS


class TelegramAdapter:
    """Implements ``teleclaude.api.Adapter``. Entering needs the token, and no network: that one may come later."""

    name = "telegram"

    def __init__(self, context: AdapterContext, timing: Timing | None = None) -> None:
        self._context = context
        self._timing = timing or Timing()
        self._stack = AsyncExitStack()
        self._poller: Poller
        self._outbox: Outbox
        self._desk: Desk
        self._room: Room
        self._known: asyncio.Event
        self._people = People(lambda: context.in_force.users)

    async def __aenter__(self) -> Self:
        context, settings = self._context, self._context.settings
        token = await asyncio.to_thread(_token, Path(settings.token_file))
        folder = context.state_dir / "telegram"
        async with AsyncExitStack() as stack:
            journal = await stack.enter_async_context(Journal(folder / "journal.db"))
            api = await asyncio.to_thread(
                BotApi, token, base_url=settings.base_url, base_file_url=settings.base_file_url
            )
            await stack.enter_async_context(api)
            room = Room(context, api, journal, folder)
            await room.load()
            self._room = room
            await self._build(room)
            stack.push_async_callback(self._leave)
            self._stack = stack.pop_all()
        if not len(self._people):
            log.warning("telegram_serves_nobody", hint="telegram.users is empty")
        log.info("telegram_adapter_started", chat_id=room.chat_id, users=len(self._people))
        return self

    async def _build(self, room: Room) -> None:
        context = self._context
        plan = Plan(self._timing.limits or (GROUP if room.is_group else PRIVATE))
        self._outbox = outbox = Outbox(plan, room.journal, context.clock, context.tasks, room.move)
        await outbox.load()
        await asyncio.to_thread(sweep, room.folder / "spool", [path for job in plan.jobs for path in held(job.doc)])
        deliverer = Deliverer(room, outbox)
        watcher = Watcher(room, outbox, deliverer.questions, self._timing.quiet)
        besides = Beside(context.tasks, room.journal, WORKS)
        tools = Tools(room, outbox, watcher, besides)

        async def say_late(request: Ask, deed: Deed) -> None:
            await desk.say_late(request, deed)

        self._desk = desk = Desk(tools, self._people, Taps(deliverer.questions, say_late))

        async def alarm(text: str) -> None:
            await outbox.say("", Rank.URGENT, {"do": "say", "text": text, "silent": False}, key="alarm")

        self._poller = Poller(room.api, room.journal, context.clock, desk.wake, alarm)

        self._known = known = asyncio.Event()

        async def answer() -> None:
            await known.wait()
            with suppress(TimeoutError):
                async with asyncio.timeout(BEGIN_SECONDS):
                    await watcher.begun.wait()
            await besides.resume(desk.remembered)
            await desk.run()

        async def follow() -> None:
            if room.mode is None:
                await known.wait()
            await watcher.run()

        async def speak() -> None:
            if room.mode is None:
                await known.wait()
            await outbox.run(deliverer.step)

        for name, work in (("poller", self._poller.run), ("desk", answer), ("watcher", follow), ("outbox", speak)):
            context.tasks.spawn(work, name=name, owner=OWNER, policy=TaskPolicy.RESTART)
        context.tasks.spawn(self._introduce(room), name="introduction", owner=OWNER)

    async def _introduce(self, room: Room) -> None:
        """Learn the chat and publish the commands; without a network, again until it is there."""
        while True:
            try:
                await room.learn()
                if self._context.settings.publish_commands:
                    await room.api.bot.set_my_commands(
                        [telegram.BotCommand(one.name, one.explanation[:DESCRIPTION_CHARS]) for one in TABLE],
                        scope=telegram.BotCommandScopeChat(room.chat_id),
                    )
                self._known.set()
                return
            except ApiError as error:
                if room.username:
                    self._known.set()
                self._outbox.trouble = explain(error)
                log.warning("telegram_not_introduced", error=explain(error))
                await self._context.clock.sleep(RETRY_SECONDS)

    @property
    def journal(self) -> Journal:
        return self._room.journal

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _leave(self) -> None:
        await self._outbox.finish(STOP_SECONDS)
        for owner in OWNERS:
            await self._context.tasks.cancel_owner(owner, STOP_SECONDS)

    async def check(self) -> Check:
        silence = self._poller.silence
        if self._poller.trouble:
            return Check(ok=False, detail=self._poller.trouble)
        if silence is None or silence > DEAF_SECONDS:
            return Check(
                ok=False, detail="no poll has succeeded yet" if silence is None else f"deaf for {silence:.0f} s"
            )
        waiting = len(self._outbox.plan)
        if self._outbox.trouble:
            return Check(ok=False, detail=f"hears, but cannot speak ({waiting} waiting): {self._outbox.trouble}")
        if self._room.mode == TOPICS and not self._room.may_make_topics:
            return Check(ok=False, detail="the bot may not make topics; make it administrator with that right")
        detail = f"last poll {silence:.0f} s ago, {waiting} messages waiting, {self._desk.refused} updates of strangers"
        return Check(ok=True, detail=detail)


def _token(path: Path) -> str:
    """Raises ``UnavailableError`` for a file that cannot be used."""
    try:
        found = path.stat()
        token = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UnavailableError(f"telegram.token_file: {error}", operation="telegram.start") from error
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise UnavailableError(
            f"telegram.token_file is open to others; run: chmod 600 {path}", operation="telegram.start"
        )
    if ":" not in token:
        raise UnavailableError(f"{path} holds no bot token", operation="telegram.start")
    return token


def adapter(context: AdapterContext) -> TelegramAdapter:
    """The factory that the entry point names."""
    return TelegramAdapter(context)
