from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from teleclaude.api import TaskPolicy, Tasks
from teleclaude.errors import UnavailableError
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock
from tests.support.wait import eventually


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def registry(clock: ManualClock) -> AsyncIterator[TaskRegistry]:
    async with TaskRegistry(clock) as registry:
        yield registry


async def _forever() -> None:
    await asyncio.Event().wait()


async def _fail() -> None:
    raise ValueError("broken on purpose")


async def test_task_runs_and_is_counted(registry: TaskRegistry) -> None:
    done = asyncio.Event()

    async def work() -> None:
        done.set()

    tasks: Tasks = registry
    task = tasks.spawn(work(), name="work", owner="core")
    assert registry.counts.active == {"core": 1}
    await task
    assert done.is_set()
    await eventually(lambda: not registry.counts.active)
    counts = registry.counts
    assert (counts.started, counts.failed, counts.cancelled) == (1, 0, 0)


async def test_factory_runs_once_under_report(registry: TaskRegistry) -> None:
    runs = 0

    async def work() -> None:
        nonlocal runs
        runs += 1

    await registry.spawn(work, name="work", owner="core")
    assert runs == 1


async def test_report_failure_is_logged_with_its_trace(registry: TaskRegistry) -> None:
    with capture_logs() as logs:
        task = registry.spawn(_fail(), name="broken", owner="core")
        await asyncio.wait([task])
        await eventually(lambda: registry.counts.failed == 1)
    (entry,) = [line for line in logs if line["event"] == "task_failed"]
    assert (entry["task"], entry["owner"], entry["log_level"]) == ("broken", "core", "error")
    assert isinstance(entry["exc_info"], ValueError)
    assert registry.fatal is None


async def test_fatal_failure_is_announced(registry: TaskRegistry) -> None:
    waiter = registry.spawn(_wait_fatal(registry), name="waiter", owner="test")
    registry.spawn(_fail(), name="vital", owner="core", policy=TaskPolicy.FATAL)
    await asyncio.wait_for(waiter, 5)
    assert registry.fatal is not None
    assert registry.fatal.name == "vital"
    assert isinstance(registry.fatal.error, ValueError)


async def _wait_fatal(registry: TaskRegistry) -> None:
    await registry.wait_fatal()


async def test_restart_backs_off_and_caps(registry: TaskRegistry, clock: ManualClock) -> None:
    starts: list[float] = []

    async def work() -> None:
        starts.append(clock.monotonic())
        raise OSError("away")

    registry.spawn(work, name="link", owner="core", policy=TaskPolicy.RESTART)
    await clock.advance(200)
    gaps = [round(b - a, 3) for a, b in pairwise(starts)]
    assert gaps[:4] == [0.1, 0.2, 0.4, 0.8]
    assert gaps[-1] == 30.0
    assert max(gaps) == 30.0
    assert registry.counts.failed == len(starts)
    assert registry.counts.restarted == len(starts) - 1


async def test_restart_forgets_backoff_after_a_healthy_run(registry: TaskRegistry, clock: ManualClock) -> None:
    starts: list[float] = []

    async def work() -> None:
        starts.append(clock.monotonic())
        if len(starts) == 6:
            await clock.sleep(60)
        raise OSError("away")

    registry.spawn(work, name="link", owner="core", policy=TaskPolicy.RESTART)
    await clock.advance(64)
    assert round(starts[6] - starts[5], 3) == 60.1


async def test_restart_ends_by_returning(registry: TaskRegistry) -> None:
    async def work() -> None:
        return

    await registry.spawn(work, name="once", owner="core", policy=TaskPolicy.RESTART)
    assert registry.counts.restarted == 0


async def test_restart_refuses_a_coroutine(registry: TaskRegistry) -> None:
    with pytest.raises(TypeError, match="core/link"):
        registry.spawn(_forever(), name="link", owner="core", policy=TaskPolicy.RESTART)
    assert registry.counts.started == 0


async def test_cancel_owner_leaves_others_alone(registry: TaskRegistry) -> None:
    mine = registry.spawn(_forever(), name="a", owner="session:1")
    other = registry.spawn(_forever(), name="b", owner="session:2")
    assert await registry.cancel_owner("session:1", 5) == []
    assert mine.cancelled()
    assert not other.done()
    assert registry.counts.active == {"session:2": 1}
    assert registry.counts.cancelled == 1
    assert await registry.cancel_owner("session:unknown", 5) == []


async def test_cancel_before_first_step_leaves_no_unawaited_coroutine(registry: TaskRegistry) -> None:
    registry.spawn(_forever(), name="a", owner="core").cancel()
    registry.spawn(_forever, name="b", owner="core", policy=TaskPolicy.RESTART).cancel()
    await eventually(lambda: registry.counts.cancelled == 2)
    gc.collect()


async def test_cancel_owner_names_what_does_not_end(registry: TaskRegistry) -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    registry.spawn(stubborn(), name="stubborn", owner="core")
    registry.spawn(_forever(), name="polite", owner="core")
    await asyncio.sleep(0)
    with capture_logs() as logs:
        assert await registry.cancel_owner("core", 0.05) == ["stubborn"]
        assert registry.counts.active == {"core": 1}
        assert await registry.drain(0.05) == ["core/stubborn"]
    (entry,) = [line for line in logs if line["event"] == "tasks_not_drained"]
    assert entry["tasks"] == "core/stubborn"
    release.set()
    await eventually(lambda: not registry.counts.active)


async def test_a_task_may_cancel_its_own_owner(registry: TaskRegistry) -> None:
    sibling = registry.spawn(_forever(), name="sibling", owner="core")

    async def closer() -> None:
        assert await registry.cancel_owner("core", 5) == []

    await asyncio.wait_for(registry.spawn(closer(), name="closer", owner="core"), 5)
    assert sibling.cancelled()


async def test_cancel_reaches_what_a_dying_task_starts(registry: TaskRegistry) -> None:
    async def dying() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            registry.spawn(_forever(), name="heir", owner="core")

    registry.spawn(dying(), name="dying", owner="core")
    await asyncio.sleep(0)
    assert await registry.cancel_owner("core", 5) == []
    assert registry.counts.active == {}


async def test_closed_registry_ends_all_and_starts_nothing(clock: ManualClock) -> None:
    async with TaskRegistry(clock) as registry:
        task = registry.spawn(_forever(), name="a", owner="core")
    assert task.cancelled()
    with pytest.raises(UnavailableError, match="stopping"):
        registry.spawn(_forever(), name="late", owner="core")
    await registry.aclose()


async def test_settle_owner_lets_tasks_end_and_cancels_the_late(registry: TaskRegistry) -> None:
    done = asyncio.Event()

    async def quick() -> None:
        await asyncio.sleep(0)
        done.set()

    registry.spawn(quick(), name="quick", owner="core")
    late = registry.spawn(_forever(), name="late", owner="core")
    assert await registry.settle_owner("core", 0.05) == ["late"]
    assert done.is_set()
    assert late.cancelled()
    assert await registry.settle_owner("core", 0.05) == []
