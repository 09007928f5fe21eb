"""Following a stream of another computer: its relay says what is new, calls fetch what was missed."""

from __future__ import annotations

import asyncio
import secrets
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import structlog

from teleclaude.api import OutputExit, OutputHandedOff, OutputItem, Tasks
from teleclaude.clock import Clock
from teleclaude.errors import GapError, InvalidError, TeleclaudeError, UnavailableError
from teleclaude.model import Chunk, Gap, Principal
from teleclaude.wire import jsonio, remote
from teleclaude.wire.output import MAX_READ_BYTES, FollowOutput, ReadOutput
from teleclaude_redis.calls import Calls
from teleclaude_redis.envelope import Envelope, RefusedError
from teleclaude_redis.keyring import KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, explain
from teleclaude_redis.relay import LEASE_SECONDS, UNWATCH, WATCH, described_item, name_of

log = structlog.get_logger(__name__)

OWNER = "redis.watch"
RENEW_SECONDS = LEASE_SECONDS / 3
BLOCK_SECONDS = 5.0
READ_ENTRIES = 8
ASK_SECONDS = 5.0
SLACK_SECONDS = 2.0
FETCH_BYTES = MAX_READ_BYTES // 2
PIECE_BYTES = 64 << 10
"""What is fetched is shown in pieces as small as those of a stream of this computer."""


@dataclass(slots=True)
class Means:
    """What all followers share."""

    computer: str
    calls: Calls
    ring: KeyRing
    keys: Keys
    link: Link
    tasks: Tasks
    clock: Clock


@dataclass(frozen=True, slots=True)
class Lease:
    """What a watch was answered: see ``Relays.watch``."""

    relay: str
    id: str
    after: str
    start: int
    end: int


@dataclass(slots=True)
class RemoteFollower:
    """Implements ``OutputFollower``. ``behind`` is how far the stream is known to go."""

    means: Means
    principal: Principal
    request: FollowOutput
    lease: Lease
    watcher: str
    position: int
    behind: int
    after: str
    waiting: deque[tuple[OutputItem, int]] = field(default_factory=deque)
    failure: TeleclaudeError | None = None
    over: bool = False

    @property
    def offset(self) -> int:
        return self.position

    async def next(self, timeout: float | None = None) -> OutputItem | None:
        if self.over:
            return None
        deadline = None if timeout is None else self.means.clock.monotonic() + timeout
        while True:
            if self.failure is not None:
                raise self.failure
            item = await self.ready()
            if item is not None:
                self.over = isinstance(item, OutputExit | OutputHandedOff)
                return item
            left = BLOCK_SECONDS if deadline is None else deadline - self.means.clock.monotonic()
            if left <= 0:
                return None
            await self._read(min(left, BLOCK_SECONDS))

    async def ready(self) -> OutputItem | None:
        """The next item of what is here, or of what was missed before it."""
        while True:
            if not self.waiting:
                return await self._missed(self.behind) if self.behind > self.position else None
            item, needs = self.waiting[0]
            if needs > self.position:
                return await self._missed(needs)
            self.waiting.popleft()
            shown = self._after_position(item)
            if shown is not None:
                return shown

    def _after_position(self, item: OutputItem) -> OutputItem | None:
        """What of the item is new here."""
        if isinstance(item, Chunk):
            if item.end <= self.position:
                return None
            data = item.data[self.position - item.start :]
            start, self.position = self.position, item.end
            return Chunk(start=start, end=item.end, stream_end=item.stream_end, data=data)
        if isinstance(item, Gap):
            if item.end < self.position or (item.bytes is not None and item.end == self.position):
                return None
            start, self.position = max(item.start, self.position), item.end
            size = None if item.bytes is None else item.end - start
            return Gap(start, item.end, size, item.reason)
        return item

    async def _missed(self, end: int) -> OutputItem:
        """Bytes from before ``end`` that no relay brought."""
        if self.request.mode == "latest":
            gap = Gap(self.position, end, end - self.position, "skipped")
            self.position = end
            return gap
        limit = min(FETCH_BYTES, end - self.position)
        read = ReadOutput(id=self.lease.id, stream=self.request.stream, from_=self.position, limit=limit)
        try:
            chunk = await self.means.calls.call(self.means.computer, self.principal, read, key=None, timeout=None)
        except GapError as error:
            gap = Gap(self.position, error.start, error.start - self.position, "retention")
            self.position = error.start
            return gap
        if not chunk.data:
            raise UnavailableError(
                f"computer {self.means.computer} has less output than it said; follow again", operation="output.follow"
            )
        pieces = [_part(chunk, start) for start in range(chunk.start, chunk.end, PIECE_BYTES)]
        self.waiting.extendleft((piece, piece.start) for piece in reversed(pieces[1:]))
        self.position = pieces[0].end
        return pieces[0]

    async def _read(self, seconds: float) -> None:
        """Take in what the relay wrote, waiting ``seconds`` for it."""
        key = self.means.keys.output(self.means.computer, name_of(self.lease.id, self.request.stream))
        client = self.means.link.waiting_client()
        try:
            async with asyncio.timeout(seconds + SLACK_SECONDS):
                found = await client.xread({key: self.after}, count=READ_ENTRIES, block=max(1, round(seconds * 1000)))
        except (*FAILURES, TimeoutError) as error:
            raise UnavailableError(explain(error), operation="output.follow") from error
        for _, entries in found or ():
            for id_, fields in entries:
                self.after = id_.decode()
                self._take(fields)

    def _take(self, fields: dict[bytes, bytes]) -> None:
        try:
            envelope = self.means.ring.open_for_all(fields)
            name = name_of(self.lease.id, self.request.stream)
            if envelope.sender != self.means.computer or envelope.about.get("stream") != name:
                raise RefusedError("mismatch", envelope.sender)
            if envelope.id != self.lease.relay:
                return  # left by an earlier relay
            item = described_item(envelope)
        except (RefusedError, InvalidError) as refused:
            log.warning("redis_output_refused", computer=self.means.computer, reason=str(refused))
            return
        self.take_in(item, envelope)

    def take_in(self, item: OutputItem, envelope: Envelope) -> None:
        """Keep an item until everything before it has been shown."""
        match item:
            case Chunk() | Gap():
                self.waiting.append((item, item.start))
            case OutputExit() | OutputHandedOff():
                self.waiting.append((item, int(envelope.about.get("end", 0))))
            case _:
                self.waiting.append((item, 0))

    async def keep(self) -> None:
        """Prolong the lease while the follower lives, and hear of what the relay could not write."""
        while True:
            await self.means.clock.sleep(RENEW_SECONDS)
            try:
                lease = await ask_lease(self.means, self.principal, self.request, self.watcher)
            except TeleclaudeError as error:
                self.failure = error
                return
            self.lease = lease
            self.behind = max(self.behind, lease.end)


