"""Rows of sessions. Each function takes the connection of the transaction it is part of."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import structlog

from teleclaude.errors import ConflictError, NotFoundError
from teleclaude.model import Session
from teleclaude.store.codec import decode_session, encode_session, microseconds

log = structlog.get_logger(__name__)

MAX_LISTED = 10_000


_INSERT = """
    INSERT INTO sessions (id, name, computer, kind, state, live, tags, created_at, ended_at, record, crc)
    VALUES (:id, :name, :computer, :kind, :state, :live, :tags, :created_at, :ended_at, :record, :crc)
"""
# When it ended is not always known; then the moment it was first stored as ended has to do.
_UPDATE = """
    UPDATE sessions SET
        name = :name, computer = :computer, kind = :kind, state = :state, live = :live, tags = :tags,
        ended_at = CASE WHEN :live THEN NULL ELSE COALESCE(:exit_at, ended_at, :ended_at) END,
        record = :record, crc = :crc
    WHERE id = :id
"""


def insert(connection: sqlite3.Connection, session: Session) -> None:
    """Raises ``ConflictError`` when the id exists, or a live session of this computer has the name."""
    try:
        connection.execute(_INSERT, _row(session))
    except sqlite3.IntegrityError:
        raise _conflict(session, "session.create") from None


def save(connection: sqlite3.Connection, session: Session) -> None:
    """Store what has become of ``session``; a deleted one is not brought back.

    Raises ``NotFoundError`` for a session that has no row, ``ConflictError`` when another live one has the name.
    """
    try:
        cursor = connection.execute(_UPDATE, _row(session))
    except sqlite3.IntegrityError:
        raise _conflict(session, "session.save") from None
    if cursor.rowcount == 0:
        raise NotFoundError(f"session {session.id} has been deleted", operation="session.save")


def delete(connection: sqlite3.Connection, session_id: str) -> bool:
    """Drop the row and what hangs on it; whether there was one."""
    return connection.execute("DELETE FROM sessions WHERE id = ?", (session_id,)).rowcount > 0


def get(connection: sqlite3.Connection, session_id: str) -> Session | None:
    return _first(connection.execute("SELECT id, record, crc FROM sessions WHERE id = ?", (session_id,)))


def find_by_name(connection: sqlite3.Connection, computer: str, name: str) -> Session | None:
    """The live session of that name, else the newest ended one."""
    return _first(
        connection.execute(
            "SELECT id, record, crc FROM sessions WHERE computer = ? AND name = ?"
            " ORDER BY live DESC, created_at DESC, id DESC LIMIT 1",
            (computer, name),
        )
    )


def all_live(connection: sqlite3.Connection) -> list[Session]:
    return _all(connection.execute("SELECT id, record, crc FROM sessions WHERE live = 1 ORDER BY created_at, id"))


def select(
    connection: sqlite3.Connection,
    *,
    state: str | None = None,
    kind: str | None = None,
    tag: str | None = None,
    limit: int = MAX_LISTED,
) -> list[Session]:
    """Newest first; None does not filter."""
    return _all(
        connection.execute(
            "SELECT id, record, crc FROM sessions WHERE (:state IS NULL OR state = :state)"
            " AND (:kind IS NULL OR kind = :kind)"
            " AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag))"
            " ORDER BY created_at DESC, id DESC LIMIT :limit",
            {"state": state, "kind": kind, "tag": tag, "limit": limit},
        )
    )


def ended_before(connection: sqlite3.Connection, moment: datetime, limit: int = 1000) -> list[Session]:
    """Sessions that ended before ``moment``, oldest first."""
    return _all(
        connection.execute(
            "SELECT id, record, crc FROM sessions WHERE live = 0 AND ended_at < ? ORDER BY ended_at LIMIT ?",
            (microseconds(moment), limit),
        )
    )


def _row(session: Session) -> dict[str, object]:
    record = encode_session(session)
    exit_at = session.exit.at if session.exit is not None else None
    return {
        "id": session.id,
        "name": session.name,
        "computer": session.computer,
        "kind": session.kind.value,
        "state": session.state.name,
        "live": int(session.is_live),
        "tags": json.dumps(session.tags),
        "created_at": microseconds(session.created_at),
        "exit_at": microseconds(exit_at) if exit_at is not None else None,
        "ended_at": None if session.is_live else microseconds(exit_at or datetime.now(UTC)),
        "record": record,
        "crc": zlib.crc32(record.encode()),
    }


def _conflict(session: Session, operation: str) -> ConflictError:
    return ConflictError(
        f"a session named {session.name} is already live on {session.computer}; take another name, or close that one",
        operation=operation,
    )


def _first(rows: Iterable[tuple[str, str, int]]) -> Session | None:
    return next(iter(_all(rows)), None)


def _all(rows: Iterable[tuple[str, str, int]]) -> list[Session]:
    """A damaged row must not hide the sound ones; SQLite's own check does not see a changed byte in a text."""
    sessions = []
    for session_id, record, crc in rows:
        if zlib.crc32(record.encode()) != crc:
            log.error("session_row_damaged", session_id=session_id)
            continue
        sessions.append(_decoded(record))
    return sessions


@lru_cache(maxsize=2000)
def _decoded(record: str) -> Session:
    """Lists are asked for again and again, and most sessions in them are as they were."""
    return decode_session(record)
