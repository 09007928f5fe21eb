"""The link to other computers as the core sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, TypeVar

from teleclaude.api import AdapterContext, OutputFollower, Peer
from teleclaude.errors import InvalidError
from teleclaude.events import Event
from teleclaude.model import Principal
from teleclaude.wire.base import Command
from teleclaude.wire.output import FollowOutput
from teleclaude_redis.calls import Calls
from teleclaude_redis.heard import OPERATION, EventReader
from teleclaude_redis.keyring import KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import Link
from teleclaude_redis.presence import Presence
from teleclaude_redis.watch import Means, following

R = TypeVar("R")


class RedisFabric:
    """Implements ``teleclaude.api.Fabric``."""

    def __init__(
        self, *, context: AdapterContext, calls: Calls, presence: Presence, ring: KeyRing, keys: Keys, link: Link
    ) -> None:
        self._context = context
        self._calls = calls
        self._presence = presence
        self._ring = ring
        self._keys = keys
        self._link = link

    def peers(self) -> Sequence[Peer]:
        return self._presence.peers()

    async def call(
        self,
        computer: str,
        principal: Principal,
        command: Command[R],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        return await self._calls.call(computer, principal, command, key=key, timeout=timeout)

    @asynccontextmanager
    async def follow_output(
        self, computer: str, principal: Principal, request: Command[Any]
    ) -> AsyncIterator[OutputFollower]:
        if not isinstance(request, FollowOutput):
            raise InvalidError(f"{request.operation} does not follow a stream", operation=request.operation)
        means = Means(
            computer=computer,
            calls=self._calls,
            ring=self._ring,
            keys=self._keys,
            link=self._link,
            tasks=self._context.tasks,
            clock=self._context.clock,
        )
        async with following(means, principal, request) as follower:
            yield follower

    @asynccontextmanager
    async def follow_events(self, computer: str, after: int | None) -> AsyncIterator[AsyncIterator[Event]]:
        await self._presence.require(computer, OPERATION)
        reader = EventReader(computer, ring=self._ring, keys=self._keys, link=self._link)
        start = await reader.start(after)
        async with aclosing(reader.read(start, lambda: self._presence.require(computer, OPERATION))) as events:
            yield events
