"""Who did or tried what: one row for each change, each refusal and, in bounded number, each stranger."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

from teleclaude.clock import Clock, timestamp
from teleclaude.errors import ForbiddenError, LimitError, UnauthenticatedError
from teleclaude.model import Principal
from teleclaude.service.limits import Bucket, Rate
from teleclaude.store import Database
from teleclaude.store import audit as rows
from teleclaude.wire.audit import AuditEntryView, AuditView, ReadAudit
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import SendBytes

STRANGER = "nobody"
STRANGERS = Rate(per_second=1, burst=100)
"""Rows about people without a token, who must not be able to fill the disk."""

REPEAT_SECONDS = 60.0
"""Typing on a live terminal is one row in so many seconds, not one a key, and so are calls beyond a limit."""

MAX_REPEATING = 1000

_DENIALS = frozenset({ForbiddenError.code, UnauthenticatedError.code, LimitError.code})

Handler = Callable[[Principal, Any], Awaitable[Any]]


class Audit:
    """Adds rows without waiting for the disk; they are written in order with everything else."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._strangers = Bucket(STRANGERS, clock.monotonic())
        self._repeating: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    def note(self, principal: Principal, command: Command[Any], result: str) -> None:
        """``result`` is ``ok`` or an error's code."""
        if not command.mutates and result not in _DENIALS:
            return
        subject = getattr(command, "id", None) or getattr(command, "name", None)
        if isinstance(command, SendBytes):
            repeated = self._is_repeated(principal.name, command.id, result)
        else:
            repeated = result == LimitError.code and self._is_repeated(principal.name, command.operation, result)
        if repeated:
            return
        self._append(principal.name, command.operation, subject, result, _digest(command))

    def note_denied(self, principal: Principal, operation: str, result: str) -> None:
        """Somebody known was refused something that is no command."""
        self._append(principal.name, operation, None, result, "")

    def note_stranger(self, operation: str) -> None:
        """Somebody showed a token that is none."""
        if not self._strangers.take(self._clock.monotonic()):
            self._append(STRANGER, operation, None, UnauthenticatedError.code, "")

    def note_refused(self, principal: str, operation: str, result: str) -> None:
        """As a stranger, but with the name that he gives himself."""
        if not self._strangers.take(self._clock.monotonic()):
            self._append(principal, operation, None, result, "")

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {ReadAudit: self.read}

    async def read(self, _principal: Principal, command: ReadAudit) -> AuditView:
        await self._database.flush()
        found = await self._database.read(partial(rows.select, after=command.after, limit=command.limit))
        return AuditView(entries=[_view(entry) for entry in found])

    async def trim(self) -> None:
        await self._database.write(rows.trim, frees=True)

    def _append(self, principal: str, operation: str, subject: str | None, result: str, digest: str) -> None:
        self._database.write_soon(
            partial(
                rows.append,
                at=self._clock.now().timestamp(),
                principal=principal,
                operation=operation,
                subject=subject,
                result=result,
                digest=digest,
            ),
            synced=False,
        )

    def _is_repeated(self, principal: str, about: str, result: str) -> bool:
        """Whether there is a row already that says the same of the last ``REPEAT_SECONDS``."""
        key, now = (principal, about, result), self._clock.monotonic()
        if now - self._repeating.get(key, -REPEAT_SECONDS) < REPEAT_SECONDS:
            return True
        self._repeating[key] = now
        self._repeating.move_to_end(key)
        if len(self._repeating) > MAX_REPEATING:
            self._repeating.popitem(last=False)
        return False


def _digest(command: Command[Any]) -> str:
    data = command.data if isinstance(command, SendBytes) else command.model_dump_json(by_alias=True).encode()
    return hashlib.sha256(data).hexdigest()


def _view(entry: rows.Entry) -> AuditEntryView:
    return AuditEntryView(
        seq=entry.seq,
        at=timestamp(datetime.fromtimestamp(entry.at, UTC)),
        principal=entry.principal,
        operation=entry.operation,
        subject=entry.subject,
        result=entry.result,
        digest=entry.digest,
    )
