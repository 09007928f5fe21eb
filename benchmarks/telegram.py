"""Telegram: twenty busy sessions in one group for ten minutes, on a real core with real terminals.

Only time is not real: the adapter and the Bot API server, the strict fake with its budgets on, live ``SPEED`` times as
fast, and so do the programs. What the core and tmux take therefore counts ``SPEED`` times as well. The programs begin
together, so the first minute, in which all topics are made, counts like any other; a person presses keys all the time.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks._telegram_outage import outage
from benchmarks.frame import Row, at_least, at_most, figure
from teleclaude.testing.telegram import Budgets, Call, busiest
from teleclaude.testing.telegram.methods import COUNTED
from teleclaude.wire.sessions import CreateSession
from teleclaude_telegram import Timing
from teleclaude_telegram.turns import QUIET_SECONDS
from tests.integration.telegram.stage import OWNER, Stage, stage

SESSIONS = 20
MINUTES = 10.0
SPEED = 3.0
DRAIN_SECONDS = 300.0
FIRST_APPROVAL = 3.0
APPROVAL_EVERY = 20.0
PRESS_EVERY = 1.5
COMMAND_EVERY = 25.0
PRESSED = "keys"
"""The session whose keys are pressed."""

_PROGRAM = Path(__file__).with_name("_telegram_program.py")


class FastClock:
    """Implements ``teleclaude.clock.Clock``: ``speed`` seconds pass in one."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self.began = time.time()
        self._start = time.monotonic()

    def at(self, wall: float) -> float:
        """Seconds on this clock when the real one showed ``wall``, in seconds since the epoch."""
        return (wall - self.began) * self._speed

    def monotonic(self) -> float:
        return (time.monotonic() - self._start) * self._speed

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.began, UTC) + timedelta(seconds=self.monotonic())

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self._speed)


@dataclass(slots=True)
class Play:
    room: Stage
    clock: FastClock
    names: list[str]
    minutes: float
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    asked: int = 0

    async def run(self) -> None:
        """The minutes, and then until everything has been said."""
        async with asyncio.TaskGroup() as all_of_it:
            all_of_it.create_task(self._begin())
            all_of_it.create_task(self._asks())
            all_of_it.create_task(self._answers())
            all_of_it.create_task(self._presses())
            all_of_it.create_task(self._commands())
        for name in self.names:
            (self.room.work / f"{name}.end").touch()
        end = self.clock.monotonic() + DRAIN_SECONDS
        while self.clock.monotonic() < end and len(self.final()) < SESSIONS:
            await self.clock.sleep(1)

    @property
    def over(self) -> bool:
        return self.clock.monotonic() >= self.minutes * 60

    async def _begin(self) -> None:
        for name in (PRESSED, *self.names):
            words = ["cat"] if name == PRESSED else [sys.executable, str(_PROGRAM), name, str(SPEED)]
            await self.room.hub.call(OWNER, CreateSession(name=name, command=words, cwd=str(self.room.work)))

    async def _asks(self) -> None:
        await self.clock.sleep(FIRST_APPROVAL)
        while not self.over:
            name = self.chance.choice(self.names)
            ask = self.room.work / f"{name}.ask"
            if not ask.exists():
                ask.write_text(str(self.asked))
                self.asked += 1
            await self.clock.sleep(self.chance.uniform(0.5, 1.5) * APPROVAL_EVERY)

    async def _answers(self) -> None:
        while not self.over:
            for message in self.room.fake.messages(button="Yes"):
                if not message.deleted:
                    with suppress(LookupError):
                        await self.room.ann.presses("Yes", message=message, chat=self.room.group)
            await self.clock.sleep(1)

    async def _presses(self) -> None:
        """Somebody plays with the keys under a picture: as many replies as the budget gives."""
        fake, ann, group = self.room.fake, self.room.ann, self.room.group
        topic = await fake.until(lambda: fake.topic(PRESSED), 60)
        await ann.says("/screen", topic=topic)
        number = 0
        while not self.over:
            number += 1
            with suppress(LookupError):
                await ann.presses(("🔄", "1")[number % 2], chat=group)
            await self.clock.sleep(PRESS_EVERY)

    async def _commands(self) -> None:
        while not self.over:
            await self.clock.sleep(self.chance.uniform(0.5, 1.5) * COMMAND_EVERY)
            with suppress(LookupError):
                topic = self.room.fake.topic(self.chance.choice(self.names))
                await self.room.ann.says(self.chance.choice(("/log 3", "/who")), topic=topic)

    def counted(self) -> list[Call]:
        return [call for call in self.room.fake.calls() if call.method in COUNTED]

    def final(self) -> list[str]:
        said = [str(call.params.get("text")) for call in self.room.fake.calls("sendMessage", ok=True)]
        return [name for name in self.names if any(f"the last of {name}" in text for text in said)]

    def approvals(self) -> list[tuple[float, float]]:
        """When each was asked, and how long it took to be there, in seconds; infinity for one that never came."""
        there: dict[int, float] = {}
        for call in self.room.fake.calls("sendMessage", ok=True):
            text = str(call.params.get("text", ""))
            if "Approval " in text and "reply_markup" in call.params:
                number = int(text.split("Approval ", 1)[1].split("?", maxsplit=1)[0])
                there.setdefault(number, call.at_ms / 1000 - self.clock.began)
        asked = [line.split() for line in (self.room.work / "asked").read_text().splitlines()]
        times = [(int(number), self.clock.at(float(wall))) for number, wall in asked]
        return [(at, there.get(number, float("inf")) - at) for number, at in times]


async def measure() -> list[Row]:
    return [*await busy(), *await _outage()]


async def _outage() -> list[Row]:
    found = await outage()
    return [
        at_most("telegram, outage of an hour: growth of RSS", found.grown / (1 << 20), "MB", 4),
        at_most("telegram, outage of an hour: most that waited in memory", found.waiting, "messages", 4 * SESSIONS),
        at_most("telegram, outage of an hour: most that waited on disk", found.rows, "messages", 3 * SESSIONS),
        at_most("telegram, outage of an hour: not said afterwards just once", len(found.wrong), "messages", 0),
    ]


async def busy(minutes: float = MINUTES) -> list[Row]:
    clock = FastClock(SPEED)
    timing = Timing(quiet=QUIET_SECONDS / SPEED)
    async with stage(budgets=Budgets(), clock=clock, fake_clock=clock, timing=timing) as room:
        this = Play(room, clock, [f"s{number:02}" for number in range(SESSIONS)], minutes)
        await this.run()
        calls, approvals = this.counted(), this.approvals()
        first = [took for at, took in approvals if at < 60]
        refused = [call for call in room.fake.calls() if call.status == 429]
        times = [call.at_ms for call in calls]
        what = f"telegram, {SESSIONS} busy sessions"
        return [
            at_most(f"{what}: busiest minute", busiest(times, 60), "calls", 20),
            at_most("telegram: refused for the rate (429)", len(refused), "calls", 0),
            at_most("telegram: sent while told to wait", len(room.fake.recorder.early), "calls", 0),
            figure("telegram: approvals asked", len(approvals), "questions"),
            at_most("telegram: slowest approval", max(took for _, took in approvals), "s", 3),
            at_most("telegram: slowest approval in the first minute", max(first), "s", 3),
            at_least("telegram: final states delivered", len(this.final()), "sessions", SESSIONS),
            figure(
                f"telegram: said or edited in {minutes:g} minutes",
                sum(at < (clock.began + minutes * 60) * 1000 for at in times),
                "calls",
            ),
        ]
