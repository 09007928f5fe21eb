"""Idempotency keys: a command with a key happens at most once, and its answer can be asked for again."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic import TypeAdapter

from teleclaude.api import KeyUse
from teleclaude.clock import Clock
from teleclaude.errors import (
    BusyError,
    IndeterminateError,
    KeyReusedError,
    LimitError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.store import Database, receipts
from teleclaude.wire import jsonio
from teleclaude.wire.base import Command
from teleclaude.wire.problems import error_from, problem
from teleclaude.wire.remote import reply_type

KEEP_SECONDS = 24 * 3600
WAIT_SECONDS = 60.0
MAX_UNWRITTEN = 10_000
"""Keys whose record is on its way to the disk."""

_NOTHING_HAPPENED = (BusyError, LimitError, UnavailableError)
"""Refusals that leave the key free: the same request may succeed later."""


class Journal:
    """Keyed commands by principal and key. The row is durable before the effect begins and holds the reply after it."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._running: dict[tuple[str, str], asyncio.Event] = {}
        self._unwritten: set[tuple[str, str]] = set()

    async def once(
        self,
        principal: str,
        key: str,
        command: Command[Any],
        effect: Callable[[], Awaitable[Any]],
        *,
        elsewhere: bool = False,
        use: KeyUse = KeyUse.LASTING,
    ) -> Any:
        """The stored reply of an earlier call with this key, or the reply of running ``effect`` now. One that happens
        ``elsewhere`` is kept harmless there by a key of its own: while its end is unknown it is asked for again.

        Raises ``KeyReusedError`` for another command under the same key, ``IndeterminateError`` when the daemon ended
        between the start of the effect and its reply, and whatever the effect raised, then and again.
        """
        digest = _digest(command)
        slot = (principal, key)
        while True:
            running = self._running.get(slot)
            if running is None:
                break
            await _finished(running, command.operation)
        self._running[slot] = done = asyncio.Event()
        try:
            row = await self._begin(slot, command, digest, use)
            if row is not None and not (elsewhere and row.reply is None and row.digest == digest):
                return _replay(row, command, digest)
            return await self._run(slot, effect, elsewhere=elsewhere, lasting=use is KeyUse.LASTING)
        finally:
            del self._running[slot]
            done.set()

    async def _begin(
        self, slot: tuple[str, str], command: Command[Any], digest: str, use: KeyUse
    ) -> receipts.Keyed | None:
        """What is on record under the key; None when the effect may begin."""
        principal, key = slot
        now = self._clock.now().timestamp()

        def begin(connection: sqlite3.Connection) -> receipts.Keyed | None:
            return receipts.begin(connection, principal, key, command.operation, digest, now=now)

        if use is KeyUse.FRESH:
            if len(self._unwritten) >= MAX_UNWRITTEN:
                raise UnavailableError("the disk does not keep up; try again later", operation=command.operation)
            self._unwritten.add(slot)
            self._database.write_soon(begin, lambda _: self._unwritten.discard(slot), synced=False)
            return None
        if slot in self._unwritten:
            await self._database.write(lambda _connection: None, synced=False)
            if slot in self._unwritten:
                # Whoever wrote before us is done: the disk refused the record.
                raise _not_known(command)
        if use is KeyUse.OLD:
            row = await self._database.read(lambda connection: receipts.look(connection, principal, key))
            if row is None:
                raise _not_known(command)
            return row
        return await self._database.write(begin, synced=use is KeyUse.LASTING)

    async def _run(
        self, slot: tuple[str, str], effect: Callable[[], Awaitable[Any]], *, elsewhere: bool, lasting: bool
    ) -> Any:
        principal, key = slot
        try:
            result = await effect()
        except IndeterminateError as error:
            if not elsewhere:
                await self._settle(slot, jsonio.dumps({"error": problem(error)}).decode())
            raise
        except _NOTHING_HAPPENED:
            await self._database.write(lambda connection: receipts.forget(connection, principal, key))
            raise
        except TeleclaudeError as error:
            await self._settle(slot, jsonio.dumps({"error": problem(error)}).decode())
            raise
        reply = '{"reply":' + result.model_dump_json(by_alias=True) + "}"
        if lasting:
            await self._settle(slot, reply)
        else:
            # Lost with this process in the next moment, it makes a repeat indeterminate, never a second effect.
            self._database.write_soon(
                lambda connection: receipts.settle(connection, principal, key, reply), synced=False
            )
        return result

    async def _settle(self, slot: tuple[str, str], reply: str) -> None:
        principal, key = slot
        await self._database.write(lambda connection: receipts.settle(connection, principal, key, reply))

    async def forget_old(self) -> int:
        """Drop what is older than 24 h; answers how many."""
        before = self._clock.now().timestamp() - KEEP_SECONDS
        return await self._database.write(lambda connection: receipts.forget_before(connection, before))


def _digest(command: Command[Any]) -> str:
    raw = {name: value for name, value in command if isinstance(value, bytes)}
    body = command.model_dump_json(by_alias=True, exclude=set(raw))
    return hashlib.sha256(b"".join((f"{command.operation}\n{body}".encode(), *raw.values()))).hexdigest()


def _replay(row: receipts.Keyed, command: Command[Any], digest: str) -> Any:
    if row.digest != digest:
        raise KeyReusedError(
            "this Idempotency-Key was used for another request; take a new key", operation=command.operation
        )
    if row.reply is None:
        raise _not_known(command)
    stored = jsonio.loads(row.reply.encode(), operation=command.operation)
    if "error" in stored:
        raise error_from(stored["error"])
    return TypeAdapter(reply_type(type(command))).validate_python(stored["reply"])


def _not_known(command: Command[Any]) -> IndeterminateError:
    return IndeterminateError(
        "the daemon ended while it worked on the request with this key; look at the state before trying again",
        operation=command.operation,
    )


async def _finished(running: asyncio.Event, operation: str) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await running.wait()
    except TimeoutError:
        raise IndeterminateError(
            "the first request with this key is still at work; ask again later", operation=operation
        ) from None
