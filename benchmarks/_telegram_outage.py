"""Telegram: an hour without a network, while twenty sessions go on, with a clock that is moved by hand.

The outbox, the planner, the journal and the real client over HTTP are those of the adapter, and the Bot API server is
the strict fake with its budgets on. The terminals are made up, so an hour takes seconds and memory is the adapter's.
"""

from __future__ import annotations

import asyncio
import gc
import os
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from teleclaude.api import AdapterContext, Hub, TaskPolicy
from teleclaude.errors import GapError
from teleclaude.model import Activity, Chunk, Cursor, Kind, Prompt, PromptKind, PromptOption, Screen
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock
from teleclaude.testing.telegram import FakeBotApi
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.screens import ReadScreen
from teleclaude.wire.sessions import BoundsView, GetSession, SessionView, UpdateSession
from teleclaude_telegram.api import BotApi
from teleclaude_telegram.deliver import Deliverer
from teleclaude_telegram.journal import Journal, Place
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import GROUP, Plan, Rank
from teleclaude_telegram.room import Room

SESSIONS = 20
HOUR_SECONDS = 3600.0
STEP_SECONDS = 1.0
TURN_SECONDS = 30
DRAIN_SECONDS = 900.0
KEPT_LINES = 200


@dataclass(frozen=True, slots=True)
class Outage:
    """``waiting`` and ``rows`` are the most that waited in memory and in the journal; ``grown`` is memory, in bytes.

    ``wrong`` names what was not said afterwards exactly once.
    """

    grown: int
    waiting: int
    rows: int
    wrong: list[str]


async def outage(seconds: float = HOUR_SECONDS) -> Outage:
    """Let it pass, and then until everything has been said."""
    async with _play() as this:
        await this.warm_up()
        this.fake.outage(on=True)
        gc.collect()
        before, began = _resident(), this.clock.monotonic()
        waiting = rows = second = 0
        while this.clock.monotonic() - began < seconds:
            await this.second(second)
            second += 1
            waiting = max(waiting, len(this.outbox.plan))
            if second % 60 == 0:
                rows = max(rows, len(await this.room.journal.unsaid()))
        said = await this.last_words()
        waiting, rows = max(waiting, len(this.outbox.plan)), max(rows, len(await this.room.journal.unsaid()))
        gc.collect()
        grown = _resident() - before
        this.fake.outage(on=False)
        end = this.clock.monotonic() + DRAIN_SECONDS
        while len(this.outbox.plan) and this.clock.monotonic() < end:
            await this.step()
        return Outage(grown, waiting, rows, [words for words in said if this.times(words) != 1])


@dataclass(slots=True)
class _Terminal:
    """The kept lines are from offset ``start`` to ``end``; ``asks`` is the number of the question on its screen."""

    name: str
    lines: list[str] = field(default_factory=list)
    asks: int | None = None
    start: int = 0
    end: int = 0

    def says(self, line: str) -> None:
        self.lines.append(line)
        self.end += len(line) + 1
        if len(self.lines) > KEPT_LINES:
            self.start += len(self.lines.pop(0)) + 1

    def read(self, start: int, limit: int) -> Chunk:
        if start < self.start:
            raise GapError("older output is not kept", start=self.start)
        data = "\n".join([*self.lines, ""]).encode()[start - self.start :][:limit]
        return Chunk(start, start + len(data), self.end, data)

    def view(self) -> SessionView:
        return SessionView(
            id=self.name,
            name=self.name,
            kind=Kind.TERMINAL,
            computer="here",
            state="running",
            activity=Activity.WORKING,
            command=None,
            agent=None,
            cwd="/",
            cols=80,
            rows=24,
            title="",
            tags=[],
            epoch=1,
            created_at="",
            last_activity_at="",
            exit=None,
            output=BoundsView(start=self.start, end=self.end),
        )

    def screen(self) -> Screen:
        prompt = None
        if self.asks is not None:
            options = (PromptOption("Yes", ("y",)), PromptOption("No", ("n",)))
            prompt = Prompt(PromptKind.CONFIRM, f"Approval {self.asks}?", (), options, f"f{self.asks}")
        lines = tuple(self.lines[-23:])
        return Screen(80, 24, Cursor(0, 0, visible=True), False, "", lines, lines, self.end, True, prompt)


