"""A computer of the fleet inside the test's own process: the real adapter over a core that does nothing."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from teleclaude.api import AdapterContext, Fabric, KeyUse
from teleclaude.clock import SystemClock
from teleclaude.config.sections import RedisConfig, RedisPeer
from teleclaude.model import Principal
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.base import Command
from teleclaude.wire.places import ComputerList, ComputerView, ListComputers
from teleclaude_redis.adapter import RedisAdapter
from teleclaude_redis.inbox import Timing
from tests.support.fleet import HEARTBEAT_MS, TTL_MS
from tests.support.redis import RedisServer
from tests.support.wait import eventually

Answer = Callable[[Principal, Command[Any]], Any]


@dataclass
class StandInHub:
    """Implements what the adapter uses of ``Hub``: notes every call and answers what ``answer`` does."""

    answer: Answer
    version: str = "0.1.0"
    calls: list[tuple[Principal, Command[Any], str | None]] = field(default_factory=list)
    uses: list[KeyUse] = field(default_factory=list)
    refusals: list[tuple[str, str, str]] = field(default_factory=list)
    replies: dict[str, Any] = field(default_factory=dict)
    fabric: Fabric | None = None

    def attach_fabric(self, fabric: Fabric) -> Callable[[], None]:
        self.fabric = fabric
        return lambda: None

    async def call(
        self, principal: Principal, command: Command[Any], *, key: str | None = None, use: KeyUse = KeyUse.LASTING
    ) -> Any:
        if isinstance(command, ListComputers):
            this = ComputerView(
                name="peer", role="", version=self.version, state="online", last_seen="", sessions=0, problem=None
            )
            return ComputerList(computers=[this])
        self.uses.append(use)
        if key is not None and key in self.replies:
            return self.replies[key]
        self.calls.append((principal, command, key))
        reply = self.answer(principal, command)
        if asyncio.iscoroutine(reply):
            reply = await reply
        if key is not None:
            self.replies[key] = reply
        return reply

    def note_refused(self, name: str, operation: str, result: str) -> None:
        self.refusals.append((name, operation, result))

    @asynccontextmanager
    async def follow_events(self, *_: Any, **__: Any) -> AsyncIterator[AsyncIterator[Any]]:
        async def nothing() -> AsyncIterator[Any]:
            await asyncio.Event().wait()
            yield

        yield nothing()


@dataclass
class Peer:
    """``fabric`` asks others; ``hub`` is what others reach."""

    name: str
    hub: StandInHub
    adapter: RedisAdapter
    tasks: TaskRegistry

    @property
    def fabric(self) -> Fabric:
        assert self.hub.fabric is not None
        return self.hub.fabric

    async def sees(self, computer: str) -> None:
        """Until it knows that ``computer`` is online."""
        await eventually(lambda: any(peer.name == computer and peer.is_online for peer in self.fabric.peers()))


def _nothing(_principal: Principal, command: Command[Any]) -> Any:
    raise AssertionError(f"nobody was to ask for {command.operation}")


@asynccontextmanager
async def running_peer(
    name: str,
    server: RedisServer,
    key: Path,
    *,
    answer: Answer = _nothing,
    url: str | None = None,
    peers: dict[str, RedisPeer] | None = None,
    timing: Timing | None = None,
) -> AsyncIterator[Peer]:
    clock = SystemClock()
    settings = RedisConfig(
        enabled=True,
        url=SecretStr(url or server.url),
        key_file=key,
        peers=peers or {},
        heartbeat_ms=HEARTBEAT_MS,
        peer_ttl_ms=TTL_MS,
    )
    hub: Any = StandInHub(answer)
    folder = Path(tempfile.mkdtemp(dir=server.folder))
    async with TaskRegistry(clock) as tasks:
        context = AdapterContext(
            hub=hub, tasks=tasks, clock=clock, computer=name, settings=settings, state_dir=folder, runtime_dir=folder
        )
        adapter = RedisAdapter(context, timing or Timing(block=0.5, claim_idle=0.3, pause=0.05))
        async with adapter:
            yield Peer(name, hub, adapter, tasks)
