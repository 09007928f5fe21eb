"""Days of housekeeping on a clock that the test moves: what goes, when, and what stays."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pytest

from teleclaude.bus import Bus
from teleclaude.config import Config
from teleclaude.model import Activity, Exit, Exited, Kind, PaneIdentity, Running, Session, SessionSpec
from teleclaude.service.audit import Audit
from teleclaude.service.executions.live import ExecutionTable
from teleclaude.service.once import Journal
from teleclaude.service.python.sessions import PythonSessions
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import Live, SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.service.upkeep import Upkeep
from teleclaude.service.views import Views
from teleclaude.store import Database, EventLog
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock

HOUR = 3600.0
DAY = 24 * HOUR


@dataclass
class House:
    """``closed`` and ``purged`` are what upkeep asked for; closing itself is shown with real terminals elsewhere."""

    clock: ManualClock
    settings: Settings
    table: SessionTable
    records: Records
    streams: StreamStore
    views: Views
    upkeep: Upkeep
    closed: list[str] = field(default_factory=list)
    purged: list[str] = field(default_factory=list)

    async def close(self, live: Live, _grace_ms: int | None, reason: str) -> None:
        self.closed.append(f"{live.id} {reason}")
        self.table.remove(live)

    async def purge(self, session_id: str) -> None:
        self.purged.append(session_id)
        await self.records.delete(session_id)

    def set(self, **sessions: Any) -> None:
        self.settings.replace(Config.model_validate({"sessions": sessions}))

    async def days(self, days: float, step: float = HOUR) -> None:
        """Let time pass and do what is due every ``step`` seconds."""
        for _ in range(round(days * DAY / step)):
            await self.clock.advance(step)
            await self.upkeep.purge_ended()
            await self.upkeep.close_idle()

    def session(self, name: str, **fields: Any) -> Session:
        pane = PaneIdentity(1, 1, "$1", "%1", 1, 1)
        return Session(
            id=f"S{name}",
            name=name,
            kind=fields.pop("kind", Kind.TERMINAL),
            computer="box",
            spec=SessionSpec(command=None, cwd="/"),
            state=fields.pop("state", Running(pane)),
            created_at=self.clock.now(),
            owner="local",
            **fields,
        )

    def live(self, name: str, **fields: Any) -> Live:
        session = self.session(name, **fields)
        live = Live(session, self.streams.get(session.id))
        self.table.insert(live, operation="test")
        return live


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    clock = ManualClock(datetime.now(UTC))
    settings = Settings(Config())
    async with (
        TaskRegistry(clock) as tasks,
        make_watcher(tasks) as watcher,
        StreamStore(tmp_path / "streams", watcher=watcher, segment_bytes=4096) as streams,
        Database(tmp_path / "state.db", clock=clock) as database,
    ):
        records = Records(database, Bus(EventLog(database)), clock)
        table = SessionTable(100)
        views = Views(streams, settings, clock)
        made = House(clock, settings, table, records, streams, views, cast(Upkeep, None))
        made.upkeep = Upkeep(
            table=table,
            executions=ExecutionTable(),
            records=records,
            streams=streams,
            terminals=cast(Terminals, made),
            python=cast(PythonSessions, made),
            views=made.views,
            journal=Journal(database, clock),
            audit=Audit(database, clock),
            settings=settings,
            clock=clock,
            purge=made.purge,
        )
        yield made


async def test_ended_sessions_are_kept_for_a_week_and_no_longer(house: House) -> None:
    for name in ("first", "second"):
        await house.records.insert(house.session(name))
        end = Exited(Exit(code=0, signal=None, at=house.clock.now(), reason="exited"))
        await house.records.save(house.session(name, state=end))
        await house.days(2)
    await house.records.insert(house.session("living"))
    await house.days(2.9)
    assert house.purged == []
    await house.days(0.2)
    assert house.purged == ["Sfirst"]
    await house.days(30)
    assert house.purged == ["Sfirst", "Ssecond"]
    assert [session.name for session in await house.records.live()] == ["living"]


async def test_idle_sessions_are_closed_only_where_that_is_asked_for(house: House) -> None:
    house.live("idle")
    await house.days(30, step=DAY)
    assert house.closed == []
    house.live("young")
    house.live("users", tmux_socket="/tmp/s")
    house.set(idle_close_ms=int(2 * DAY * 1000))
    await house.days(1)
    assert house.closed == ["Sidle idle"]
    await house.days(0.9)
    assert house.closed == ["Sidle idle"]
    await house.days(0.2)
    assert house.closed == ["Sidle idle", "Syoung idle"]
    await house.days(10)
    assert house.closed == ["Sidle idle", "Syoung idle"]


async def test_a_python_session_is_idle_between_its_cells_only(house: House) -> None:
    house.set(idle_close_ms=int(2 * DAY * 1000))
    live = house.live("py", kind=Kind.PYTHON, state=Running(None))
    for activity in (Activity.WORKING, Activity.NEEDS_INPUT, Activity.UNKNOWN):
        house.views.python = lambda _session, said=activity: said
        await house.days(5)
    house.views.python = lambda _session: Activity.IDLE
    live.since = house.clock.now()
    await house.days(1.9)
    assert house.closed == []
    await house.days(0.2)
    assert house.closed == ["Spy idle"]


async def test_a_clock_set_back_purges_nothing_early(house: House) -> None:
    await house.records.insert(house.session("ended"))
    end = Exited(Exit(code=0, signal=None, at=house.clock.now(), reason="exited"))
    await house.records.save(house.session("ended", state=end))
    house.clock.jump(-timedelta(days=3).total_seconds())
    await house.days(8)
    assert house.purged == []
    await house.days(3)
    assert house.purged == ["Sended"]
