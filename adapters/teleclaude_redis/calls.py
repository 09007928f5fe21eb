"""Asking another computer: one message, one answer, and an honest word where there is none."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from redis.exceptions import RedisError, ResponseError

from teleclaude.clock import Clock
from teleclaude.errors import DeadlineError, IndeterminateError, LimitError, TeleclaudeError, TooLargeError
from teleclaude.model import Principal
from teleclaude.wire import remote as wire
from teleclaude.wire.base import Command
from teleclaude.wire.waits import WaitSession
from teleclaude_redis.envelope import MAX_BYTES, MAX_HEADER_BYTES, WINDOW_SECONDS, Envelope, RefusedError
from teleclaude_redis.keyring import ENVELOPE, MAC, KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, packed, unavailable
from teleclaude_redis.presence import Presence
from teleclaude_redis.redisclock import RedisClock

log = structlog.get_logger(__name__)

R = TypeVar("R")

CALL = "call"
ABANDON = "abandon"
REPLY = "reply"

CALL_SECONDS = 10.0
CONNECT_SECONDS = 1.0
"""How long to try while certainly nothing was sent."""

PAUSE_SECONDS = 0.1
MAX_CALLS = 256
INBOX_TTL_MS = 3_600_000
MAC_BYTES = 32


@dataclass(slots=True)
class Request:
    """One question. ``is_out`` says that it may have reached the other computer; ``changes`` that it is no look."""

    kind: str
    computer: str
    operation: str
    body: bytes
    about: Mapping[str, Any]
    changes: bool
    id: str
    deadline: float
    since: int
    attempts: int = 0
    is_out: bool = False


class Calls:
    """``abandoned`` hears of each look whose caller went away. Calls under way hold a connection each."""

    def __init__(
        self,
        *,
        computer: str,
        ring: KeyRing,
        keys: Keys,
        link: Link,
        clock: Clock,
        redis_clock: RedisClock,
        presence: Presence,
        abandoned: Callable[[Request], None],
    ) -> None:
        self._computer = computer
        self._ring = ring
        self._keys = keys
        self._link = link
        self._clock = clock
        self._redis_clock = redis_clock
        self._presence = presence
        self._abandoned = abandoned
        self._under_way = 0

    async def call(
        self, computer: str, principal: Principal, command: Command[R], *, key: str | None, timeout: float | None
    ) -> R:
        """See ``teleclaude.api.Fabric.call``."""
        about = {
            "role": principal.role.label,
            "by": principal.name[:200],
            "key": None if key is None else hashlib.sha256(key.encode()).hexdigest(),
        }
        answer = await self.ask(
            CALL,
            computer,
            command.operation,
            wire.encode_command(command),
            about,
            changes=command.mutates,
            seconds=budget(command) if timeout is None else timeout,
        )
        return wire.decode_reply(command, answer)

    async def ask(
        self,
        kind: str,
        computer: str,
        operation: str,
        body: bytes,
        about: Mapping[str, Any],
        *,
        changes: bool,
        seconds: float,
    ) -> bytes:
        """The body of the answer; raises as ``Fabric.call`` does for want of one."""
        if len(body) > MAX_BYTES - MAX_HEADER_BYTES:
            raise TooLargeError(
                f"the request has {len(body)} bytes, and another computer takes {MAX_BYTES - MAX_HEADER_BYTES}; "
                "pass it by a file",
                operation=operation,
            )
        await self._presence.require(computer, operation)
        if self._under_way >= MAX_CALLS:
            raise LimitError(f"{MAX_CALLS} calls to other computers are under way; try again", operation=operation)
        request = Request(
            kind=kind,
            computer=computer,
            operation=operation,
            body=body,
            about=about,
            changes=changes,
            id=secrets.token_hex(16),
            deadline=self._clock.monotonic() + seconds,
            since=self._redis_clock.now_ms(),
        )
        self._under_way += 1
        try:
            return await self._until_answered(request)
        except asyncio.CancelledError:
            # Whoever asked is gone: what only waits over there need not go on.
            if request.is_out and not request.changes:
                self._abandoned(request)
            raise
        finally:
            self._under_way -= 1

    async def _until_answered(self, request: Request) -> bytes:
        """Sent again, as the same request, when the way there or back broke: the other side does nothing twice."""
        began = self._clock.monotonic()
        while (left := request.deadline - self._clock.monotonic()) > 0:
            was_out = request.is_out
            try:
                async with asyncio.timeout(left):
                    return await self._try(request, left)
            except TimeoutError:
                break
            except ResponseError as error:
                request.is_out = was_out
                if not was_out:
                    raise unavailable(error, request.operation) from error
            except FAILURES as error:
                if not request.is_out and self._clock.monotonic() - began > CONNECT_SECONDS:
                    raise unavailable(error, request.operation) from error
            await self._clock.sleep(min(PAUSE_SECONDS, max(0.0, request.deadline - self._clock.monotonic())))
        raise _no_answer(request)

    async def _try(self, request: Request, left: float) -> bytes:
        reply_key = self._keys.reply(self._computer, request.id)
        connection = await self._link.connection()
        is_clean = False
        try:
            sealed = self._ring.seal(self._envelope(request, left))
            inbox = self._keys.inbox(request.computer)
            words: list[tuple[Any, ...]] = [
                ("XADD", inbox, "*", ENVELOPE, sealed[ENVELOPE], MAC, sealed[MAC]),
                ("PEXPIRE", inbox, INBOX_TTL_MS),
                ("BLPOP", reply_key, f"{max(left, 0.01):.3f}"),
            ]
            request.is_out = True
            await connection.send_packed_command(packed(words))
            await connection.read_response(disable_decoding=True)
            answer = await self._reply(request, connection, packed(words[-1:]))
            is_clean = True
            if answer is None:
                raise TimeoutError
            return answer
        finally:
            await self._link.release(connection, is_clean=is_clean)

    async def _reply(self, request: Request, connection: Any, again: bytes) -> bytes | None:
        """What the other computer says, None for nothing in time. The message is written: whatever Redis refuses from
        here on does not mean that nothing was done.
        """
        try:
            await connection.read_response(disable_decoding=True)
            while True:
                popped = await connection.read_response(disable_decoding=True)
                answer = None if popped is None else self._genuine(request, popped[1])
                if popped is None or answer is not None:
                    return answer
                await connection.send_packed_command(again)
        except ResponseError as error:
            raise RedisError(f"the answer cannot be waited for: {error}") from error

    def _envelope(self, request: Request, left: float) -> Envelope:
        """``since`` and ``attempt`` say since when and how often it was sent, by which the other side knows whether it
        may have seen it before.
        """
        request.attempts += 1
        tries = {"since": request.since, "attempt": request.attempts}
        return Envelope(
            kind=request.kind,
            sender=self._computer,
            to=request.computer,
            id=request.id,
            ts=self._now_ms(),
            body=request.body,
            about={**request.about, **tries, "expires": self._redis_clock.now_ms() + round(left * 1000)},
        )

    def _genuine(self, request: Request, value: bytes) -> bytes | None:
        """The answer's body; None for what only claims to be one."""
        try:
            envelope = self._ring.open({MAC: value[:MAC_BYTES], ENVELOPE: value[MAC_BYTES:]})
        except RefusedError as refused:
            log.warning("redis_reply_refused", computer=request.computer, reason=refused.reason)
            return None
        is_ours = (
            envelope.kind == REPLY
            and envelope.sender == request.computer
            and envelope.to == self._computer
            and envelope.about.get("re") == request.id
            and abs(self._now_ms() - envelope.ts) <= WINDOW_SECONDS * 1000
        )
        if not is_ours:
            log.warning("redis_reply_refused", computer=request.computer, reason="mismatch")
            return None
        return envelope.body

    async def abandon(self, request: Request) -> None:
        """Tell the other computer that nobody waits any more. Raises what Redis raises."""
        envelope = Envelope(
            kind=ABANDON,
            sender=self._computer,
            to=request.computer,
            id=secrets.token_hex(16),
            ts=self._now_ms(),
            body=b"",
            about={"re": request.id},
        )
        sealed = self._ring.seal(envelope)
        inbox = self._keys.inbox(request.computer)
        await self._link.at_once(
            ("XADD", inbox, "*", ENVELOPE, sealed[ENVELOPE], MAC, sealed[MAC]), ("PEXPIRE", inbox, INBOX_TTL_MS)
        )

    def _now_ms(self) -> int:
        return round(self._clock.now().timestamp() * 1000)


def budget(command: Command[Any]) -> float:
    """Seconds that an answer may take: what the command itself may wait, and some for the way."""
    waits = [getattr(command, "wait_ms", 0) or 0, getattr(command, "grace_ms", 0) or 0]
    if isinstance(command, WaitSession):
        waits.append(command.timeout_ms)
    return CALL_SECONDS + sum(waits) / 1000


def _no_answer(request: Request) -> TeleclaudeError:
    if request.is_out and request.changes:
        return IndeterminateError(
            f"computer {request.computer} did not answer in time, and may have done it or still do it; "
            "look at its state before trying again, or repeat it with the same Idempotency-Key",
            operation=request.operation,
        )
    return DeadlineError(f"computer {request.computer} did not answer in time", operation=request.operation)
