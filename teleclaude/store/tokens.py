"""Named tokens: who may come in from outside, by the digest of what they show."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from teleclaude.errors import ConflictError, LimitError
from teleclaude.model import Role

MAX_TOKENS = 1000

_COLUMNS = "id, name, digest, role, sessions, verbs, created_at, expires_at"


@dataclass(frozen=True, slots=True)
class Token:
    """``digest`` is the SHA-256 of the token; times are Unix times. ``sessions`` and ``verbs`` None: all of them."""

    id: str
    name: str
    digest: bytes
    role: Role
    sessions: frozenset[str] | None
    verbs: frozenset[str] | None
    created_at: float
    expires_at: float | None


def insert(connection: sqlite3.Connection, token: Token) -> None:
    """Raises ``ConflictError`` for a name that is taken and ``LimitError`` beyond ``MAX_TOKENS``."""
    if connection.execute("SELECT COUNT(*) FROM tokens").fetchone()[0] >= MAX_TOKENS:
        raise LimitError(f"there are {MAX_TOKENS} tokens; revoke some first", operation="token.create")
    if connection.execute("SELECT 1 FROM tokens WHERE name = ?", (token.name,)).fetchone():
        raise ConflictError(
            f"a token is named {token.name}; choose another name or revoke it", operation="token.create"
        )
    connection.execute(
        f"INSERT INTO tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            token.id,
            token.name,
            token.digest,
            int(token.role),
            _listed(token.sessions),
            _listed(token.verbs),
            token.created_at,
            token.expires_at,
        ),
    )


def select(connection: sqlite3.Connection) -> list[Token]:
    """All tokens, oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, id").fetchall()
    return [
        Token(id_, name, digest, Role(role), _scope(sessions), _scope(verbs), created_at, expires_at)
        for id_, name, digest, role, sessions, verbs, created_at, expires_at in rows
    ]


def delete(connection: sqlite3.Connection, token_id: str) -> bool:
    """Whether there was such a token."""
    return connection.execute("DELETE FROM tokens WHERE id = ?", (token_id,)).rowcount > 0


def _listed(scope: frozenset[str] | None) -> str | None:
    return None if scope is None else json.dumps(sorted(scope))


def _scope(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))
