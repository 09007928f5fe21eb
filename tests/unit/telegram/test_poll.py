"""The long poll against the fake server, with a clock that is moved by hand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock
from teleclaude.testing.telegram import FakeBotApi
from teleclaude_telegram.api import BotApi
from teleclaude_telegram.journal import Journal
from teleclaude_telegram.poll import RIVAL_SECONDS, Poller, Rival

DAY = 24 * 3600.0


@dataclass(slots=True)
class Polling:
    fake: FakeBotApi
    clock: ManualClock
    journal: Journal
    poller: Poller
    told: list[str] = field(default_factory=list)

    async def until(self, predicate: Callable[[], bool]) -> None:
        """Let time pass until it is so, for two minutes at most."""
        for _ in range(240):
            if predicate():
                return
            await self.fake.pass_time(0.5)
        raise AssertionError("not so within two minutes")


@pytest.fixture
async def polling(tmp_path: Path) -> AsyncIterator[Polling]:
    clock, told = ManualClock(), list[str]()
    async with AsyncExitStack() as stack:
        fake = await stack.enter_async_context(FakeBotApi(clock=clock))
        journal = await stack.enter_async_context(Journal(tmp_path / "journal.db"))
        api = await stack.enter_async_context(
            BotApi(fake.token, base_url=fake.base_url, base_file_url=fake.base_file_url)
        )
        tasks = await stack.enter_async_context(TaskRegistry(clock))

        async def alarm(text: str) -> None:
            told.append(text)

        poller = Poller(api, journal, clock, lambda: None, alarm)
        tasks.spawn(poller.run, name="poller", owner="test")
        yield Polling(fake, clock, journal, poller, told)


async def test_x46_a_second_poller_is_said_in_the_chat_once(polling: Polling) -> None:
    fault = polling.fake.second_poller()
    await polling.until(lambda: "same token" in polling.poller.trouble)
    assert not polling.told  # it may be the poll of ours that was killed
    await polling.until(lambda: bool(polling.told))
    assert polling.clock.monotonic() >= RIVAL_SECONDS
    await polling.fake.pass_time(3 * RIVAL_SECONDS, step=5)
    assert len(polling.told) == 1
    fault.end()
    await polling.until(lambda: not polling.poller.trouble)


async def test_x36_after_a_week_of_silence_ids_may_begin_anew_below(polling: Polling) -> None:
    ann = polling.fake.user(7, "Ann")
    group = polling.fake.add_forum("Work", members=[ann])
    message = await ann.says("the last for long", chat=group)
    await polling.until(lambda: len(polling.fake.bot.updates.waiting) == 0)
    polling.clock.jump(7 * DAY)
    await polling.fake.pass_time(60, step=5)  # the poll that waits is asked anew
    polling.fake.inject({"update_id": 17, "message": message.view()})
    await polling.until(lambda: polling.fake.bot.updates.confirmed >= 0 and not polling.fake.bot.updates.waiting)
    assert [number for number, _ in await polling.journal.waiting()][-1] == 17


def test_x46_a_rival_is_told_of_when_it_stays_and_again_when_it_comes_back() -> None:
    rival = Rival()
    met = [at for at in (0, 5, 30, 59, 61, 70, 120, 400, 450, 470) if rival.met(at)]
    assert met == [61, 470]
