"""Handing over put together: one object for the service to enter, ask for handlers and leave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import structlog

from teleclaude.api import TaskPolicy, Tasks
from teleclaude.clock import Clock
from teleclaude.errors import TeleclaudeError
from teleclaude.service.handoff.force import Force
from teleclaude.service.handoff.intake import Handler, Intake
from teleclaude.service.handoff.keeper import OWNER, Keeper
from teleclaude.service.handoff.ownership import Ownerships
from teleclaude.service.handoff.relay import Relay, Wait
from teleclaude.service.handoff.source import Source
from teleclaude.service.handoff.staging import Staging
from teleclaude.service.handoff.target import Target
from teleclaude.service.lookup import Lookup
from teleclaude.service.records import Records
from teleclaude.service.remote import Remote
from teleclaude.service.screens import Screens
from teleclaude.service.settings import Settings
from teleclaude.service.table import SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.streams import StreamStore
from teleclaude.tmux import Panes
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import HandoffSession, TakeSession
from teleclaude.wire.waits import WaitSession

log = structlog.get_logger(__name__)

TIDY_SECONDS = 5.0


class HandoffPart:
    """``believe`` before sessions are adopted, ``resume`` after. ``wait`` waits for a session that is here."""

    def __init__(
        self,
        *,
        computer: str,
        table: SessionTable,
        lookup: Lookup,
        records: Records,
        streams: StreamStore,
        terminals: Terminals,
        screens: Screens,
        panes: Panes,
        remote: Remote,
        wait: Wait,
        settings: Settings,
        tasks: Tasks,
        clock: Clock,
    ) -> None:
        self._tasks = tasks
        self._wait = wait
        self._clock = clock
        staging = Staging(streams, settings.current.sessions.segment_bytes)
        self._keeper = Keeper(
            ownerships=Ownerships(computer, records, clock),
            table=table,
            records=records,
            streams=streams,
            terminals=terminals,
            fabric=lambda: remote.fabric,
            tasks=tasks,
            clock=clock,
        )
        self._source = Source(
            computer=computer,
            keeper=self._keeper,
            lookup=lookup,
            records=records,
            screens=screens,
            staging=staging,
            settings=settings,
            fabric=lambda: remote.fabric,
            clock=clock,
        )
        self._intake = Intake(keeper=self._keeper, table=table, panes=panes, staging=staging, settings=settings)
        self._target = Target(
            keeper=self._keeper,
            table=table,
            streams=streams,
            terminals=terminals,
            intake=self._intake,
            staging=staging,
            settings=settings,
            clock=clock,
        )
        self.relay = Relay(keeper=self._keeper, remote=remote, table=table, records=records, clock=clock)
        self._force = Force(
            computer=computer,
            keeper=self._keeper,
            target=self._target,
            table=table,
            records=records,
            streams=streams,
            terminals=terminals,
            staging=staging,
            fabric=lambda: remote.fabric,
            clock=clock,
        )

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {
            HandoffSession: self._source.handoff,
            TakeSession: self._force.take,
            WaitSession: lambda principal, command: self.relay.wait(principal, command, self._wait),
            **self._intake.handlers(),
            **self._target.handlers(),
        }

    async def believe(self) -> None:
        await self._keeper.ownerships.load()
        self._keeper.believe()

    async def resume(self) -> None:
        await self._keeper.resume()
        self._tasks.spawn(self._tidy, name="handoff tidy", owner=OWNER, policy=TaskPolicy.RESTART)

    async def _tidy(self) -> None:
        while True:
            try:
                await self._target.resume()
                await self._intake.give_up_old()
                await self._keeper.ownerships.forget_old()
            except TeleclaudeError as error:
                log.warning("handoffs_not_tidied", error=str(error))
            await self._clock.sleep(TIDY_SECONDS)
