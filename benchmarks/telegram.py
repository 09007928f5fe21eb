"""Telegram: twenty busy sessions in one group for ten minutes of a clock that is moved by hand.

The outbox, the planner, the journal and the real client over HTTP are those of the adapter; the Bot API server is the
strict fake with its budgets on. The terminals are made up, so that ten minutes take seconds.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from benchmarks.frame import Row, at_least, at_most, figure
from teleclaude.api import AdapterContext, Hub, TaskPolicy
from teleclaude.model import Activity, Chunk, Cursor, Kind, Prompt, PromptKind, PromptOption, Screen
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock
from teleclaude.testing.telegram import Call, FakeBotApi, busiest
from teleclaude.wire.sessions import BoundsView, GetSession, ReadOutput, ReadScreen, SessionView, UpdateSession
from teleclaude_telegram.api import BotApi
from teleclaude_telegram.deliver import Deliverer
from teleclaude_telegram.journal import Journal, Place
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import GROUP, Plan, Rank
from teleclaude_telegram.room import Room

SESSIONS = 20
MINUTES = 10
STEP_SECONDS = 0.25
DRAIN_SECONDS = 300.0
APPROVAL_EVERY = 20.0
TURN_SECONDS = (20.0, 60.0)
COUNTED = ("sendMessage", "editMessageText", "createForumTopic", "editForumTopic", "closeForumTopic", "sendPhoto")


@dataclass(slots=True)
class Terminal:
    """Says a line every second; ``asks`` is the question on its screen."""

    name: str
    lines: list[str] = field(default_factory=list)
    asks: int | None = None
    turn_ends: float = 0.0

    @property
    def end(self) -> int:
        return sum(len(line) + 1 for line in self.lines)

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
            output=BoundsView(start=0, end=self.end),
        )

    def screen(self) -> Screen:
        prompt = None
        if self.asks is not None:
            options = (PromptOption("Yes", ("y",)), PromptOption("No", ("n",)))
            prompt = Prompt(PromptKind.CONFIRM, f"Approval {self.asks}?", (), options, f"f{self.asks}")
        lines = tuple(self.lines[-23:])
        return Screen(80, 24, Cursor(0, 0, visible=True), False, "", lines, lines, self.end, True, prompt)


class Terminals:
    """As much of the core as the outbox asks for."""

    def __init__(self) -> None:
        self.all = {f"s{number:02}": Terminal(f"s{number:02}") for number in range(SESSIONS)}

    async def call(self, _principal: Any, command: Any, *, key: str | None = None) -> Any:
        terminal = self.all[command.id]
        match command:
            case ReadScreen():
                return terminal.screen()
            case ReadOutput():
                start = command.from_ or 0
                data = "\n".join([*terminal.lines, ""]).encode()[start : start + command.limit]
                return Chunk(start, start + len(data), terminal.end, data)
            case GetSession() | UpdateSession():
                return terminal.view()
        raise TypeError(f"nobody expected {command}")


@dataclass(slots=True)
class Play:
    fake: FakeBotApi
    clock: ManualClock
    outbox: Outbox
    room: Room
    terminals: Terminals
    deliverer: Deliverer
    asked: dict[int, float] = field(default_factory=dict)
    chance: random.Random = field(default_factory=lambda: random.Random(7))

    async def run(self) -> None:
        """Ten minutes, and then until everything has been said."""
        now, last_second, next_approval = 0.0, -1, 70.0
        while now < MINUTES * 60:
            await self.step()
            now = self.clock.monotonic()
            if int(now) == last_second:
                continue
            last_second = int(now)
            for terminal in self.terminals.all.values():
                await self._second(terminal, now)
            if now >= next_approval:
                next_approval = now + self.chance.uniform(0.5, 1.5) * APPROVAL_EVERY
                await self._asks(now)
        for terminal in self.terminals.all.values():
            terminal.asks = None
            terminal.lines.append(f"the last of {terminal.name}")
            await self._final(terminal)
        end = now + DRAIN_SECONDS
        while len(self.outbox.plan) and self.clock.monotonic() < end:
            await self.step()

    async def _second(self, terminal: Terminal, now: float) -> None:
        terminal.lines.append(f"{now:.0f}: {self.chance.random()}")
        self.outbox.show(terminal.name, {"do": "live"}, key=f"live:{terminal.name}", delay=2.0)
        if now >= terminal.turn_ends:
            terminal.turn_ends = now + self.chance.uniform(*TURN_SECONDS)
            await self._final(terminal)

    async def _final(self, terminal: Terminal) -> None:
        doc = {"do": "final", "end": terminal.end, "silent": True}
        await self.outbox.say(terminal.name, Rank.FINAL, doc, key=f"final:{terminal.name}")

    async def _asks(self, now: float) -> None:
        terminal = self.chance.choice(list(self.terminals.all.values()))
        terminal.asks = len(self.asked)
        self.asked[terminal.asks] = now
        await self.deliverer.ask(self.room.places[terminal.name], terminal.screen())

    async def step(self) -> None:
        """A quarter of a second, and whatever is sent in it."""
        await self.clock.advance(STEP_SECONDS)
        quiet = 0
        while quiet < 10:
            await asyncio.sleep(0)
            quiet = 0 if self.outbox.busy else quiet + 1

    def counted(self) -> list[Call]:
        return [call for call in self.fake.calls() if call.method in COUNTED]

    def approvals(self) -> list[float]:
        """How long each one took to be there, in seconds; infinity for one that never came."""
        start = self.clock.now().timestamp() - self.clock.monotonic()
        there: dict[int, float] = {}
        for call in self.fake.calls("sendMessage", ok=True):
            text = str(call.params.get("text", ""))
            if "Approval " in text:
                number = int(text.split("Approval ")[1].split("?", maxsplit=1)[0])
                there.setdefault(number, call.at_ms / 1000 - start)
        return [there.get(number, float("inf")) - at for number, at in self.asked.items()]


@asynccontextmanager
async def play() -> AsyncIterator[Play]:
    clock, terminals = ManualClock(), Terminals()
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tc-bench-")))
        fake = await stack.enter_async_context(FakeBotApi(clock=clock))
        group = fake.add_forum("Work", members=[fake.user(7, "Ann")])
        tasks = await stack.enter_async_context(TaskRegistry(clock))
        journal = await stack.enter_async_context(Journal(folder / "journal.db"))
        api = await stack.enter_async_context(
            BotApi(fake.token, base_url=fake.base_url, base_file_url=fake.base_file_url)
        )
        settings = SimpleNamespace(chat_id=group.id)
        context = AdapterContext(cast(Hub, terminals), tasks, clock, "here", settings, folder, folder)
        room = Room(context, api, journal, folder)
        await room.learn()
        for name in terminals.all:
            await room.keep(Place(name, name))
        outbox = Outbox(Plan(GROUP), journal, clock, tasks, room.move)
        deliverer = Deliverer(room, outbox)
        tasks.spawn(lambda: outbox.run(deliverer.step), name="outbox", owner="bench", policy=TaskPolicy.RESTART)
        yield Play(fake, clock, outbox, room, terminals, deliverer)


async def measure() -> list[Row]:
    async with play() as this:
        await this.run()
        calls, approvals = this.counted(), this.approvals()
        last = [
            name
            for name in this.terminals.all
            if any(
                f"the last of {name}" in str(call.params.get("text"))
                for call in this.fake.calls("sendMessage", ok=True)
            )
        ]
        refused = [call for call in this.fake.calls() if call.status == 429]
        return [
            at_most(
                "telegram, 20 busy sessions: busiest minute", busiest([call.at_ms for call in calls], 60), "calls", 20
            ),
            at_most("telegram: refused for the rate (429)", len(refused), "calls", 0),
            at_most("telegram: sent while told to wait", len(this.fake.recorder.early), "calls", 0),
            figure("telegram: approvals asked", len(approvals), "questions"),
            at_most("telegram: slowest approval", max(approvals), "s", 3),
            at_least("telegram: final states delivered", len(last), "sessions", SESSIONS),
            figure("telegram: said or edited in 10 minutes", len(calls), "calls"),
        ]
