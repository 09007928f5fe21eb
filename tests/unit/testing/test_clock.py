from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from teleclaude.testing.clock import ManualClock


async def test_time_stands_until_advanced() -> None:
    clock = ManualClock(datetime(2026, 3, 1, tzinfo=UTC))
    assert (clock.now(), clock.monotonic()) == (datetime(2026, 3, 1, tzinfo=UTC), 0)
    await clock.advance(1.5)
    assert clock.now() == datetime(2026, 3, 1, tzinfo=UTC) + timedelta(seconds=1.5)
    clock.jump(-3600)
    assert clock.monotonic() == 1.5
    assert clock.now() == datetime(2026, 2, 28, 23, 0, 1, 500_000, tzinfo=UTC)


async def test_sleepers_wake_in_order_of_their_deadlines() -> None:
    clock = ManualClock()
    seen: list[tuple[str, float]] = []

    async def sleeper(name: str, *naps: float) -> None:
        for nap in naps:
            await clock.sleep(nap)
            seen.append((name, clock.monotonic()))

    async with asyncio.TaskGroup() as group:
        group.create_task(sleeper("slow", 3))
        group.create_task(sleeper("often", 1, 1, 1.5))
        group.create_task(sleeper("now", 0))
        await clock.advance(3)
        assert clock.sleepers == 1
        await clock.advance(1)
    assert seen == [("now", 0), ("often", 1), ("often", 2), ("slow", 3), ("often", 3.5)]
    assert clock.sleepers == 0


async def test_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await clock.sleep(5)
    assert clock.sleepers == 0
    await clock.advance(10)
    assert clock.monotonic() == 10
