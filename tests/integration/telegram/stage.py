"""The adapter on a real core with a real tmux, in this process, against the fake Bot API server."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from teleclaude.api import AdapterContext, Hub
from teleclaude.bus import Bus
from teleclaude.clock import Clock, SystemClock
from teleclaude.config import Config, TelegramConfig
from teleclaude.model import Principal, Role, Screen
from teleclaude.paths import Paths
from teleclaude.process import become_subreaper
from teleclaude.service import Core, Parts, Settings, build_core
from teleclaude.store import Database, EventLog
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.telegram import Bot, Budgets, Call, Chat, FakeBotApi, Message, Person, Tap, Topic
from teleclaude.tmux import TmuxServer
from teleclaude.wire.screens import ReadScreen
from teleclaude.wire.sessions import CreateSession, GetSession, ListSessions, SessionView
from teleclaude_redis import RedisAdapter
from teleclaude_telegram import TelegramAdapter, Timing
from teleclaude_telegram.plan import Job, Limits, Rank
from tests.support.tmux import PrivateTmux
from tests.support.wait import eventually

OWNER = Principal(name="local", role=Role.OWNER)
QUICK = Timing(limits=Limits(1000, 0.0, dict.fromkeys(Rank, 1000)), quiet=0.4)
"""No limits of ours, so that tests of other rules need not wait."""

ANN, BOB, EVE = 7, 8, 66

SAYS_BACK = "stty -echo; echo READY; exec cat"


class Stage:
    """``ann`` is the owner, ``bob`` may only look, ``eve`` is a stranger in the same group."""

    def __init__(
        self,
        home: Path,
        fake: FakeBotApi,
        clock: Clock,
        settings: dict[str, Any],
        timing: Timing,
        *,
        name: str = "here",
        bot: Bot | None = None,
        sections: dict[str, Any] | None = None,
    ) -> None:
        self.name = name
        self.bot = bot or fake.bot
        self._sections = sections or {}
        self.home = home
        self.work = home / "work"
        self.fake = fake
        self.ann = fake.user(ANN, "Ann")
        self.bob = fake.user(BOB, "Bob")
        self.eve = fake.user(EVE, "Eve")
        self.group: Chat
        self._clock = clock
        self._settings = settings
        self._timing = timing
        self._running = AsyncExitStack()
        self.tasks: TaskRegistry
        self.core: Core
        self.adapter: TelegramAdapter
        self._section: TelegramConfig
        self.tmux_socket = ""

    @property
    def hub(self) -> Hub:
        return self.core.hub

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def database(self) -> Path:
        return Paths(state=self.state, runtime=self.home / "run").database

    def config(self) -> Config:
        token = self.home / "token"
        token.touch(mode=0o600)
        token.write_text(self.bot.token)
        return Config.model_validate(
            {
                "computer": {"name": self.name, "trusted_dirs": [{"path": str(self.work), "name": "work"}]},
                "tmux": {"socket_name": self.tmux_socket},
                "sessions": {"shell": "/bin/sh", "cols": 80, "rows": 24},
                "telegram": {
                    "enabled": True,
                    "token_file": str(token),
                    "chat_id": self.group.id,
                    "users": {str(ANN): "owner", str(BOB): "viewer"},
                    "base_url": self.fake.base_url,
                    "base_file_url": self.fake.base_file_url,
                    **self._settings,
                },
                **self._sections,
            }
        )

    async def begin(self, stack: AsyncExitStack) -> None:
        """The core, then the adapter."""
        config = self.config()
        clock = SystemClock()
        paths = Paths(state=self.state, runtime=self.home / "run")
        for folder in (self.work, paths.state, paths.runtime):
            folder.mkdir(mode=0o700, exist_ok=True)
        self.tasks = await stack.enter_async_context(TaskRegistry(clock))
        database = await stack.enter_async_context(Database(paths.database, clock=clock))
        watcher = await stack.enter_async_context(make_watcher(self.tasks))
        streams = await stack.enter_async_context(
            StreamStore(paths.streams, watcher=watcher, segment_bytes=config.sessions.segment_bytes)
        )
        server = await stack.enter_async_context(
            TmuxServer(
                binary="tmux",
                socket_name=self.tmux_socket,
                transport="control",
                directory=paths.runtime,
                history_limit=2000,
                command_timeout=5,
                tasks=self.tasks,
                clock=clock,
            )
        )
        parts = Parts(
            settings=Settings(config),
            paths=paths,
            database=database,
            bus=Bus(EventLog(database)),
            streams=streams,
            server=server,
            tasks=self.tasks,
            clock=clock,
        )
        self.core = await stack.enter_async_context(build_core(parts))
        if config.redis.enabled:
            await stack.enter_async_context(RedisAdapter(self._context(config.redis)))
        await self.start()
        stack.push_async_callback(self.stop)

    async def start(self) -> None:
        """Start the adapter, or start it again."""
        self._section = self.config().telegram
        context = self._context(self._section, reloaded=lambda: self._section)
        self.adapter = await self._running.enter_async_context(TelegramAdapter(context, self._timing))

    def _context(self, settings: Any, **more: Any) -> AdapterContext:
        return AdapterContext(
            hub=self.hub,
            tasks=self.tasks,
            clock=self._clock,
            computer=self.core.computer,
            settings=settings,
            state_dir=self.state,
            runtime_dir=self.home / "run",
            **more,
        )

    def reload(self, **settings: Any) -> None:
        """As ``kill -HUP`` does with a changed config."""
        self._settings |= settings
        self._section = self.config().telegram

    async def stop(self) -> None:
        running, self._running = self._running, AsyncExitStack()
        await running.aclose()

    async def new(self, name: str, command: Any = None) -> Topic:
        """A session with its topic."""
        await self.hub.call(OWNER, CreateSession(name=name, command=command, cwd=str(self.work)))
        return await self.fake.until(lambda: self.fake.topic(name))

    async def new_echo(self, name: str) -> Topic:
        """A session that shows each line it was sent, once."""
        topic = await self.new(name, SAYS_BACK)
        await self.shows(name, "READY")
        return topic

    async def lines(self, name: str) -> list[str]:
        return [line.rstrip() for line in (await self.screen(name)).lines]

    async def session(self, name: str) -> SessionView:
        return await self.hub.call(OWNER, GetSession(id=name))

    async def sessions(self) -> list[str]:
        return [session.name for session in (await self.hub.call(OWNER, ListSessions())).sessions]

    async def screen(self, name: str) -> Screen:
        return await self.hub.call(OWNER, ReadScreen(id=name))

    async def shows(self, name: str, text: str) -> None:
        """Wait until the terminal shows this."""

        async def there() -> bool:
            return text in "\n".join((await self.screen(name)).lines)

        await eventually(there, timeout=10)

    async def said(self, text: str, topic: Topic | None = None, timeout: float = 10) -> Message:
        """Wait until the bot has said it."""
        return (await self.fake.until(lambda: self.fake.messages(text, topic=topic), timeout))[-1]

    async def button(self, label: str, topic: Topic | None = None) -> Message:
        return (await self.fake.until(lambda: self.fake.messages(topic=topic, button=label), 10))[-1]

    async def taps(self, who: Person, label: str, **options: Any) -> str:
        """Press it, and what the bot answers to that ("" for nothing)."""
        tap: Tap = await who.presses(label, chat=self.group, **options)
        await self.fake.until(lambda: tap.answer is not None)
        return (tap.answer or {}).get("text") or ""

    async def worked_off(self) -> None:
        """Wait until everything that people did so far has been taken and worked off."""
        updates = self.bot.updates
        last = max((update["update_id"] for update in updates.waiting), default=updates.confirmed)
        await eventually(lambda: updates.confirmed >= last, timeout=10)
        await eventually(self._nothing_waits, timeout=10)

    async def _nothing_waits(self) -> bool:
        return not await self.adapter.journal.waiting()

    def waiting(self) -> list[Job]:
        """What is to be said and has to wait."""
        return list(self.adapter._outbox.plan.jobs)

    def calls(self, *methods: str) -> list[Call]:
        return [call for method in methods for call in self.fake.calls(method)]


@asynccontextmanager
async def stage(
    *,
    budgets: Budgets | None = None,
    clock: Clock | None = None,
    fake_clock: Clock | None = None,
    private: str | None = None,
    timing: Timing = QUICK,
    sections: dict[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Stage]:
    """``private`` "topics" or "plain" plays in Ann's private chat with the bot, "group" in a group without topics."""
    home = Path(tempfile.mkdtemp(prefix="tc-"))
    async with FakeBotApi(budgets=budgets, clock=fake_clock) as fake, AsyncExitStack() as stack:
        this = Stage(home, fake, clock or SystemClock(), settings, timing, sections=sections)
        fake.bot.topics = private == "topics"
        people = [this.ann, this.bob, this.eve]
        if private == "group":
            this.group = fake.add_group("Work", members=people)
            this.group.members[fake.bot.user.id] = "administrator"  # it hears what is not said to it
        else:
            this.group = fake.private(this.ann) if private else fake.add_forum("Work", members=people)
        terminals = PrivateTmux(home / "run", "control")
        this.tmux_socket = terminals.socket_name
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        stack.push_async_callback(end_terminals, terminals)
        await this.begin(stack)
        await fake.until(fake.polling, 10)
        yield this


async def end_terminals(*terminals: PrivateTmux) -> None:
    """The core takes in orphans, so what the tmux servers leave is ours to wait for."""
    for one in terminals:
        await one.reap()

    def all_gone() -> bool:
        try:
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        except ChildProcessError:
            return True
        return False

    await eventually(all_gone, timeout=5)
    become_subreaper(adopt=False)
