"""Days of a service with real terminals, on a clock that the test moves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from teleclaude.bus import Bus
from teleclaude.clock import SystemClock
from teleclaude.config import Config
from teleclaude.errors import NotFoundError
from teleclaude.model import Principal, Role
from teleclaude.paths import Paths
from teleclaude.process import become_subreaper
from teleclaude.service.composition import build_core
from teleclaude.service.core import Core, Parts
from teleclaude.service.settings import Settings
from teleclaude.store import Database, EventLog
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry, process_start_time
from teleclaude.testing.clock import ManualClock
from teleclaude.wire.sessions import CloseSession, CreateSession, GetSession, SessionView
from tests.support.tmux import PrivateTmux, private_tmux, transport
from tests.support.wait import eventually

__all__ = ["private_tmux", "transport"]

OWNER = Principal("local", Role.OWNER)
HOUR = 3600.0
DAY = 24 * HOUR
WEEK_MS = int(7 * DAY * 1000)


class StandingClock(ManualClock):
    """Nobody wakes by himself: what is to be done in the course of a day is asked for."""

    async def sleep(self, seconds: float) -> None:
        await asyncio.Event().wait()


@dataclass
class House:
    core: Core
    settings: Settings
    clock: ManualClock
    paths: Paths
    tmux: PrivateTmux

    async def new(self, name: str) -> SessionView:
        return await self.core.hub.call(OWNER, CreateSession(name=name, command=["cat"]))

    async def close(self, name: str) -> SessionView:
        return await self.core.hub.call(OWNER, CloseSession(id=name, grace_ms=0))

    async def get(self, reference: str) -> SessionView | None:
        try:
            return await self.core.hub.call(OWNER, GetSession(id=reference))
        except NotFoundError:
            return None

    async def days(self, days: float) -> None:
        """Let time pass, and do every hour what is due."""
        for _ in range(round(days * 24)):
            await self.clock.advance(HOUR)
            await self.core._upkeep.do_slow()
            await self.core._upkeep.retain()

    def set(self, **sessions: Any) -> None:
        self.settings.replace(Config.model_validate({"sessions": sessions}))


@pytest.fixture
async def house(private_tmux: PrivateTmux, tmp_path: Path) -> AsyncIterator[House]:
    # What tmux and processes need is real time; what the service keeps house by is the test's.
    clock, real = StandingClock(datetime.now(UTC)), SystemClock()
    paths = Paths(state=tmp_path / "state", runtime=private_tmux.directory)
    paths.state.mkdir(mode=0o700)
    settings = Settings(Config())
    async with AsyncExitStack() as stack:
        tasks = await stack.enter_async_context(TaskRegistry(real))
        database = await stack.enter_async_context(Database(paths.database, clock=clock))
        watcher = await stack.enter_async_context(make_watcher(tasks))
        streams = await stack.enter_async_context(StreamStore(paths.streams, watcher=watcher, segment_bytes=4096))
        server = await stack.enter_async_context(private_tmux.open())
        parts = Parts(
            settings=settings,
            paths=paths,
            database=database,
            bus=Bus(EventLog(database)),
            streams=streams,
            server=server,
            tasks=tasks,
            clock=clock,
        )
        core = await stack.enter_async_context(build_core(parts))
        # A daemon adopts the orphans of its commands; those of a test belong to nobody here.
        become_subreaper(adopt=False)
        yield House(core, settings, clock, paths, private_tmux)


async def test_ended_sessions_and_all_their_files_go_after_a_week(house: House) -> None:
    ended, living = await house.new("ended"), await house.new("living")
    await house.close("ended")
    await house.days(6.9)
    assert (house.paths.streams / ended.id).is_dir()
    kept = await house.get("ended")
    assert kept is not None
    assert kept.state == "exited"
    await house.days(0.2)
    assert await house.get(ended.id) is None
    await eventually(lambda: [path.name for path in house.paths.streams.iterdir()] == [living.id])
    assert [path.name for path in (house.paths.state / "tmp").iterdir()] == [living.id]
    running = await house.get("living")
    assert running is not None
    assert running.state == "running"


async def test_an_idle_session_ends_with_its_program_and_a_busy_one_does_not(house: House) -> None:
    idle, busy = await house.new("idle"), await house.new("busy")
    pid = int(house.tmux.tmux("display-message", "-p", "-t", "=idle:", "#{pane_pid}"))
    house.set(idle_close_ms=int(2 * DAY * 1000))
    for _ in range(3):
        await house.days(0.9)
        await write(house, busy.id, house.clock.now().timestamp())
    ended = await house.get(idle.id)
    assert ended is not None
    assert ended.exit is not None
    assert (ended.state, ended.exit.reason) == ("exited", "idle")
    assert process_start_time(pid) is None
    running = await house.get(busy.id)
    assert running is not None
    assert running.state == "running"
    assert house.tmux.tmux("list-sessions", "-F", "#{session_name}").split() == ["_teleclaude", "busy"]


async def test_x43_a_clock_that_is_set_a_day_on_and_back_ends_and_drops_nothing(house: House) -> None:
    live, gone = await house.new("live"), await house.new("gone")
    await house.close("gone")
    house.set(idle_close_ms=int(12 * HOUR * 1000), keep_exited_ms=int(12 * HOUR * 1000))
    await house.days(0.1)
    for jump in (DAY, -DAY, 30 * DAY, -30 * DAY, DAY):
        house.clock.jump(jump)
        await house.days(1 / 24)
        running = await house.get(live.id)
        assert running is not None
        assert running.state == "running", jump
        assert await house.get(gone.id) is not None, jump
    await house.days(1)
    ended = await house.get(live.id)
    assert ended is None or ended.state == "exited"
    assert await house.get(gone.id) is None


async def write(house: House, session: str, at: float) -> None:
    """The session printed something ``at``."""
    folder = house.paths.streams / session / "pty"

    def written() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.000000000"))

    before = written()
    house.tmux.tmux("send-keys", "-t", "=busy:", "x", "Enter")
    await eventually(lambda: written() == before + len("x\r\n" * 2))
    [segment] = folder.glob("*.000000000")
    await asyncio.to_thread(os.utime, segment, (at, at))
