"""Output on its way to other computers: written to Redis while somebody there watches, and not a moment longer.

What is recorded here is the truth; the relay only saves the watchers from asking. It is bounded, so it never waits for
a slow watcher: that one reads what it missed with ordinary calls.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from teleclaude.api import (
    AdapterContext,
    OutputExit,
    OutputFollower,
    OutputHandedOff,
    OutputItem,
    OutputState,
    OutputText,
)
from teleclaude.errors import InvalidError, LimitError, TeleclaudeError
from teleclaude.model import Chunk, Gap, Principal
from teleclaude.wire import jsonio
from teleclaude.wire.output import FollowOutput, ReadOutput
from teleclaude.wire.remote import encode_plain
from teleclaude.wire.sessions import GetSession
from teleclaude_redis.envelope import EVERYBODY, Envelope
from teleclaude_redis.keyring import KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, explain

log = structlog.get_logger(__name__)

OWNER = "redis.relay"
WATCH = "watch"
UNWATCH = "unwatch"
OUTPUT = "output"

LEASE_SECONDS = 15.0
LOOK_SECONDS = 1.0
PAUSE_SECONDS = 0.25
TTL_MS = 60_000
MAX_ENTRIES = 128
MAX_RELAYS = 200
MAX_WATCHERS = 1000
"""Of one stream."""


_Lease = tuple[tuple[str, str], float]


@dataclass(slots=True)
class _Relay:
    """``leases`` are the watchers, by their own ids, with the time (monotonic) until which they count; ``newest`` is
    the last entry that is known to be written.
    """

    id: str
    reference: str
    stream: str | None
    follower: OutputFollower
    leases: dict[tuple[str, str], float]
    newest: str

    @property
    def name(self) -> str:
        return name_of(self.reference, self.stream)


class Relays:
    """The relays of this computer, one for each stream that is watched from elsewhere."""

    def __init__(self, *, context: AdapterContext, ring: KeyRing, keys: Keys, link: Link) -> None:
        self._context = context
        self._ring = ring
        self._keys = keys
        self._link = link
        self._relays: dict[str, _Relay] = {}

    async def watch(self, envelope: Envelope) -> bytes:
        """Begin or prolong a lease. Answers where to read and how far the stream goes.

        ``{relay, id, stream, after, start, end}``: ``relay`` changes when it was begun anew, ``after`` is the entry to
        read on from.
        """
        asked = _asked(envelope)
        principal = self._ring.principal(envelope.sender, envelope.about.get("role"))
        reference = asked["id"]
        if not _is_execution(reference):
            reference = (await self._context.hub.call(principal, GetSession(id=reference))).id
        lease = ((envelope.sender, asked["watcher"]), self._context.clock.monotonic() + LEASE_SECONDS)
        relay = self._relays.get(name_of(reference, asked["stream"]))
        if relay is None:
            relay = await self._begin(principal, reference, asked["stream"], lease)
        elif len(relay.leases) >= MAX_WATCHERS:
            raise LimitError(f"{MAX_WATCHERS} watchers follow this stream already", operation=WATCH)
        relay.leases.update([lease])
        after = relay.newest
        await self._link.commands.pexpire(self._key(relay), TTL_MS)
        bounds = await self._context.hub.call(principal, ReadOutput(id=reference, stream=asked["stream"], limit=1))
        return encode_plain(
            {
                "relay": relay.id,
                "id": reference,
                "after": after,
                "start": bounds.start,
                "end": bounds.stream_end,
            }
        )

    async def unwatch(self, envelope: Envelope) -> bytes:
        asked = _asked(envelope)
        relay = self._relays.get(name_of(asked["id"], asked["stream"]))
        if relay is not None:
            relay.leases.pop((envelope.sender, asked["watcher"]), None)
        return encode_plain({})

    async def _begin(self, principal: Principal, reference: str, stream: Any, lease: _Lease) -> _Relay:
        if len(self._relays) >= MAX_RELAYS:
            raise LimitError(f"{MAX_RELAYS} streams are watched from other computers already", operation=WATCH)
        key = self._keys.output(self._context.computer, name_of(reference, stream))
        left = await self._link.commands.xrevrange(key, count=1)  # of an earlier relay
        newest = left[0][0].decode() if left else "0-0"
        begun: asyncio.Future[_Relay] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                request = FollowOutput(id=reference, stream=stream)
                async with self._context.hub.follow_output(principal, request) as follower:
                    relay = _Relay(secrets.token_hex(8), reference, stream, follower, dict([lease]), newest)
                    known = self._relays.setdefault(relay.name, relay)
                    begun.set_result(known)
                    if known is relay:
                        await self._relay(relay)
            except TeleclaudeError as error:
                if begun.done():
                    log.warning("redis_relay_failed", stream=name_of(reference, stream), error=str(error))
                else:
                    begun.set_exception(error)
            finally:
                if not begun.done():
                    begun.cancel()

        self._context.tasks.spawn(run(), name="relay", owner=OWNER)
        return await begun

    async def _relay(self, relay: _Relay) -> None:
        log.info("redis_relay_began", stream=relay.name)
        try:
            while self._is_watched(relay):
                item = await relay.follower.next(LOOK_SECONDS)
                if item is None:
                    continue
                await self._write(relay, item)
                if isinstance(item, OutputExit | OutputHandedOff):
                    return
        finally:
            del self._relays[relay.name]
            log.info("redis_relay_ended", stream=relay.name)
            await self._end(relay)

    def _is_watched(self, relay: _Relay) -> bool:
        now = self._context.clock.monotonic()
        for watcher in [watcher for watcher, until in relay.leases.items() if until < now]:
            del relay.leases[watcher]
        return bool(relay.leases)

    async def _write(self, relay: _Relay, item: OutputItem) -> None:
        """What cannot be written, the watchers miss, notice and fetch; only the end must get through."""
        about, body = described(item, relay.follower.offset)
        envelope = Envelope(
            kind=OUTPUT,
            sender=self._context.computer,
            to=EVERYBODY,
            id=relay.id,
            ts=round(self._context.clock.now().timestamp() * 1000),
            body=body,
            about={"stream": relay.name, **about},
        )
        fields: Any = self._ring.seal_for_all(envelope, {name for name, _ in relay.leases})
        while True:
            try:
                async with self._link.commands.pipeline(transaction=False) as pipe:
                    pipe.xadd(self._key(relay), fields, maxlen=MAX_ENTRIES, approximate=False)
                    pipe.pexpire(self._key(relay), TTL_MS)
                    written, _ = await pipe.execute()
                relay.newest = written.decode()
                return
            except FAILURES as error:
                log.warning("redis_relay_not_written", stream=relay.name, error=explain(error))
                await self._context.clock.sleep(PAUSE_SECONDS)
                if not isinstance(item, OutputExit | OutputHandedOff) or not self._is_watched(relay):
                    return

    async def _end(self, relay: _Relay) -> None:
        if relay.leases:
            return  # they still have its last entries to read; the TTL ends it
        try:
            await self._link.commands.delete(self._key(relay))
        except FAILURES as error:
            log.debug("redis_relay_not_deleted", error=explain(error))

    def _key(self, relay: _Relay) -> str:
        return self._keys.output(self._context.computer, relay.name)


def name_of(reference: str, stream: str | None) -> str:
    """What a stream is called in keys: a session by its id, an execution's with the stream's name."""
    return reference if stream in (None, "pty") else f"{reference}:{stream}"


def _is_execution(reference: str) -> bool:
    return reference.startswith("E")


def _asked(envelope: Envelope) -> Mapping[str, Any]:
    asked = jsonio.loads(envelope.body, operation=WATCH)
    if not isinstance(asked, dict) or asked.keys() != {"id", "stream", "watcher"}:
        raise InvalidError("a watch names id, stream and watcher", operation=WATCH)
    if not isinstance(asked["watcher"], str) or len(asked["watcher"]) > 64 or not isinstance(asked["id"], str):
        raise InvalidError("a watch names id, stream and watcher", operation=WATCH)
    return asked


def described(item: OutputItem, end: int) -> tuple[dict[str, Any], bytes]:
    """``end`` is how far the stream was written when the item was made."""
    match item:
        case Chunk():
            return {"item": "output", "from": item.start, "to": item.end, "end": item.stream_end}, item.data
        case Gap():
            about = {"item": "gap", "from": item.start, "to": item.end, "bytes": item.bytes, "reason": item.reason}
            return about, b""
        case OutputState():
            return {"item": "state", "state": item.state}, b""
        case OutputExit():
            return {"item": "exit", "end": end}, jsonio.dumps(dict(item.data))
        case OutputHandedOff():
            moved = {"computer": item.computer, "session_id": item.session_id, "epoch": item.epoch}
            return {"item": "handed_off", "end": end}, jsonio.dumps(moved)
        case OutputText():
            raise TypeError("a relay carries bytes")


def described_item(envelope: Envelope) -> OutputItem:
    """The item of an entry. Raises ``InvalidError`` for what a relay never writes."""
    about = envelope.about
    try:
        match about.get("item"):
            case "output":
                start, end, size = int(about["from"]), int(about["to"]), len(envelope.body)
                if end - start == size:
                    return Chunk(start=start, end=end, stream_end=max(int(about["end"]), end), data=envelope.body)
            case "gap":
                size = about["bytes"]
                return Gap(int(about["from"]), int(about["to"]), None if size is None else int(size), about["reason"])
            case "state":
                return OutputState(str(about["state"]))
            case "exit":
                return OutputExit(jsonio.loads(envelope.body, operation=OUTPUT))
            case "handed_off":
                moved = jsonio.loads(envelope.body, operation=OUTPUT)
                return OutputHandedOff(str(moved["computer"]), str(moved["session_id"]), int(moved["epoch"]))
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidError(f"the relay's entry lacks something: {error}", operation=OUTPUT) from error
    raise InvalidError("the relay wrote what is not known", operation=OUTPUT)
