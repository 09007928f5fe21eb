"""What was already done, so that a repeat does it no second time: input by client and number, commands by key."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from teleclaude.errors import ConflictError

KEEP_PER_CLIENT = 1000
"""Receipts kept for one client of one session; a lower number than all of these is refused, not typed again."""

KEEP_KEYS = 100_000


@dataclass(frozen=True, slots=True)
class Receipt:
    """Input that was begun before. ``offset`` None: whether it was typed is not known."""

    offset: int | None


@dataclass(frozen=True, slots=True)
class Keyed:
    """A command that was begun before. ``reply`` None: whether it took effect is not known."""

    operation: str
    digest: str
    reply: str | None
    created_at: float


def accept(connection: sqlite3.Connection, session_id: str, client_id: str, seq: int, *, now: float) -> Receipt | None:
    """The receipt of this input, or None when it is new and now on record as begun. ``now`` is a Unix time.

    Raises ``ConflictError`` for a number so old that its receipt is gone.
    """
    row = connection.execute(
        "SELECT delivered_offset FROM input_receipts WHERE session_id = ? AND client_id = ? AND seq = ?",
        (session_id, client_id, seq),
    ).fetchone()
    if row is not None:
        return Receipt(offset=row[0])
    newest = connection.execute(
        "SELECT MAX(seq) FROM input_receipts WHERE session_id = ? AND client_id = ?", (session_id, client_id)
    ).fetchone()[0]
    if newest is not None and seq <= newest - KEEP_PER_CLIENT:
        raise ConflictError(
            f"seq {seq} is too far below {newest}, the highest of this client; count upwards", operation="session.input"
        )
    connection.execute(
        "INSERT INTO input_receipts (session_id, client_id, seq, created_at) VALUES (?, ?, ?, ?)",
        (session_id, client_id, seq, now),
    )
    connection.execute(
        "DELETE FROM input_receipts WHERE session_id = ? AND client_id = ? AND seq <= ?",
        (session_id, client_id, max(seq, newest or seq) - KEEP_PER_CLIENT),
    )
    return None


def deliver(connection: sqlite3.Connection, session_id: str, client_id: str, seq: int, offset: int) -> None:
    """The input was typed; ``offset`` is what a repeat is answered."""
    connection.execute(
        "UPDATE input_receipts SET delivered_offset = ? WHERE session_id = ? AND client_id = ? AND seq = ?",
        (offset, session_id, client_id, seq),
    )


def refuse(connection: sqlite3.Connection, session_id: str, client_id: str, seq: int) -> None:
    """The input was certainly not typed: the number is free again."""
    connection.execute(
        "DELETE FROM input_receipts WHERE session_id = ? AND client_id = ? AND seq = ?", (session_id, client_id, seq)
    )


def newest(connection: sqlite3.Connection, session_id: str, limit: int) -> list[tuple[str, int, int | None]]:
    """The newest receipts of a session: client, number, offset."""
    return connection.execute(
        "SELECT client_id, seq, delivered_offset FROM input_receipts WHERE session_id = ?"
        " ORDER BY created_at DESC, seq DESC LIMIT ?",
        (session_id, limit),
    ).fetchall()


def bring(
    connection: sqlite3.Connection, session_id: str, receipts: list[tuple[str, int, int | None]], *, now: float
) -> None:
    """Receipts of input that was typed into the session elsewhere."""
    connection.executemany(
        "INSERT INTO input_receipts (session_id, client_id, seq, delivered_offset, created_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET delivered_offset = excluded.delivered_offset",
        [(session_id, client_id, seq, offset, now) for client_id, seq, offset in receipts],
    )


def look(connection: sqlite3.Connection, principal: str, key: str) -> Keyed | None:
    """What is on record under this key."""
    row = connection.execute(
        "SELECT operation, digest, reply, created_at FROM idempotency_keys WHERE principal = ? AND key = ?",
        (principal, key),
    ).fetchone()
    return None if row is None else Keyed(*row)


def begin(
    connection: sqlite3.Connection, principal: str, key: str, operation: str, digest: str, *, now: float
) -> Keyed | None:
    """What is on record under this key, or None when it is new and now on record as begun. ``now`` is a Unix time."""
    known = look(connection, principal, key)
    if known is not None:
        return known
    connection.execute(
        "INSERT INTO idempotency_keys (principal, key, operation, digest, created_at) VALUES (?, ?, ?, ?, ?)",
        (principal, key, operation, digest, now),
    )
    return None


def settle(connection: sqlite3.Connection, principal: str, key: str, reply: str) -> None:
    """The command took effect; ``reply`` (JSON) is what a repeat is answered."""
    connection.execute("UPDATE idempotency_keys SET reply = ? WHERE principal = ? AND key = ?", (reply, principal, key))


def forget(connection: sqlite3.Connection, principal: str, key: str) -> None:
    """The command certainly did nothing: the key is free again."""
    connection.execute("DELETE FROM idempotency_keys WHERE principal = ? AND key = ?", (principal, key))


def forget_all(connection: sqlite3.Connection, principal: str) -> None:
    """Nothing is known of any key of this principal."""
    connection.execute("DELETE FROM idempotency_keys WHERE principal = ?", (principal,))


def forget_before(connection: sqlite3.Connection, before: float) -> int:
    """Drop keys and receipts from before the Unix time ``before``, and the oldest keys beyond ``KEEP_KEYS``.

    Answers how many.
    """
    keys = connection.execute("DELETE FROM idempotency_keys WHERE created_at < ?", (before,)).rowcount
    receipts = connection.execute("DELETE FROM input_receipts WHERE created_at < ?", (before,)).rowcount
    surplus = connection.execute(
        "DELETE FROM idempotency_keys WHERE rowid IN"
        " (SELECT rowid FROM idempotency_keys ORDER BY created_at DESC LIMIT -1 OFFSET ?)",
        (KEEP_KEYS,),
    ).rowcount
    return keys + receipts + surplus
