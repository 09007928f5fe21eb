from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleclaude.bus import Bus
from teleclaude.clock import SystemClock
from teleclaude.errors import NotFoundError
from teleclaude.events import ExecutionStateChanged
from teleclaude.model import (
    CompletedState,
    Ending,
    Execution,
    ExecutionSpec,
    ProcessIdentity,
    RunningState,
    StartingState,
)
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.store import Database, EventLog
from tests.support.wait import eventually

CLOCK = SystemClock()
RUNNING = RunningState(CLOCK.now(), ProcessIdentity(4242, 1))
ENDED = CompletedState(Ending(completed_at=CLOCK.now(), exit_code=0))


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with Database(tmp_path / "state.db", clock=CLOCK) as opened:
        yield opened


@pytest.fixture
def records(database: Database) -> ExecutionRecords:
    return ExecutionRecords(database, Bus(EventLog(database)), CLOCK)


def execution(id_: str) -> Execution:
    return Execution(
        id=id_,
        computer="here",
        spec=ExecutionSpec(argv=("true",), cwd="/"),
        state=StartingState(),
        created_at=CLOCK.now(),
        owner="o",
    )


async def told(database: Database) -> list[tuple[str | None, object]]:
    page = await EventLog(database).page(0, 100, None)
    return [(event.execution_id, event.data["status"]) for event in page.events]


async def test_what_nobody_waits_for_goes_to_the_disk_by_itself(records: ExecutionRecords, database: Database) -> None:
    one = execution("a")
    await records.insert(one)
    records.save_soon(one.moved_to(RUNNING), ExecutionStateChanged(status="running"))

    async def stored() -> bool:
        found = await records.get("a")
        return found is not None and found.state == RUNNING

    await eventually(stored)
    assert await told(database) == [("a", "running")]


async def test_or_with_the_next_write_and_before_it(records: ExecutionRecords, database: Database) -> None:
    one, other = execution("a"), execution("b")
    await records.insert(one)
    await records.insert(other)
    records.save_soon(one.moved_to(RUNNING), ExecutionStateChanged(status="running"))
    records.save_soon(other.moved_to(RUNNING), ExecutionStateChanged(status="running"))
    await records.save(one.moved_to(RUNNING).moved_to(ENDED), ExecutionStateChanged(status="completed"))
    assert await told(database) == [("a", "running"), ("b", "running"), ("a", "completed")]
    found = await records.get("a")
    assert found is not None
    assert found.state == ENDED


async def test_who_has_been_deleted_meanwhile_costs_the_others_nothing(
    records: ExecutionRecords, database: Database
) -> None:
    one = execution("a")
    await records.insert(one)
    records.save_soon(execution("gone").moved_to(RUNNING), ExecutionStateChanged(status="running"))
    records.save_soon(one.moved_to(RUNNING), ExecutionStateChanged(status="running"))
    with pytest.raises(NotFoundError):
        await records.save(execution("gone").moved_to(RUNNING).moved_to(ENDED))

    async def stored() -> bool:
        return await told(database) == [("a", "running")]

    await eventually(stored)


async def test_a_write_that_fails_brings_back_no_state_that_has_passed(
    records: ExecutionRecords, database: Database
) -> None:
    one = execution("a")
    await records.insert(one)
    running = one.moved_to(RUNNING)
    records.save_soon(running, ExecutionStateChanged(status="running"))
    gone, _ = await asyncio.gather(
        records.save(execution("gone").moved_to(RUNNING)),
        records.save(running.moved_to(ENDED), ExecutionStateChanged(status="completed")),
        return_exceptions=True,
    )
    assert isinstance(gone, NotFoundError)
    await database.flush()
    found = await records.get("a")
    assert found is not None
    assert found.state == ENDED
    assert await told(database) == [("a", "completed")]


async def test_an_outcome_is_stored_and_told_once(records: ExecutionRecords, database: Database) -> None:
    one = execution("a")
    await records.insert(one)
    running = one.moved_to(RUNNING)
    for _ in range(2):
        await records.save(running.moved_to(ENDED), ExecutionStateChanged(status="completed"))
    assert await told(database) == [("a", "completed")]


async def test_who_gives_up_waiting_tells_nothing_twice(records: ExecutionRecords, database: Database) -> None:
    one, other = execution("a"), execution("b")
    await records.insert(one)
    await records.insert(other)
    records.save_soon(one.moved_to(RUNNING), ExecutionStateChanged(status="running"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await records.save(other.moved_to(RUNNING), ExecutionStateChanged(status="running"))
    await database.flush()
    assert await told(database) == [("a", "running"), ("b", "running")]
