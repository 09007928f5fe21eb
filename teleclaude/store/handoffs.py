"""Rows of who owns which session that was handed over. Each function takes the connection of its transaction."""

from __future__ import annotations

import json
import sqlite3
import zlib
from dataclasses import asdict, dataclass
from typing import Any

import structlog

from teleclaude.model.handoff import Claim, Effect, Prepared, Release, Row, Verdict

log = structlog.get_logger(__name__)

KEEP = 10_000
"""Rows kept; beyond it those of sessions that are settled and elsewhere go, the oldest first."""


@dataclass(frozen=True, slots=True)
class Ownership:
    """``row`` is the protocol's. ``end`` is where the stream ended when the session was let go of, ``pending`` what has
    still to be done to its process.
    """

    row: Row
    end: int | None = None
    pending: Effect | None = None


def save(connection: sqlite3.Connection, session_id: str, ownership: Ownership, *, now: float) -> None:
    record = json.dumps(_encoded(ownership), separators=(",", ":"))
    connection.execute(
        "INSERT INTO handoffs (session_id, changed_at, record, crc) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (session_id) DO UPDATE SET changed_at = excluded.changed_at, record = excluded.record,"
        " crc = excluded.crc",
        (session_id, now, record, zlib.crc32(record.encode())),
    )


def load(connection: sqlite3.Connection) -> dict[str, Ownership]:
    """All of them, by session."""
    found: dict[str, Ownership] = {}
    for session_id, record, crc in connection.execute(
        "SELECT session_id, record, crc FROM handoffs ORDER BY changed_at"
    ):
        if zlib.crc32(record.encode()) != crc:
            log.error("handoff_row_damaged", session_id=session_id)
            continue
        found[session_id] = _decoded(json.loads(record))
    return found


def delete(connection: sqlite3.Connection, session_id: str) -> None:
    connection.execute("DELETE FROM handoffs WHERE session_id = ?", (session_id,))


def _encoded(ownership: Ownership) -> dict[str, Any]:
    row = asdict(ownership.row)
    return {"row": row | {"tell": sorted(ownership.row.tell)}, "end": ownership.end, "pending": ownership.pending}


def _decoded(record: dict[str, Any]) -> Ownership:
    row, pending = record["row"], record["pending"]
    return Ownership(
        row=Row(
            me=row["me"],
            claim=Claim(**row["claim"]) if row["claim"] else None,
            released=Release(**row["released"]) if row["released"] else None,
            prepared=Prepared(**row["prepared"]) if row["prepared"] else None,
            verdicts=tuple(Verdict(**verdict) for verdict in row["verdicts"]),
            tell=frozenset(row["tell"]),
        ),
        end=record["end"],
        pending=Effect(pending) if pending else None,
    )
