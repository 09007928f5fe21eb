from __future__ import annotations

import asyncio

import pytest

from teleclaude.python.pace import Pace


async def test_d23_a_burst_and_then_the_rate() -> None:
    pace = Pace(1000, 100)

    async def take() -> None:
        for _ in range(110):
            await pace.take()

    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(take())
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, rel=0.1)


def test_d23_made_outside_a_loop_and_used_inside_one() -> None:
    pace = Pace(1000, 1)
    waiting = pace.take()
    with pytest.raises(RuntimeError):
        waiting.send(None)
    asyncio.run(pace.take())


@pytest.mark.parametrize(("rate", "burst"), [(0, 1), (-1, 1), (1, 0)])
def test_a_pace_that_never_permits_is_refused(rate: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate above 0"):
        Pace(rate, burst)
