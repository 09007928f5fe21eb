"""The adapter: other computers through one Redis, which may come and go."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from typing import Any, Self

import structlog

from teleclaude.api import AdapterContext, Check, TaskPolicy
from teleclaude.errors import TeleclaudeError
from teleclaude.model import Principal, Role
from teleclaude.wire.places import ListComputers
from teleclaude_redis import desk, relay, watch
from teleclaude_redis.calls import Calls, Request
from teleclaude_redis.desk import Desk
from teleclaude_redis.events import Events
from teleclaude_redis.fabric import RedisFabric
from teleclaude_redis.inbox import Inbox, Timing
from teleclaude_redis.keyring import KeyRing, load_keyring
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, explain
from teleclaude_redis.presence import Presence, keep
from teleclaude_redis.redisclock import RedisClock
from teleclaude_redis.relay import UNWATCH, WATCH, Relays

log = structlog.get_logger(__name__)

OWNER = "redis"
OWNERS = (OWNER, desk.OWNER, relay.OWNER, watch.OWNER)
STOP_SECONDS = 1.0
PING_SECONDS = 1.0

SELF = Principal(name="local", role=Role.OWNER)


class RedisAdapter:
    """Implements ``teleclaude.api.Adapter``. Entering needs the keys, and no Redis: that one may come later."""

    name = "redis"

    def __init__(self, context: AdapterContext, timing: Timing | None = None) -> None:
        self._context = context
        self._timing = timing or Timing()
        self._failures: dict[str, str] = {}
        self._stack = AsyncExitStack()
        self._presence: Presence
        self._link: Link

    async def __aenter__(self) -> Self:
        context, settings = self._context, self._context.settings
        ring = await asyncio.to_thread(load_keyring, context.computer, settings)
        async with AsyncExitStack() as stack:
            self._link = link = Link(settings.url.get_secret_value())
            stack.push_async_callback(link.aclose)
            self._build(stack, ring, Keys(settings.namespace), link)
            self._stack = stack.pop_all()
        log.info("redis_adapter_started", place=link.place)
        return self

    def _build(self, stack: AsyncExitStack, ring: KeyRing, keys: Keys, link: Link) -> None:
        context = self._context
        instance = secrets.token_hex(6)
        redis_clock = RedisClock(context.clock)
        self._presence = Presence(
            computer=context.computer,
            instance=instance,
            ring=ring,
            keys=keys,
            link=link,
            clock=context.clock,
            ttl_ms=context.settings.peer_ttl_ms,
            describe=self._describe,
        )
        calls = Calls(
            computer=context.computer,
            ring=ring,
            keys=keys,
            link=link,
            clock=context.clock,
            redis_clock=redis_clock,
            presence=self._presence,
            abandoned=lambda request: self._abandon(calls, request),
        )
        relays = Relays(context=context, ring=ring, keys=keys, link=link)
        mail = Desk(
            context=context,
            ring=ring,
            keys=keys,
            link=link,
            redis_clock=redis_clock,
            others={WATCH: relays.watch, UNWATCH: relays.unwatch},
        )
        inbox = mail.inbox = Inbox(
            computer=context.computer,
            consumer=f"{context.computer}-{instance}",
            keys=keys,
            link=link,
            clock=context.clock,
            redis_clock=redis_clock,
            take=mail.take,
            failed=self._noter("inbox"),
            timing=self._timing,
        )
        fabric = RedisFabric(context=context, calls=calls, presence=self._presence, ring=ring, keys=keys, link=link)
        events = Events(context=context, ring=ring, keys=keys, link=link)
        stack.push_async_callback(events.aclose)
        stack.push_async_callback(self._leave)
        stack.callback(context.hub.attach_fabric(fabric))
        heartbeat = context.settings.heartbeat_ms / 1000
        for name, work in (
            ("inbox", inbox.run),
            ("presence", lambda: keep(self._presence, context.clock, heartbeat, self._noter("presence"))),
            ("events", events.run),
        ):
            context.tasks.spawn(work, name=name, owner=OWNER, policy=TaskPolicy.RESTART)

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _leave(self) -> None:
        for owner in OWNERS:
            # While it connects, the client library may lose a cancellation (8.1): whoever goes on is told again.
            if await self._context.tasks.cancel_owner(owner, STOP_SECONDS / 2):
                await self._context.tasks.cancel_owner(owner, STOP_SECONDS / 2)
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self._presence.leave()
        except (*FAILURES, TimeoutError) as error:
            log.debug("redis_not_told", error=explain(error))

    async def check(self) -> Check:
        try:
            async with asyncio.timeout(PING_SECONDS):
                await self._link.commands.ping()
        except (*FAILURES, TimeoutError) as error:
            return Check(ok=False, detail=f"{self._link.place}: {explain(error)}")
        if self._failures:
            return Check(ok=False, detail=f"{self._link.place}: {next(iter(self._failures.values()))}")
        if self._presence.twin:
            return Check(ok=False, detail=f"another daemon is called {self._context.computer}, too; rename one")
        online = sum(peer.is_online for peer in self._presence.peers())
        return Check(ok=True, detail=f"connected to {self._link.place}, {online} other computers online")

    def _noter(self, part: str) -> Callable[[BaseException | None], None]:
        """Says once when a part begins to fail, and once when it is well again."""

        def failed(error: BaseException | None) -> None:
            if error is None:
                if self._failures.pop(part, None) is not None:
                    log.info("redis_is_back", part=part)
                return
            if part not in self._failures:
                log.warning("redis_is_away", part=part, error=explain(error))
            self._failures[part] = explain(error)

        return failed

    async def _describe(self) -> Mapping[str, Any]:
        try:
            found = await self._context.hub.call(SELF, ListComputers())
        except TeleclaudeError as error:
            log.debug("redis_not_described", error=str(error))
            return {}
        this = found.computers[0]
        return {"role": this.role, "version": this.version, "sessions": this.sessions}

    def _abandon(self, calls: Calls, request: Request) -> None:
        async def tell() -> None:
            try:
                await calls.abandon(request)
            except FAILURES as error:
                log.debug("redis_not_abandoned", error=explain(error))

        self._context.tasks.spawn(tell(), name="abandon", owner=OWNER)


def adapter(context: AdapterContext) -> RedisAdapter:
    """The factory that the entry point names."""
    return RedisAdapter(context)
