"""Rows of executions. Each function takes the connection of the transaction it is part of."""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterable
from datetime import datetime

import structlog

from teleclaude.errors import NotFoundError
from teleclaude.model import Execution
from teleclaude.store.codec import microseconds
from teleclaude.store.execution_codec import decode_execution, encode_execution

log = structlog.get_logger(__name__)

MAX_LISTED = 10_000

_INSERT = """
    INSERT INTO executions (id, session_id, status, live, tags, created_at, ended_at, record, crc)
    VALUES (:id, :session_id, :status, :live, :tags, :created_at, :ended_at, :record, :crc)
"""
_UPDATE = """
    UPDATE executions SET status = :status, live = :live, ended_at = :ended_at, record = :record, crc = :crc
    WHERE id = :id AND live
"""


def insert(connection: sqlite3.Connection, execution: Execution) -> None:
    connection.execute(_INSERT, _row(execution))


def save(connection: sqlite3.Connection, execution: Execution) -> bool:
    """Store what has become of it; False when it had ended: an outcome is final, whatever comes late.

    Raises ``NotFoundError`` when it has no row.
    """
    if connection.execute(_UPDATE, _row(execution)).rowcount > 0:
        return True
    if connection.execute("SELECT 1 FROM executions WHERE id = ?", (execution.id,)).fetchone() is None:
        raise NotFoundError(f"execution {execution.id} has been deleted", operation="execution.save")
    return False


def delete(connection: sqlite3.Connection, execution_id: str) -> bool:
    """Drop the row; whether there was one."""
    return connection.execute("DELETE FROM executions WHERE id = ?", (execution_id,)).rowcount > 0


def get(connection: sqlite3.Connection, execution_id: str) -> Execution | None:
    rows = connection.execute("SELECT id, record, crc FROM executions WHERE id = ?", (execution_id,))
    return next(iter(_all(rows)), None)


def all_live(connection: sqlite3.Connection) -> list[Execution]:
    """Those that were stored as not ended, oldest first."""
    return _all(connection.execute("SELECT id, record, crc FROM executions WHERE live = 1 ORDER BY created_at, id"))


def select(
    connection: sqlite3.Connection,
    *,
    status: str | None = None,
    session_id: str | None = None,
    tag: str | None = None,
    limit: int = MAX_LISTED,
) -> list[Execution]:
    """Newest first; None does not filter."""
    return _all(
        connection.execute(
            "SELECT id, record, crc FROM executions WHERE (:status IS NULL OR status = :status)"
            " AND (:session_id IS NULL OR session_id = :session_id)"
            " AND (:tag IS NULL OR EXISTS (SELECT 1 FROM json_each(tags) WHERE value = :tag))"
            " ORDER BY created_at DESC, id DESC LIMIT :limit",
            {"status": status, "session_id": session_id, "tag": tag, "limit": limit},
        )
    )


def superfluous(connection: sqlite3.Connection, before: datetime, keep: int, limit: int = 1000) -> list[str]:
    """Ids of ended executions, oldest first: those that ended before ``before`` and all beyond the newest ``keep``."""
    rows = connection.execute(
        "SELECT id FROM executions WHERE live = 0 AND (ended_at < :before OR ended_at <= ("
        "  SELECT ended_at FROM executions WHERE live = 0 ORDER BY ended_at DESC, id DESC LIMIT 1 OFFSET :keep"
        ")) ORDER BY ended_at, id LIMIT :limit",
        {"before": microseconds(before), "keep": keep, "limit": limit},
    )
    return [row[0] for row in rows]


def of_session(connection: sqlite3.Connection, session_id: str) -> list[str]:
    """Ids of all executions of a session, oldest first."""
    rows = connection.execute("SELECT id FROM executions WHERE session_id = ? ORDER BY created_at, id", (session_id,))
    return [row[0] for row in rows]


def _row(execution: Execution) -> dict[str, object]:
    record = encode_execution(execution)
    ending = execution.ending
    return {
        "id": execution.id,
        "session_id": execution.session_id,
        "status": execution.state.name,
        "live": int(ending is None),
        "tags": json.dumps(execution.tags),
        "created_at": microseconds(execution.created_at),
        "ended_at": microseconds(ending.completed_at) if ending else None,
        "record": record,
        "crc": zlib.crc32(record.encode()),
    }


def _all(rows: Iterable[tuple[str, str, int]]) -> list[Execution]:
    """A damaged row must not hide the sound ones."""
    executions = []
    for execution_id, record, crc in rows:
        if zlib.crc32(record.encode()) != crc:
            log.error("execution_row_damaged", execution_id=execution_id)
            continue
        executions.append(decode_execution(record))
    return executions
