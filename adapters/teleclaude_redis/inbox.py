"""Reading what others ask of this computer: a stream, a group, and nothing lost between the two."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog
from redis.exceptions import ResponseError

from teleclaude.clock import Clock
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import COMMAND_SECONDS, FAILURES, Link, explain
from teleclaude_redis.redisclock import RedisClock

log = structlog.get_logger(__name__)

GROUP = "teleclaude"
MAX_READ = 64
MAX_DELIVERIES = 5
MAX_FINISHED = 10_000
TTL_MS = 3_600_000
TURNS = 3
"""Of the loop, which the work that was just begun gets before the next look: until it first waits for something."""

Failed = Callable[[BaseException | None], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds. What was delivered ``claim_idle`` ago and not acknowledged is taken up again, whoever had it; at the
    start, and after every outage, already what was delivered ``claim_first`` ago.
    """

    block: float = 2.0
    claim_idle: float = 5.0
    claim_first: float = 0.5
    pause: float = 0.25


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as it lies in the stream. ``claimed``: somebody had it before and did not finish; ``is_new``: this
    daemon did not.
    """

    id: bytes
    fields: Mapping[bytes, bytes]
    deliveries: int = 1
    claimed: bool = False
    is_new: bool = True

    @property
    def is_poison(self) -> bool:
        return self.deliveries > MAX_DELIVERIES


class Inbox:
    """Gives every entry to ``take`` once while it is being worked on; ``forget`` says that the work on it is over.

    An entry that was forgotten without being acknowledged comes again, with a higher count of deliveries.
    """

    def __init__(
        self,
        *,
        computer: str,
        consumer: str,
        keys: Keys,
        link: Link,
        clock: Clock,
        redis_clock: RedisClock,
        take: Callable[[Entry], None],
        failed: Failed,
        timing: Timing,
    ) -> None:
        self._key = keys.inbox(computer)
        self._consumer = consumer
        self._link = link
        self._clock = clock
        self._redis_clock = redis_clock
        self._take = take
        self._failed = failed
        self._timing = timing
        self._taken: set[bytes] = set()
        self._finished: dict[bytes, None] = {}

    async def run(self) -> None:
        """For ever. Whatever Redis does meanwhile, it goes on once Redis is back."""
        while True:
            client = self._link.waiting_client()
            try:
                await self._read(client)
            except (*FAILURES, TimeoutError) as error:
                if "NOGROUP" in str(error):
                    log.info("redis_inbox_made_anew")  # Redis came back empty
                    continue
                self._failed(error)
                log.debug("redis_inbox_waits", error=explain(error))
                await self._clock.sleep(self._timing.pause)

    def acknowledgement(self, entry: Entry) -> tuple[Any, ...]:
        """The command by which Redis forgets the entry."""
        return "XACK", self._key, GROUP, entry.id

    def forget(self, entry: Entry, *, acknowledged: bool) -> None:
        """The work on it is over. One that was acknowledged may still be in an answer that is under way."""
        self._taken.discard(entry.id)
        if acknowledged:
            self._finished[entry.id] = None
            if len(self._finished) > MAX_FINISHED:
                del self._finished[next(iter(self._finished))]

    async def _read(self, client: Any) -> None:
        await self._bounded(self._make_group())
        await self._bounded(self._redis_clock.measure(self._link.commands))
        await self._bounded(self._take_up_own())
        # Who took messages for this computer before is gone: there is one daemon of a name.
        await self._bounded(self._claim(self._timing.claim_first))
        self._failed(None)
        kept_house = self._clock.monotonic()
        while True:
            if self._clock.monotonic() - kept_house >= self._timing.claim_idle:
                await self._bounded(self._claim(self._timing.claim_idle))
                await self._bounded(self._trim())
                kept_house = self._clock.monotonic()
            async with asyncio.timeout(self._timing.block + COMMAND_SECONDS):
                found = await client.xreadgroup(
                    GROUP, self._consumer, {self._key: ">"}, count=MAX_READ, block=round(self._timing.block * 1000)
                )
            self._failed(None)
            for _, entries in found or ():
                self._give(Entry(id_, fields or {}) for id_, fields in entries)
            for _ in range(TURNS):
                await asyncio.sleep(0)

    async def _bounded(self, work: Any) -> None:
        async with asyncio.timeout(3 * COMMAND_SECONDS):
            await work

    async def _make_group(self) -> None:
        # From the beginning: what was sent before there was a group is meant for it, too.
        try:
            await self._link.commands.xgroup_create(self._key, GROUP, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise
        await self._link.commands.pexpire(self._key, TTL_MS)

    async def _take_up_own(self) -> None:
        """What was delivered on a connection that broke before we could read it."""
        after: bytes | str = "0"
        while True:
            found = await self._link.commands.xreadgroup(GROUP, self._consumer, {self._key: after}, count=MAX_READ)
            entries = found[0][1] if found else []
            if not entries:
                return
            self._give(Entry(id_, fields or {}) for id_, fields in entries)
            after = entries[-1][0]

    async def _claim(self, seconds: float) -> None:
        """What somebody else, or we, took and did not finish."""
        start: bytes | str = "0-0"
        idle = round(seconds * 1000)
        while True:
            answer = await self._link.commands.xautoclaim(
                self._key, GROUP, self._consumer, min_idle_time=idle, start_id=start, count=MAX_READ
            )
            start, entries = answer[0], [entry for entry in answer[1] if entry[0] is not None]
            if entries:
                counts = await self._deliveries(entries[0][0], entries[-1][0])
                self._give(Entry(id_, fields or {}, counts.get(id_, 2), claimed=True) for id_, fields in entries)
            if start == b"0-0":
                break
        await self._forget_consumers()

    async def _deliveries(self, first: bytes, last: bytes) -> dict[bytes, int]:
        pending = await self._link.commands.xpending_range(
            self._key, GROUP, first.decode(), last.decode(), 10 * MAX_READ, self._consumer
        )
        return {entry["message_id"]: entry["times_delivered"] for entry in pending}

    async def _forget_consumers(self) -> None:
        """Daemons that ended left their names."""
        for consumer in await self._link.commands.xinfo_consumers(self._key, GROUP):
            name = consumer["name"].decode(errors="replace")
            if name != self._consumer and not consumer["pending"] and consumer["idle"] > 60_000:
                await self._link.commands.xgroup_delconsumer(self._key, GROUP, name)

    async def _trim(self) -> None:
        """Drop what is acknowledged; what is not, stays."""
        async with self._link.commands.pipeline(transaction=True) as pipe:
            pipe.xpending(self._key, GROUP)
            pipe.xinfo_groups(self._key)
            pipe.pexpire(self._key, TTL_MS)
            pending, groups, _ = await pipe.execute()
        if len(groups) == 1:
            oldest = pending["min"] if pending["pending"] else groups[0]["last-delivered-id"]
            await self._link.commands.xtrim(self._key, minid=oldest.decode(), approximate=False)

    def _give(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            if entry.id not in self._taken and entry.id not in self._finished:
                self._taken.add(entry.id)
                self._take(entry)
