"""The life of the service: adopt at start, sweep and keep house while it runs, let go at the end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Self

import structlog

from teleclaude.api import TaskPolicy
from teleclaude.bus import Bus
from teleclaude.clock import Clock
from teleclaude.config import Config
from teleclaude.errors import TeleclaudeError
from teleclaude.events import Fact
from teleclaude.paths import Paths
from teleclaude.service.adopt import Adoptions
from teleclaude.service.executions.part import ExecutionPart
from teleclaude.service.foreign import ForeignServers
from teleclaude.service.handoff import HandoffPart
from teleclaude.service.health import Health
from teleclaude.service.hub import Service
from teleclaude.service.python.part import PythonPart
from teleclaude.service.reconcile import Reconciler
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import SessionTable
from teleclaude.service.terminals import Terminals
from teleclaude.service.tokens import Tokens
from teleclaude.service.upkeep import Upkeep
from teleclaude.store import Database
from teleclaude.streams import StreamStore
from teleclaude.tasks import TaskRegistry
from teleclaude.tmux import ServerIdentity, TmuxServer

log = structlog.get_logger(__name__)

OWNER = "core"
ADOPT_SECONDS = 10.0
SOCKET_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the service stands on, already entered."""

    settings: Settings
    paths: Paths
    database: Database
    bus: Bus
    streams: StreamStore
    server: TmuxServer
    tasks: TaskRegistry
    clock: Clock


class Core:
    """The running service; an async context manager. ``hub`` is what adapters talk to."""

    def __init__(
        self,
        *,
        parts: Parts,
        computer: str,
        hub: Service,
        health: Health,
        records: Records,
        table: SessionTable,
        terminals: Terminals,
        reconciler: Reconciler,
        adoptions: Adoptions,
        foreign: ForeignServers,
        upkeep: Upkeep,
        tokens: Tokens,
        executions: ExecutionPart,
        python: PythonPart,
        handoffs: HandoffPart,
    ) -> None:
        self.computer = computer
        self.hub = hub
        self.health = health
        self._parts = parts
        self._records = records
        self._table = table
        self._terminals = terminals
        self._reconciler = reconciler
        self._adoptions = adoptions
        self._foreign = foreign
        self._upkeep = upkeep
        self._tokens = tokens
        self.executions = executions
        self.python = python
        self._handoffs = handoffs

    async def __aenter__(self) -> Self:
        await self._parts.bus.start()
        await self._tokens.load()
        self._parts.server.on_gone(self._server_gone)
        self._parts.settings.on_change(self._resettle)
        await self._handoffs.believe()
        await self._reconciler.believe()
        await self._adopt()
        await self._adoptions.resume()
        await self._handoffs.resume()
        await self.executions.__aenter__()
        await self.python.__aenter__()
        for name, work in (
            ("sweep", self._reconciler.run),
            ("adopted", self._adoptions.run),
            ("socket", self._keep_socket),
            ("retention", self._upkeep.run_retention),
            ("upkeep", self._upkeep.run_slow),
        ):
            self._parts.tasks.spawn(work, name=name, owner=OWNER, policy=TaskPolicy.RESTART)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.python.__aexit__(None, None, None)
        await self.executions.__aexit__(None, None, None)
        for owner in ("handoff", OWNER, "terminals", "recorders"):
            stuck = await self._parts.tasks.cancel_owner(owner, 2.0)
            if stuck:
                log.warning("tasks_did_not_end", owner=owner, tasks=", ".join(stuck))
        for live in self._table:
            live.unwatch()
        await self._foreign.aclose()

    async def close_intake(self) -> None:
        """Refuse new commands, end executions, and let what is in flight end, for a bounded time."""
        await asyncio.gather(self.hub.close_intake(), self.executions.stop(), self.python.stop())

    @property
    def bus(self) -> Bus:
        """Where everything that happens is told."""
        return self._parts.bus

    async def note(self, fact: Fact) -> None:
        await self._records.note(fact)

    async def _adopt(self) -> None:
        """Without tmux there is nothing to adopt from yet: the sessions stay as stored and readiness says why."""
        try:
            async with asyncio.timeout(ADOPT_SECONDS):
                await self._reconciler.adopt()
        except (TeleclaudeError, TimeoutError) as error:
            log.warning("adoption_failed", error=str(error) or "no answer in time")
            self._parts.tasks.spawn(self._adopt_later, name="adopt", owner=OWNER, policy=TaskPolicy.RESTART)

    async def _adopt_later(self) -> None:
        while True:
            await self._parts.clock.sleep(1.0)
            try:
                async with asyncio.timeout(ADOPT_SECONDS):
                    await self._reconciler.adopt()
            except (TeleclaudeError, TimeoutError) as error:
                log.debug("adoption_waits", error=str(error))
            else:
                return

    async def _keep_socket(self) -> None:
        """People reach the sessions through tmux's socket, and somebody may have deleted it."""
        while True:
            await self._parts.clock.sleep(SOCKET_SECONDS)
            try:
                await self._parts.server.restore_socket()
            except TeleclaudeError as error:
                log.warning("tmux_socket_not_restored", error=str(error))

    async def _server_gone(self, _server: ServerIdentity) -> None:
        await self._reconciler.server_gone()

    def _resettle(self, config: Config) -> None:
        self._table.limit = config.sessions.max