class _Terminals:
    """As much of the core as the outbox asks for."""

    def __init__(self) -> None:
        self.all = {f"s{number:02}": _Terminal(f"s{number:02}") for number in range(SESSIONS)}

    async def call(self, _principal: Any, command: Any, *, key: str | None = None) -> Any:
        terminal = self.all[command.id]
        match command:
            case ReadScreen():
                return terminal.screen()
            case ReadOutput():
                return terminal.read(command.from_ or 0, command.limit)
            case GetSession() | UpdateSession():
                return terminal.view()
        raise TypeError(f"nobody expected {command}")


@dataclass(slots=True)
class _Play:
    fake: FakeBotApi
    clock: ManualClock
    outbox: Outbox
    room: Room
    terminals: _Terminals
    deliverer: Deliverer
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def warm_up(self) -> None:
        """Topics are made, and everything has been loaded that is loaded once."""
        for second in range(60):
            await self.second(second)
        while len(self.outbox.plan):
            await self.step()

    async def second(self, second: int) -> None:
        """Each session says a line; now and then the turn of one is over."""
        await self.step()
        for number, terminal in enumerate(self.terminals.all.values()):
            terminal.says(f"{second}: {self.chance.random()}")
            self.outbox.show(terminal.name, {"do": "live"}, key=f"live:{terminal.name}", delay=2.0)
            if (second + number) % TURN_SECONDS == 0:
                await self._final(terminal)

    async def last_words(self) -> list[str]:
        """Every third session asks something, every third fails; all have said a last line."""
        said = []
        for number, terminal in enumerate(self.terminals.all.values()):
            words = f"the last of {terminal.name}."
            terminal.says(words)
            said.append(words)
            await self._final(terminal)
            if number % 3 == 0:
                terminal.asks = 1000 + number
                await self.deliverer.questions.ask(self.room.places[terminal.name], terminal.screen())
                said.append(f"Approval {terminal.asks}?")
            elif number % 3 == 1:
                failure = f"Ended: {terminal.name} with code 1."
                doc = {"do": "say", "text": failure, "silent": False}
                await self.outbox.say(terminal.name, Rank.FINAL, doc, key=f"ended:{terminal.name}")
                said.append(failure)
        return said

    async def step(self) -> None:
        """A second, and whatever is sent in it."""
        await self.clock.advance(STEP_SECONDS)
        quiet = 0
        while quiet < 10:
            await asyncio.sleep(0)
            quiet = 0 if self.outbox.busy else quiet + 1

    def times(self, words: str) -> int:
        """How often it was said; a question shows the lines above it, too."""
        found = self.fake.messages(words)
        return sum(words.startswith("Approval") or "Approval" not in message.shown for message in found)

    async def _final(self, terminal: _Terminal) -> None:
        doc = {"do": "final", "end": terminal.end, "silent": True}
        await self.outbox.say(terminal.name, Rank.FINAL, doc, key=f"final:{terminal.name}")


@asynccontextmanager
async def _play() -> AsyncIterator[_Play]:
    clock, terminals = ManualClock(), _Terminals()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-bench-")))
        fake = await stack.enter_async_context(FakeBotApi(clock=clock))
        group = fake.add_forum("Work", members=[fake.user(7, "Ann")])
        journal = await stack.enter_async_context(Journal(folder / "journal.db"))
        api = await stack.enter_async_context(
            BotApi(fake.token, base_url=fake.base_url, base_file_url=fake.base_file_url)
        )
        tasks = await stack.enter_async_context(TaskRegistry(clock))
        context = AdapterContext(
            cast(Hub, terminals), tasks, clock, "here", SimpleNamespace(chat_id=group.id), folder, folder
        )
        room = Room(context, api, journal, folder)
        await room.learn()
        for name in terminals.all:
            await room.add(Place(name, name))
        outbox = Outbox(Plan(GROUP), journal, clock, tasks, room.move)
        deliverer = Deliverer(room, outbox)
        tasks.spawn(lambda: outbox.run(deliverer.step), name="outbox", owner="bench", policy=TaskPolicy.RESTART)
        yield _Play(fake, clock, outbox, room, terminals, deliverer)


def _resident() -> int:
    """Memory of this process in bytes (the second number of ``/proc/self/statm``, in pages)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
