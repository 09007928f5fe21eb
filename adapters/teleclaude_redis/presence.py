"""Who is there: a heartbeat of our own, and those of the others as last seen."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import structlog

from teleclaude.api import Peer
from teleclaude.clock import Clock
from teleclaude.errors import MalformedError, NotFoundError, UnavailableError
from teleclaude.model import is_name
from teleclaude.wire import jsonio
from teleclaude_redis import envelope as envelopes
from teleclaude_redis.envelope import EVERYBODY, WINDOW_SECONDS, Envelope, RefusedError
from teleclaude_redis.keyring import ENVELOPE, KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, redis_errors

log = structlog.get_logger(__name__)

KIND = "presence"
MAX_COMPUTERS = 1000
KEEP_SECONDS = 30 * 24 * 3600
"""A computer that was not heard of for so long is forgotten."""

OTHER_PROTOCOL = "speaks another version of the protocol; run the same version of teleclaude on both"

Describe = Callable[[], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class _Seen:
    """``until`` (monotonic) is when it counts as gone unless its presence is seen again."""

    peer: Peer
    until: float


class Presence:
    """``describe`` answers what to say of this computer: ``role``, ``version``, ``sessions``."""

    def __init__(
        self,
        *,
        computer: str,
        instance: str,
        ring: KeyRing,
        keys: Keys,
        link: Link,
        clock: Clock,
        ttl_ms: int,
        describe: Describe,
    ) -> None:
        self._computer = computer
        self._instance = instance
        self._ring = ring
        self._keys = keys
        self._link = link
        self._clock = clock
        self._ttl_ms = ttl_ms
        self._describe = describe
        self._seen: dict[str, _Seen] = {}
        self._has_beaten = False
        self._twin_until = 0.0

    @property
    def twin(self) -> bool:
        """Whether another daemon of this name was here a moment ago."""
        return self._clock.monotonic() < self._twin_until

    async def beat(self) -> None:
        """Say that we are here. Raises what Redis raises."""
        now = self._now_ms()
        body = jsonio.dumps({**await self._describe(), "instance": self._instance})
        envelope = Envelope(kind=KIND, sender=self._computer, to=EVERYBODY, id=KIND, ts=now, body=body)
        key = self._keys.presence(self._computer)
        async with self._link.commands.pipeline(transaction=False) as pipe:
            pipe.get(key)
            pipe.set(key, pack(self._ring.seal_for_all(envelope)), px=self._ttl_ms)
            pipe.zadd(self._keys.computers, {self._computer: now})
            pipe.zremrangebyscore(self._keys.computers, "-inf", now - KEEP_SECONDS * 1000)
            pipe.zremrangebyrank(self._keys.computers, 0, -MAX_COMPUTERS - 1)
            before, *_ = await pipe.execute()
        if self._has_beaten:
            self._look_for_twin(before)
        self._has_beaten = True

    def _look_for_twin(self, before: bytes | None) -> None:
        """Two daemons under one name would each take a part of the messages."""
        try:
            body = None if before is None else envelopes.decode(_unpack(before)[ENVELOPE]).body
            instance = None if body is None else jsonio.loads(body, operation=KIND).get("instance")
        except (RefusedError, MalformedError, KeyError, AttributeError):
            instance = None
        if instance is None or instance == self._instance:
            return
        if not self.twin:
            log.warning("redis_name_is_taken", computer=self._computer)
        self._twin_until = self._clock.monotonic() + 2 * self._ttl_ms / 1000

    async def leave(self) -> None:
        """Say that we are gone, so that nobody has to wait to find out."""
        await self._link.commands.delete(self._keys.presence(self._computer))

    async def refresh(self) -> None:
        """Learn who is there. Raises what Redis raises."""
        listed = await self._link.commands.zrevrange(self._keys.computers, 0, MAX_COMPUTERS - 1, withscores=True)
        scores = {name.decode(errors="replace"): score for name, score in listed}
        names = [name for name in scores if is_name(name) and name != self._computer]
        if not names:
            self._seen.clear()
            return
        async with self._link.commands.pipeline(transaction=False) as pipe:
            for name in names:
                pipe.get(self._keys.presence(name))
            values = await pipe.execute()
        for name, value in zip(names, values, strict=True):
            self._note(name, value, scores[name])
        for name in self._seen.keys() - scores.keys():
            del self._seen[name]

    def _note(self, name: str, value: bytes | None, score: float) -> None:
        known = self._seen.get(name)
        found = self._read(name, value) if value is not None else None
        if found is not None:
            self._seen[name] = _Seen(found, self._clock.monotonic() + self._ttl_ms / 1000)
        elif known is not None:
            self._seen[name] = _Seen(replace(known.peer, is_online=False), 0.0)
        else:
            peer = Peer(name=name, role="", version="", is_online=False, last_seen=_moment(score), sessions=0)
            self._seen[name] = _Seen(peer, 0.0)

    def _read(self, name: str, value: bytes) -> Peer | None:
        """What a genuine presence of that computer says; None for anything else."""
        now = self._now_ms()
        try:
            envelope = self._ring.open_for_all(_unpack(value))
            said = jsonio.loads(envelope.body, operation=KIND)
        except RefusedError as refused:
            if refused.reason == "version" and refused.sender == name:
                return Peer(name, "", "unknown", True, _moment(now), 0, OTHER_PROTOCOL)
            log.warning("redis_presence_refused", computer=name, reason=refused.reason)
            return None
        except MalformedError:
            return None
        if envelope.kind != KIND or envelope.sender != name or not isinstance(said, dict):
            return None
        if abs(now - envelope.ts) > self._ttl_ms + WINDOW_SECONDS * 1000:
            log.warning("redis_presence_refused", computer=name, reason="clock")
            return None
        sessions = said.get("sessions")
        return Peer(
            name=name,
            role=str(said.get("role", ""))[:200],
            version=str(said.get("version", ""))[:64],
            is_online=True,
            last_seen=_moment(envelope.ts),
            sessions=sessions if isinstance(sessions, int) else 0,
        )

    def peers(self) -> Sequence[Peer]:
        """All that were ever heard of and not forgotten, and those that the config names, by name."""
        now = self._clock.monotonic()
        found = {
            name: seen.peer if seen.until > now else replace(seen.peer, is_online=False)
            for name, seen in self._seen.items()
        }
        return [found[name] for name in sorted(found)]

    async def require(self, computer: str, operation: str) -> Peer:
        """The peer, if it can be asked. Raises ``NotFoundError`` and ``UnavailableError``."""
        seen = self._seen.get(computer)
        if seen is None or seen.until <= self._clock.monotonic():
            with redis_errors(operation):
                seen = await self._look(computer)
        if seen is None:
            if computer not in self._ring.named:
                raise NotFoundError(
                    f"there is no computer {computer}; teleclaude computers lists those that there are",
                    operation=operation,
                )
            raise UnavailableError(f"computer {computer} has not been seen yet", operation=operation)
        if not seen.peer.is_online:
            raise UnavailableError(
                f"computer {computer} was last seen at {seen.peer.last_seen:%Y-%m-%d %H:%M:%S} UTC; nothing was sent",
                operation=operation,
            )
        if seen.peer.problem is not None:
            raise UnavailableError(f"computer {computer} {seen.peer.problem}", operation=operation)
        return seen.peer

    async def _look(self, computer: str) -> _Seen | None:
        score = await self._link.commands.zscore(self._keys.computers, computer)
        if score is not None:
            self._note(computer, await self._link.commands.get(self._keys.presence(computer)), score)
        return self._seen.get(computer)

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


async def keep(
    presence: Presence, clock: Clock, seconds: float, failed: Callable[[BaseException | None], None]
) -> None:
    """Beat and look, for ever; ``failed`` hears of every try, with None for one that worked."""
    while True:
        try:
            await presence.beat()
            await presence.refresh()
        except FAILURES as error:
            failed(error)
            await clock.sleep(min(seconds, 1.0))
        else:
            failed(None)
            await clock.sleep(seconds)


def pack(fields: Mapping[bytes, bytes]) -> bytes:
    """The fields of an entry as one string."""
    macs = {name.decode(): value.hex() for name, value in fields.items() if name != ENVELOPE}
    return jsonio.dumps(macs) + b"\n" + fields[ENVELOPE]


def _unpack(value: bytes) -> dict[bytes, bytes]:
    """Raises ``RefusedError``."""
    line, _, data = value.partition(b"\n")
    try:
        macs = jsonio.loads(line, operation=KIND)
        return {ENVELOPE: data, **{name.encode(): bytes.fromhex(text) for name, text in macs.items()}}
    except (MalformedError, ValueError, TypeError, AttributeError):
        raise RefusedError("malformed") from None


def _moment(ms: float) -> datetime:
    try:
        return datetime.fromtimestamp(ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)
