from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.bus import Bus, EventPage
from teleclaude.errors import GapError
from teleclaude.events import Event

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def event(seq: int) -> Event:
    return Event(seq, NOW, "session.state", f"s{seq % 3}", None, {"state": str(seq)})


class Log:
    """The stored log, in memory; ``reads`` counts how often it was asked."""

    def __init__(self, count: int = 0, oldest: int = 1) -> None:
        self.events = [event(seq) for seq in range(oldest, count + 1)]
        self.count = count
        self.oldest = oldest
        self.reads = 0

    def grow(self, number: int = 1) -> list[Event]:
        new = [event(seq) for seq in range(self.count + 1, self.count + 1 + number)]
        self.events += new
        self.count += number
        return new

    async def latest(self) -> int:
        return self.count

    async def page(self, after: int, limit: int, sessions: frozenset[str] | None) -> EventPage:
        self.reads += 1
        await asyncio.sleep(0)
        wanted = [e for e in self.events if e.seq > after and (sessions is None or e.session_id in sessions)][:limit]
        return EventPage(wanted, wanted[-1].seq if len(wanted) == limit else max(self.count, after), self.oldest)


async def started(log: Log) -> Bus:
    bus = Bus(log)
    await bus.start()
    return bus


async def take(events: AsyncIterator[Event], number: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(events)).seq for _ in range(number)]


async def nothing_more(events: AsyncIterator[Event]) -> bool:
    try:
        async with asyncio.timeout(0.02):
            await anext(events)
    except TimeoutError:
        return True
    return False


async def test_from_now_on() -> None:
    log = Log(5)
    bus = await started(log)
    async with bus.subscribe() as events:
        bus.publish(log.grow(2))
        assert await take(events, 2) == [6, 7]
        assert await nothing_more(events)
    assert log.reads == 0


async def test_replay_then_live() -> None:
    log = Log(5)
    bus = await started(log)
    async with bus.subscribe(after=3) as events:
        assert await take(events, 2) == [4, 5]
        bus.publish(log.grow())
        assert await take(events, 1) == [6]
    async with bus.subscribe(after=0) as events:
        assert await take(events, 6) == [1, 2, 3, 4, 5, 6]


async def test_only_some_sessions() -> None:
    log = Log(9)
    bus = await started(log)
    async with bus.subscribe(after=0, sessions=frozenset({"s1"})) as events:
        assert await take(events, 3) == [1, 4, 7]
        bus.publish(log.grow(4))
        assert await take(events, 2) == [10, 13]
        assert await nothing_more(events)


async def test_a_follower_that_fell_behind_reads_from_the_log() -> None:
    log = Log()
    bus = await started(log)
    async with bus.subscribe() as slow, bus.subscribe() as quick:
        for _ in range(500):
            bus.publish(log.grow(5))
            await take(quick, 5)
        assert log.reads == 0
        assert await take(slow, 2500) == list(range(1, 2501))
        assert 0 < log.reads < 20


async def test_a_cancelled_wait_loses_nothing() -> None:
    log = Log(3)
    bus = await started(log)
    async with bus.subscribe(after=0) as events:
        await take(events, 3)
        for _ in range(3):
            assert await nothing_more(events)
        bus.publish(log.grow())
        assert await take(events, 1) == [4]


async def test_announcements_out_of_order() -> None:
    log = Log()
    bus = await started(log)
    async with bus.subscribe() as events:
        first, second, third = log.grow(3)
        bus.publish([third])
        bus.publish([first])
        bus.publish([second])
        assert await take(events, 3) == [1, 2, 3]
        assert await nothing_more(events)
        bus.publish(log.grow())
        assert await take(events, 1) == [4]
    assert bus.latest == 4


async def test_an_old_number_is_told_of_the_gap() -> None:
    bus = await started(Log(20, oldest=11))
    with pytest.raises(GapError) as caught:
        async with bus.subscribe(after=5):
            pass
    assert caught.value.start == 11
    assert bus.subscribers == 0
    for after in (10, 0):
        async with bus.subscribe(after=after) as events:
            assert await take(events, 10) == list(range(11, 21))


async def test_a_follower_overtaken_by_trimming_is_told() -> None:
    log = Log(1)
    bus = await started(log)
    async with bus.subscribe() as events:
        for _ in range(300):
            bus.publish(log.grow(10))
        log.events, log.oldest = log.events[2000:], 2001
        with pytest.raises(GapError) as caught:
            await take(events, 1)
    assert caught.value.start == 2001


async def test_a_number_from_a_lost_log_is_from_now_on() -> None:
    log = Log(3)
    bus = await started(log)
    async with bus.subscribe(after=5000) as events:
        bus.publish(log.grow())
        assert await take(events, 1) == [4]


async def test_left_subscriptions_end() -> None:
    log = Log(3)
    bus = await started(log)
    async with bus.subscribe(after=0) as events:
        assert bus.subscribers == 1
    assert bus.subscribers == 0
    assert [event async for event in events] == []


@given(
    st.lists(st.integers(1, 40), max_size=60),
    st.integers(0, 50),
    st.none() | st.frozensets(st.sampled_from(["s0", "s1", "s2"])),
    st.randoms(use_true_random=False),
)
def test_every_event_exactly_once_in_order(
    growths: list[int], after: int, sessions: frozenset[str] | None, random: object
) -> None:
    async def scenario() -> None:
        log = Log(50)
        bus = await started(log)
        async with bus.subscribe(after, sessions) as events:
            seen: list[int] = []
            for number in growths:
                new = log.grow(number)
                parts = [new[: number // 2], new[number // 2 :]]
                random.shuffle(parts)  # type: ignore[attr-defined]
                for part in parts:
                    bus.publish(part)
                wanted = [e.seq for e in log.events if e.seq > after and (sessions is None or e.session_id in sessions)]
                if number % 3 == 0:
                    seen += await take(events, len(wanted) - len(seen))
                    assert seen == wanted
            wanted = [e.seq for e in log.events if e.seq > after and (sessions is None or e.session_id in sessions)]
            seen += await take(events, len(wanted) - len(seen))
            assert seen == wanted

    asyncio.run(scenario())
