"""What happens to a message: is it genuine, may it be done, do it once, answer."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from teleclaude.api import AdapterContext, KeyUse
from teleclaude.errors import ConflictError, DeadlineError, InternalError, LimitError, TeleclaudeError, TooLargeError
from teleclaude.wire import remote as wire
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import GetSession
from teleclaude.wire.waits import WaitSession
from teleclaude_redis.calls import ABANDON, CALL, REPLY
from teleclaude_redis.envelope import MAX_BYTES, MAX_HEADER_BYTES, Envelope, RefusedError
from teleclaude_redis.inbox import Entry, Inbox
from teleclaude_redis.keyring import ENVELOPE, MAC, KeyRing
from teleclaude_redis.keys import Keys
from teleclaude_redis.link import FAILURES, Link, explain
from teleclaude_redis.nonces import Nonces
from teleclaude_redis.redisclock import RedisClock

log = structlog.get_logger(__name__)

OWNER = "redis.desk"
REPLY_TTL_MS = 600_000
MAX_AT_WORK = 1000
MAX_DEAD = 1000
DEAD_BYTES = 1024
DEAD_TTL_MS = 30 * 24 * 3_600_000

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}")

Handle = Callable[[Envelope], Awaitable[bytes]]
"""Answers the reply's body; raises ``TeleclaudeError``."""


