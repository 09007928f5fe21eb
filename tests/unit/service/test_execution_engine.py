from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from teleclaude.bus import Bus
from teleclaude.clock import SystemClock
from teleclaude.errors import IndeterminateError
from teleclaude.model import (
    CompletedState,
    Ending,
    Execution,
    ExecutionSpec,
    FailedState,
    ProcessIdentity,
    QueuedState,
    RunningState,
)
from teleclaude.process import ExecutionPolicy, Runner, runner
from teleclaude.service.executions.commands import Commands
from teleclaude.service.executions.keeper import OWNER, Keeper
from teleclaude.service.executions.live import ExecutionTable
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.store import Database, EventLog, db
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry

CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Parts:
    keeper: Keeper
    table: ExecutionTable
    records: ExecutionRecords
    tasks: TaskRegistry
    database: Database


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(TaskRegistry(CLOCK))
        database = await stack.enter_async_context(Database(tmp_path / "state.db", clock=CLOCK))
        watcher = await stack.enter_async_context(make_watcher(tasks))
        streams = await stack.enter_async_context(
            StreamStore(tmp_path / "streams", watcher=watcher, segment_bytes=1 << 20)
        )
        table, records = ExecutionTable(), ExecutionRecords(database, Bus(EventLog(database)), CLOCK)
        keeper = Keeper(table=table, records=records, streams=streams, tasks=tasks, clock=CLOCK)
        yield Parts(keeper, table, records, tasks, database)


async def test_the_end_of_a_deleted_one_is_not_waited_for(parts: Parts) -> None:
    spec = ExecutionSpec(argv=("true",), cwd="/")
    running = RunningState(CLOCK.now(), ProcessIdentity(4242, 1))
    execution = Execution(id="a", computer="here", spec=spec, state=running, created_at=CLOCK.now(), owner="o")
    live = await parts.keeper.open(execution)
    await parts.records.delete(execution)
    async with asyncio.timeout(5):
        await parts.keeper.finish(live, CompletedState(Ending(completed_at=CLOCK.now(), exit_code=0)), {})
    assert live.ended.is_set()
    assert parts.table.find("a") is None
    assert await parts.tasks.settle_owner(OWNER, 1.0) == []


async def test_one_whose_record_came_too_late_is_withdrawn(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db, "DEADLINE_SECONDS", 0.1)
    disk = threading.Event()
    parts.database.write_soon(lambda _connection: disk.wait(5))
    spec = ExecutionSpec(argv=("true",), cwd="/")
    execution = Execution(id="a", computer="here", spec=spec, state=QueuedState(), created_at=CLOCK.now(), owner="o")
    with pytest.raises(IndeterminateError):
        await parts.keeper.open(execution)
    disk.set()
    monkeypatch.undo()
    await parts.database.flush()
    assert await parts.records.get("a") is None
    assert parts.table.find("a") is None


async def test_b11_a_fault_while_it_is_started_is_its_end(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(pid: int, start_time: int) -> None:
        raise OSError("no watch today")

    monkeypatch.setattr(runner, "watch_child", broken)
    async with Runner(parts.tasks, CLOCK, ExecutionPolicy(), {"PATH": "/usr/bin:/bin"}) as running:
        commands = Commands(keeper=parts.keeper, runner=running, tasks=parts.tasks, clock=CLOCK)
        spec = ExecutionSpec(argv=("sleep", "600"), cwd="/")
        execution = Execution(
            id="a", computer="here", spec=spec, state=QueuedState(), created_at=CLOCK.now(), owner="o"
        )
        live = await commands.start(execution, commands.prepare(spec, "a"))
        async with asyncio.timeout(5):
            await live.ended.wait()
        state = live.execution.state
        assert isinstance(state, FailedState)
        assert state.error is not None
        assert "no watch today" in state.error.message
        assert (commands.running, parts.table.find("a")) == (0, None)
