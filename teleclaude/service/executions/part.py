"""Executions put together: one object for the service to enter, ask for handlers and leave."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Self

import structlog

from teleclaude.api import Check, TaskPolicy
from teleclaude.bus import Bus
from teleclaude.clock import Clock
from teleclaude.process import Runner, become_subreaper, end_left_groups
from teleclaude.service.executions.commands import Commands
from teleclaude.service.executions.handlers import ExecutionHandlers, Handler
from teleclaude.service.executions.keeper import Keeper
from teleclaude.service.executions.lifetime import OWNER as LIFETIMES
from teleclaude.service.executions.lifetime import Lifetimes
from teleclaude.service.executions.live import ExecutionTable
from teleclaude.service.executions.lookup import ExecutionLookup
from teleclaude.service.executions.plans import Plans
from teleclaude.service.executions.policy import cgroups_of, command_environment, policy_of, unenforced_caps
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.service.executions.recovery import recover
from teleclaude.service.executions.retention import Retention
from teleclaude.service.lookup import Lookup
from teleclaude.service.metrics import Reading
from teleclaude.service.settings import Settings
from teleclaude.store import Database
from teleclaude.streams import StreamStore
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.base import Command

log = structlog.get_logger(__name__)

OWNER = "executions-upkeep"


class ExecutionPart:
    """An async context manager: entering it ends what an earlier daemon left, leaving it ends what runs.

    ``keeper`` is the door for other engines, ``lookup`` gives streams to whoever follows output.
    """

    def __init__(
        self,
        *,
        computer: str,
        sessions: Lookup,
        database: Database,
        bus: Bus,
        streams: StreamStore,
        settings: Settings,
        tasks: TaskRegistry,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._streams = streams
        self._settings = settings
        self._clock = clock
        self.records = ExecutionRecords(database, bus, clock)
        self.table = ExecutionTable()
        self.lookup = ExecutionLookup(self.table, self.records, streams, computer)
        self.keeper = Keeper(table=self.table, records=self.records, streams=streams, tasks=tasks, clock=clock)
        self._runner = Runner(
            tasks,
            clock,
            policy_of(settings.current),
            command_environment(os.environ),
            cgroups=cgroups_of(settings.current),
        )
        self.commands = Commands(keeper=self.keeper, runner=self._runner, tasks=tasks, clock=clock)
        self.executions = ExecutionHandlers(
            computer=computer,
            table=self.table,
            lookup=self.lookup,
            sessions=sessions,
            records=self.records,
            streams=streams,
            keeper=self.keeper,
            commands=self.commands,
            lifetimes=Lifetimes(settings, tasks, clock),
            settings=settings,
            clock=clock,
        )
        self.plans = Plans(
            computer=computer,
            launch=self.executions.launch,
            database=database,
            bus=bus,
            tasks=tasks,
            clock=clock,
        )
        self.retention = Retention(self.records, settings, clock, drop=self.executions.drop, trim=self.plans.trim)

    async def __aenter__(self) -> Self:
        if not become_subreaper():
            log.warning("no_subreaper", detail="descendants that leave their session are found by descent only")
        if self._runner.cgroups is not None:
            await end_left_groups(self._runner.cgroups)
        await recover(self.records, self._streams, self._clock)
        await self.plans.recover()
        await self._runner.__aenter__()
        self._settings.on_change(self.commands.resettle)
        self._tasks.spawn(self.retention.run, name="retention", owner=OWNER, policy=TaskPolicy.RESTART)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()
        for owner in (OWNER, LIFETIMES):
            await self._tasks.cancel_owner(owner, 1.0)

    async def stop(self) -> None:
        """End every command and store how. Does nothing the second time."""
        await self.plans.stop()
        await self.commands.stop()
        await self.plans.settle()

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {**self.executions.handlers(), **self.plans.handlers()}

    async def check(self) -> Check:
        """Whether programs can be started."""
        if self.commands.is_failing:
            return Check(ok=False, detail="the last programs could not be started; the log says why")
        counts = f"{self.commands.running} running, {self.commands.waiting} queued"
        unenforced = unenforced_caps(self._settings.current, self._runner.cgroups)
        return Check(ok=True, detail="; ".join([counts, *(f"{key} is not enforced" for key in unenforced)]))

    def readings(self) -> list[Reading]:
        return [
            ("teleclaude_executions_running", "Executions that hold a slot", lambda: self.commands.running),
            ("teleclaude_executions_queued", "Executions that wait for a slot", lambda: self.commands.waiting),
        ]