@dataclass(slots=True)
class _Turn:
    """One after the other for what one sender asks of one session. ``holders`` counts who has or wants it."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    holders: int = 0


class Desk:
    """``others`` handles the kinds of messages that are no commands."""

    def __init__(
        self,
        *,
        context: AdapterContext,
        ring: KeyRing,
        keys: Keys,
        link: Link,
        redis_clock: RedisClock,
        others: Mapping[str, Handle],
    ) -> None:
        self._context = context
        self._ring = ring
        self._keys = keys
        self._link = link
        self._redis_clock = redis_clock
        self._nonces = Nonces(context.clock)
        self._others = others
        self._began = context.clock.monotonic()
        self._turns: dict[tuple[str, str], _Turn] = {}
        self._waiting: dict[tuple[str, str], tuple[asyncio.Task[None], Entry]] = {}
        self._at_work = 0
        self.inbox: Inbox

    def take(self, entry: Entry) -> None:
        """Begin work on an entry; it is acknowledged once what came of it is on record."""
        try:
            envelope, is_new = self._accept(entry)
        except RefusedError as refused:
            self._spawn(self._refuse(entry, refused), "refuse")
            return
        if envelope.kind == ABANDON:
            self._abandon(envelope)
            self._spawn(self._close(entry), "abandon")
            return
        key = (envelope.sender, envelope.id)
        task = self._spawn(self._work(replace(entry, is_new=is_new), envelope), f"{envelope.kind} {envelope.sender}")
        self._waiting[key] = (task, entry)
        task.add_done_callback(lambda _: self._waiting.pop(key, None))

    def _accept(self, entry: Entry) -> tuple[Envelope, bool]:
        """What it says, and whether it was never here before."""
        if entry.is_poison:
            raise RefusedError("poison")
        envelope = self._ring.open(entry.fields)
        if envelope.to != self._context.computer:
            raise RefusedError("recipient", envelope.sender)
        if envelope.kind not in (CALL, ABANDON, *self._others) or _ID.fullmatch(envelope.id) is None:
            raise RefusedError("malformed", envelope.sender)
        return envelope, self._nonces.accept(envelope)

    def _spawn(self, work: Any, name: str) -> asyncio.Task[None]:
        return self._context.tasks.spawn(work, name=name, owner=OWNER)

    async def _refuse(self, entry: Entry, refused: RefusedError) -> None:
        """Put aside with the reason, so that the rest flows and somebody can look at it."""
        computer = self._context.computer
        log.warning("redis_message_refused", sender=refused.sender, reason=refused.reason, entry=entry.id.decode())
        self._context.hub.note_refused(f"node:{refused.sender or '?'}", "remote", refused.reason)
        data = entry.fields.get(ENVELOPE, b"")
        record = (
            *("reason", refused.reason, "sender", refused.sender, "entry", entry.id),
            *("sha256", hashlib.sha256(data).hexdigest(), "head", data[:DEAD_BYTES]),
        )
        dead = self._keys.dead(computer)
        acknowledged = False
        try:
            await self._link.at_once(
                ("XADD", dead, "MAXLEN", "~", MAX_DEAD, "*", *record),
                ("PEXPIRE", dead, DEAD_TTL_MS),
                self.inbox.acknowledgement(entry),
            )
            acknowledged = True
        except FAILURES as error:
            log.warning("redis_not_put_aside", error=explain(error))
        finally:
            self.inbox.forget(entry, acknowledged=acknowledged)

    def _abandon(self, envelope: Envelope) -> None:
        """Only what changes nothing is begun without a promise to end it."""
        found = self._waiting.get((envelope.sender, str(envelope.about.get("re"))))
        if found is not None:
            task, entry = found
            task.cancel()
            self._spawn(self._close(entry), "abandoned")

    async def _close(self, entry: Entry) -> None:
        acknowledged = False
        try:
            await self._link.at_once(self.inbox.acknowledgement(entry))
            acknowledged = True
        except FAILURES as error:
            log.debug("redis_not_acknowledged", error=explain(error))
        finally:
            self.inbox.forget(entry, acknowledged=acknowledged)

    async def _work(self, entry: Entry, envelope: Envelope) -> None:
        done = False
        self._at_work += 1
        try:
            body = await self._answer(entry, envelope)
            await self._reply(entry, envelope, body)
            done = True
        except FAILURES as error:
            # It stays unacknowledged: what was done is in the journal, and comes again with its answer.
            log.warning("redis_reply_not_sent", sender=envelope.sender, error=explain(error))
        except Exception:
            log.exception("redis_message_failed", sender=envelope.sender, deliveries=entry.deliveries)
        finally:
            self._at_work -= 1
            if not done:
                self._nonces.let_go(envelope)
            self.inbox.forget(entry, acknowledged=done)

    async def _answer(self, entry: Entry, envelope: Envelope) -> bytes:
        try:
            if self._at_work > MAX_AT_WORK:
                raise LimitError(f"{self._context.computer} has {MAX_AT_WORK} requests at work; try again")
            if envelope.kind == CALL:
                body = await self._run(entry, envelope)
            else:
                self._require_time(envelope)
                body = await self._others[envelope.kind](envelope)
        except TeleclaudeError as error:
            return wire.encode_error(error)
        if len(body) > MAX_BYTES - MAX_HEADER_BYTES:
            return wire.encode_error(TooLargeError(f"the answer has {len(body)} bytes; ask for less at a time"))
        return body

    async def _run(self, entry: Entry, envelope: Envelope) -> bytes:
        command = wire.decode_command(envelope.body)
        principal = self._ring.principal(envelope.sender, envelope.about.get("role"))
        if not command.mutates:
            self._require_time(envelope)
            if _may_wait(command):
                # A look that is lost with this daemon is not missed, and must not hold up the trimming.
                await self._link.at_once(self.inbox.acknowledgement(entry))
            return wire.encode_reply(await self._context.hub.call(principal, command))
        turn = self._turns.setdefault(_subject(envelope, command), _Turn())
        turn.holders += 1
        try:
            async with turn.lock:
                self._require_time(envelope)
                await self._require_epoch(envelope, command)
                key, use = self._key(entry, envelope)
                reply = await self._context.hub.call(principal, command, key=key, use=use)
        finally:
            turn.holders -= 1
            if not turn.holders:
                del self._turns[_subject(envelope, command)]
        try:
            return wire.encode_reply(reply)
        except (TypeError, ValueError) as error:
            raise InternalError("the answer cannot be sent; its effect took place") from error

    def _key(self, entry: Entry, envelope: Envelope) -> tuple[str, KeyUse]:
        """What makes a repeat harmless: the sender's own key, else the message's id. That one is new when it is sent
        and delivered for the first time to this daemon, and need not be kept for longer than its deadline.
        """
        key, since = envelope.about.get("key"), envelope.about.get("since")
        if isinstance(key, str) and _ID.fullmatch(key):
            return key, KeyUse.LASTING
        ours = isinstance(since, int) and since > self._redis_clock.ms_at(self._began)
        if entry.is_new and not entry.claimed and envelope.about.get("attempt") == 1:
            # What was sent before this daemon began may be a replay of what an earlier one did.
            return envelope.id, KeyUse.FRESH if ours else KeyUse.SEEN
        return envelope.id, KeyUse.SEEN if ours and not entry.claimed else KeyUse.OLD

    def _require_time(self, envelope: Envelope) -> None:
        """Nobody waits for it any more, so it is not begun: a late effect would surprise."""
        expires = envelope.about.get("expires")
        if not isinstance(expires, int) or self._redis_clock.now_ms() > expires:
            raise DeadlineError("it arrived after its deadline; nothing was done", operation="remote")

    async def _require_epoch(self, envelope: Envelope, command: Command[Any]) -> None:
        """A sender that says which ownership of the session it knows is refused when that is over."""
        epoch, reference = envelope.about.get("epoch"), getattr(command, "id", None)
        if not isinstance(epoch, int) or reference is None:
            return
        session = await self._context.hub.call(self._ring.principal(envelope.sender, None), GetSession(id=reference))
        if session.epoch > epoch:
            raise ConflictError(
                f"stale_epoch: the session is at epoch {session.epoch}, and this was meant for {epoch}; look again",
                operation=command.operation,
                epoch=session.epoch,
            )

    async def _reply(self, entry: Entry, envelope: Envelope, body: bytes) -> None:
        """Answer, and only then acknowledge: whoever asks again in between is answered the same."""
        reply = Envelope(
            kind=REPLY,
            sender=self._context.computer,
            to=envelope.sender,
            id=secrets.token_hex(16),
            ts=round(self._context.clock.now().timestamp() * 1000),
            body=body,
            about={"re": envelope.id},
        )
        sealed = self._ring.seal(reply)
        key = self._keys.reply(envelope.sender, envelope.id)
        await self._link.at_once(
            ("RPUSH", key, sealed[MAC] + sealed[ENVELOPE]),
            ("PEXPIRE", key, REPLY_TTL_MS),
            self.inbox.acknowledgement(entry),
        )


def _subject(envelope: Envelope, command: Command[Any]) -> tuple[str, str]:
    return envelope.sender, str(getattr(command, "id", None) or getattr(command, "name", None) or "")


def _may_wait(command: Command[Any]) -> bool:
    return isinstance(command, WaitSession) or bool(getattr(command, "wait_ms", 0))
