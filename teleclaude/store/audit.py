"""The audit log: rows are only ever added; the schema itself refuses anything else."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

KEEP = 500_000
"""Newest rows that are never dropped; the schema holds the same number."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``at`` is a Unix time, ``subject`` the session or other object meant, ``result`` ``ok`` or an error's code and
    ``digest`` the SHA-256 of the input, in hexadecimal.
    """

    seq: int
    at: float
    principal: str
    operation: str
    subject: str | None
    result: str
    digest: str


def append(
    connection: sqlite3.Connection,
    *,
    at: float,
    principal: str,
    operation: str,
    subject: str | None,
    result: str,
    digest: str,
) -> None:
    connection.execute(
        "INSERT INTO audit (at, principal, operation, subject, result, digest) VALUES (?, ?, ?, ?, ?, ?)",
        (at, principal, operation, subject, result, digest),
    )


def select(connection: sqlite3.Connection, *, after: int, limit: int) -> list[Entry]:
    """Rows with a number above ``after``, oldest first."""
    rows = connection.execute(
        "SELECT seq, at, principal, operation, subject, result, digest FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
        (after, limit),
    )
    return [Entry(*row) for row in rows]


def trim(connection: sqlite3.Connection) -> int:
    """Drop what lies further back than the newest ``KEEP`` rows; answers how many."""
    newest = connection.execute("SELECT MAX(seq) FROM audit").fetchone()[0] or 0
    return connection.execute("DELETE FROM audit WHERE seq <= ?", (newest - KEEP,)).rowcount
