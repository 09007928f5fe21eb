"""Who comes in from outside: the owner's token file and named tokens, and how long each of them holds."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import os
import secrets
import sqlite3
import stat
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from teleclaude.clock import Clock, timestamp
from teleclaude.errors import ForbiddenError, InvalidError, NotFoundError, UnauthenticatedError
from teleclaude.model import Principal, Role
from teleclaude.service.ids import new_id
from teleclaude.service.lookup import Lookup
from teleclaude.store import Database, receipts
from teleclaude.store import tokens as rows
from teleclaude.store.tokens import Token
from teleclaude.wire.base import Command
from teleclaude.wire.tokens import CreateToken, ListTokens, NewTokenView, RevokeToken, RoleLabel, TokenList, TokenView

log = structlog.get_logger(__name__)

OPERATION = "authenticate"
MAX_FILE_BYTES = 4096
LOOK_SECONDS = 0.5
PREFIX = "tc_"

_LABELS: dict[Role, RoleLabel] = {Role.VIEWER: "viewer", Role.OPERATOR: "operator", Role.OWNER: "owner"}

Handler = Callable[[Principal, Any], Awaitable[Any]]
End = Callable[[], None]


class OwnerGrant:
    """The token file's: it ends with the file, which is looked at for every request, and now and then while one is
    open. ``holds`` says whether the token shown is still the one in it.
    """

    principal = Principal("owner", Role.OWNER)

    def __init__(self, holds: Callable[[], bool]) -> None:
        self._holds = holds

    def on_end(self, callback: End) -> End:
        timer: asyncio.TimerHandle

        def wait() -> None:
            nonlocal timer
            timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, look)

        def look() -> None:
            (wait if self._holds() else callback)()

        def forget() -> None:
            timer.cancel()

        wait()
        return forget


class TokenGrant:
    """Implements ``teleclaude.api.Grant`` for one named token."""

    def __init__(self, token: Token, clock: Clock) -> None:
        self.token = token
        self.principal = Principal(f"token:{token.name}", token.role, token.sessions, token.verbs)
        self._clock = clock
        self._callbacks: dict[object, End] = {}

    @property
    def expired(self) -> bool:
        return self.token.expires_at is not None and self._clock.now().timestamp() >= self.token.expires_at

    def on_end(self, callback: End) -> End:
        key = object()
        timer: asyncio.TimerHandle | None = None
        if self.token.expires_at is not None:
            remaining = max(0.0, self.token.expires_at - self._clock.now().timestamp())
            timer = asyncio.get_running_loop().call_later(min(remaining, 86_400.0 * 30), callback)
        self._callbacks[key] = callback

        def forget() -> None:
            self._callbacks.pop(key, None)
            if timer is not None:
                timer.cancel()

        return forget

    def end(self) -> None:
        """Tell everybody who came in by it."""
        callbacks = list(self._callbacks.values())
        self._callbacks.clear()
        for callback in callbacks:
            callback()


class Tokens:
    """All tokens in memory by their digest; the store is behind. ``operations`` are the verbs that there are."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        lookup: Lookup,
        owner_file: Path,
        operations: Callable[[], frozenset[str]],
    ) -> None:
        self._database = database
        self._clock = clock
        self._lookup = lookup
        self._owner_file = owner_file
        self._operations = operations
        self._grants: dict[bytes, TokenGrant] = {}
        self._owner: tuple[tuple[int, int, int], bytes | None] | None = None

    async def load(self) -> None:
        for token in await self._database.read(rows.select):
            self._grants[token.digest] = TokenGrant(token, self._clock)

    def authenticate(self, token: str) -> OwnerGrant | TokenGrant:
        """Who shows this token. Raises ``UnauthenticatedError``; what was shown is neither logged nor kept."""
        digest = _digest(token)
        if self._is_owners(digest):
            return OwnerGrant(lambda: self._is_owners(digest))
        grant = self._grants.get(digest)
        if grant is None or not hmac.compare_digest(grant.token.digest, digest) or grant.expired:
            raise UnauthenticatedError(
                "the token is not known, has expired or was revoked; ask the owner for one (teleclaude token create)",
                operation=OPERATION,
            )
        return grant

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {CreateToken: self.create, ListTokens: self.list, RevokeToken: self.revoke}

    async def create(self, principal: Principal, command: CreateToken) -> NewTokenView:
        self._check_verbs(principal, command)
        sessions = None
        if command.sessions is not None:
            found = [
                await self._lookup.find(principal, reference, operation=command.operation)
                for reference in command.sessions
            ]
            sessions = frozenset(item.session.id for item in found)
        text, now = PREFIX + secrets.token_urlsafe(32), self._clock.now().timestamp()
        token = Token(
            id=new_id("T", self._clock),
            name=command.name,
            digest=_digest(text),
            role=next(role for role, label in _LABELS.items() if label == command.role_),
            sessions=sessions,
            verbs=frozenset(command.verbs) if command.verbs is not None else None,
            created_at=now,
            expires_at=now + command.expires_in_ms / 1000 if command.expires_in_ms is not None else None,
        )
        grant = TokenGrant(token, self._clock)

        def insert(connection: sqlite3.Connection) -> None:
            rows.insert(connection, token)
            # Who had the name before was somebody else: its replies are not for this one.
            receipts.forget_all(connection, grant.principal.name)

        await self._database.write(insert)
        self._grants[token.digest] = grant
        log.info("token_created", name=token.name, role=token.role.label)
        return NewTokenView(token=text, **_view(token).model_dump())

    def _check_verbs(self, principal: Principal, command: CreateToken) -> None:
        """Whether they exist, and nobody gives away more than is its own."""
        known = self._operations()
        for verb in command.verbs or ():
            if verb not in known:
                raise InvalidError(
                    f"{verb!r} is no verb; the verbs are {', '.join(sorted(known))}", operation=command.operation
                )
        if principal.verbs is not None and (command.verbs is None or not principal.verbs.issuperset(command.verbs)):
            raise ForbiddenError(
                f"{principal.name} may give away verbs of its own only: {', '.join(sorted(principal.verbs))}",
                operation=command.operation,
            )

    async def list(self, _principal: Principal, _command: ListTokens) -> TokenList:
        return TokenList(tokens=[_view(grant.token) for grant in self._grants.values()])

    async def revoke(self, _principal: Principal, command: RevokeToken) -> TokenView:
        named = (grant for grant in self._grants.values() if command.id in (grant.token.id, grant.token.name))
        grant = next(named, None)
        if grant is None:
            raise NotFoundError(f"there is no token {command.id}", operation=command.operation)
        # Ended first: should the disk fail now, the token is dead until a restart rather than alive for ever.
        del self._grants[grant.token.digest]
        grant.end()
        await self._database.write(lambda connection: rows.delete(connection, grant.token.id), frees=True)
        log.info("token_revoked", name=grant.token.name)
        return _view(grant.token)

    def _is_owners(self, digest: bytes) -> bool:
        owner = self._owner_digest()
        return owner is not None and hmac.compare_digest(digest, owner)

    def _owner_digest(self) -> bytes | None:
        """The digest of what the owner's file holds; None while there is no private file of ours."""
        try:
            found = self._owner_file.stat()
        except OSError:
            return None
        signature = (found.st_ino, found.st_mtime_ns, found.st_mode)
        if self._owner is None or self._owner[0] != signature:
            self._owner = (signature, _read_owner(self._owner_file))
        return self._owner[1]


def _read_owner(path: Path) -> bytes | None:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        log.warning("owner_token_unreadable", path=str(path), error=error.strerror)
        return None
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            log.warning("owner_token_not_private", path=str(path), advice=f"chmod 600 {path}")
            return None
        text = file.read(MAX_FILE_BYTES).strip()
    return hashlib.sha256(text).digest() if text else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()


def _view(token: Token) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        role=_LABELS[token.role],
        sessions=sorted(token.sessions) if token.sessions is not None else None,
        verbs=sorted(token.verbs) if token.verbs is not None else None,
        created_at=_moment(token.created_at),
        expires_at=_moment(token.expires_at) if token.expires_at is not None else None,
    )


def _moment(unix: float) -> str:
    return timestamp(datetime.fromtimestamp(unix, UTC))