def _part(chunk: Chunk, start: int) -> Chunk:
    """The piece of it from ``start``."""
    data = chunk.data[start - chunk.start :][:PIECE_BYTES]
    return Chunk(start=start, end=start + len(data), stream_end=chunk.stream_end, data=data)


async def ask_lease(means: Means, principal: Principal, request: FollowOutput, watcher: str) -> Lease:
    answer = await _ask(means, WATCH, principal, request, watcher)
    try:
        return Lease(
            str(answer["relay"]), str(answer["id"]), str(answer["after"]), int(answer["start"]), int(answer["end"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise UnavailableError(f"computer {means.computer} answered oddly", operation=request.operation) from error


async def _ask(means: Means, kind: str, principal: Principal, request: FollowOutput, watcher: str) -> dict[str, Any]:
    body = jsonio.dumps({"id": request.id, "stream": request.stream, "watcher": watcher})
    about = {"role": principal.role.label, "by": principal.name[:200]}
    answer = await means.calls.ask(
        kind, means.computer, "output.follow", body, about, changes=False, seconds=ASK_SECONDS
    )
    return remote.decode_plain(answer)


@asynccontextmanager
async def following(means: Means, principal: Principal, request: FollowOutput) -> AsyncIterator[RemoteFollower]:
    """A follower whose lease lives as long as the block."""
    watcher = secrets.token_hex(8)
    lease = await ask_lease(means, principal, request, watcher)
    asked = request.from_
    position = lease.end if asked is None else asked if asked >= 0 else max(lease.start, lease.end + asked)
    request = request.model_copy(update={"id": lease.id})
    follower = RemoteFollower(means, principal, request, lease, watcher, position, lease.end, lease.after)
    owner = f"{OWNER}.{watcher}"
    means.tasks.spawn(follower.keep(), name="lease", owner=owner)
    try:
        yield follower
    finally:
        await means.tasks.cancel_owner(owner, 1.0)
        means.tasks.spawn(_leave(means, principal, follower), name="unwatch", owner=OWNER)


async def _leave(means: Means, principal: Principal, follower: RemoteFollower) -> None:
    try:
        await _ask(means, UNWATCH, principal, follower.request, follower.watcher)
    except TeleclaudeError as error:
        log.debug("redis_lease_left_to_end", error=str(error))
