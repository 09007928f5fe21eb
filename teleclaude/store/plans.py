"""Rows of plans, as JSON text. Each function takes the connection of the transaction it is part of."""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import structlog

from teleclaude.store.codec import microseconds

log = structlog.get_logger(__name__)

MAX_LISTED = 1000


@dataclass(frozen=True, slots=True)
class PlanRow:
    """``ended_at`` None: it is live."""

    id: str
    created_at: datetime
    ended_at: datetime | None
    record: str


def put(connection: sqlite3.Connection, row: PlanRow) -> None:
    """Store it, in place of what was there."""
    connection.execute(
        "INSERT INTO plans (id, live, created_at, ended_at, record, crc) VALUES (?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (id) DO UPDATE SET live = excluded.live, ended_at = excluded.ended_at,"
        " record = excluded.record, crc = excluded.crc",
        (
            row.id,
            int(row.ended_at is None),
            microseconds(row.created_at),
            microseconds(row.ended_at) if row.ended_at else None,
            row.record,
            zlib.crc32(row.record.encode()),
        ),
    )


def get(connection: sqlite3.Connection, plan_id: str) -> str | None:
    rows = connection.execute("SELECT id, record, crc FROM plans WHERE id = ?", (plan_id,))
    return next(iter(_sound(rows)), None)


def newest(connection: sqlite3.Connection, limit: int = MAX_LISTED) -> list[str]:
    return _sound(
        connection.execute("SELECT id, record, crc FROM plans ORDER BY created_at DESC, id DESC LIMIT ?", (limit,))
    )


def all_live(connection: sqlite3.Connection) -> list[str]:
    return _sound(connection.execute("SELECT id, record, crc FROM plans WHERE live = 1 ORDER BY created_at, id"))


def trim(connection: sqlite3.Connection, before: datetime, keep: int) -> int:
    """Drop ended plans older than ``before`` and beyond the newest ``keep``; answers how many."""
    return connection.execute(
        "DELETE FROM plans WHERE live = 0 AND (ended_at < :before OR ended_at <= ("
        "  SELECT ended_at FROM plans WHERE live = 0 ORDER BY ended_at DESC, id DESC LIMIT 1 OFFSET :keep))",
        {"before": microseconds(before), "keep": keep},
    ).rowcount


def _sound(rows: Iterable[tuple[str, str, int]]) -> list[str]:
    """A damaged row must not hide the sound ones."""
    records = []
    for plan_id, record, crc in rows:
        if zlib.crc32(record.encode()) != crc:
            log.error("plan_row_damaged", plan_id=plan_id)
            continue
        records.append(record)
    return records
