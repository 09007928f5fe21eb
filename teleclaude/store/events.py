"""Rows of events. Append them in the transaction of the change they tell of."""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta

from teleclaude.bus import EventPage
from teleclaude.events import Event, Fact, fact_data
from teleclaude.store.codec import microseconds
from teleclaude.store.db import Database

KEEP = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventLog:
    """Reads of the event table for the bus (``teleclaude.bus.EventSource``), and its trimming."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def latest(self) -> int:
        return await self._database.read(latest_seq)

    async def page(self, after: int, limit: int, sessions: frozenset[str] | None) -> EventPage:
        return await self._database.read(lambda connection: read_page(connection, after, limit, sessions))

    async def trim(self, keep: int = KEEP) -> int:
        """Drop all but the newest ``keep`` events; answers how many."""
        return await self._database.write(lambda connection: trim(connection, keep), frees=True)


def append(
    connection: sqlite3.Connection,
    fact: Fact,
    *,
    at: datetime,
    session_id: str | None = None,
    execution_id: str | None = None,
) -> Event:
    """Record ``fact``; it has happened once the transaction is committed, and is published after that."""
    data = json.dumps(fact_data(fact), separators=(",", ":"))
    cursor = connection.execute(
        "INSERT INTO events (at, type, session_id, execution_id, data) VALUES (?, ?, ?, ?, ?)",
        (microseconds(at), fact.type, session_id, execution_id, data),
    )
    assert cursor.lastrowid is not None
    # Read back from its text, so that a live event equals a replayed one.
    return Event(cursor.lastrowid, at.astimezone(UTC), fact.type, session_id, execution_id, json.loads(data))


def latest_seq(connection: sqlite3.Connection) -> int:
    """The number of the newest event there ever was; 0 before the first."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
    return int(row[0]) if row else 0


def oldest_seq(connection: sqlite3.Connection) -> int:
    """The number of the oldest kept event, or of the next one when none is kept."""
    oldest = connection.execute("SELECT MIN(seq) FROM events").fetchone()[0]
    return int(oldest) if oldest is not None else latest_seq(connection) + 1


def after(connection: sqlite3.Connection, seq: int, limit: int, sessions: frozenset[str] | None = None) -> list[Event]:
    """Up to ``limit`` events numbered above ``seq``, oldest first; ``sessions`` None means of all and of none."""
    rows = connection.execute(
        "SELECT seq, at, type, session_id, execution_id, data FROM events WHERE seq > :seq"
        " AND (:sessions IS NULL OR session_id IN (SELECT value FROM json_each(:sessions)))"
        " ORDER BY seq LIMIT :limit",
        {"seq": seq, "limit": limit, "sessions": None if sessions is None else json.dumps(sorted(sessions))},
    )
    return [
        Event(number, _EPOCH + timedelta(microseconds=at), kind, session_id, execution_id, json.loads(data))
        for number, at, kind, session_id, execution_id, data in rows
    ]


def read_page(
    connection: sqlite3.Connection, seq: int, limit: int, sessions: frozenset[str] | None = None
) -> EventPage:
    """``after``, and how far it looked."""
    events = after(connection, seq, limit, sessions)
    end = events[-1].seq if len(events) >= limit else max(latest_seq(connection), seq)
    return EventPage(events=events, end=end, oldest=oldest_seq(connection))


def trim(connection: sqlite3.Connection, keep: int = KEEP) -> int:
    """Drop all but the newest ``keep`` events; answers how many."""
    return connection.execute("DELETE FROM events WHERE seq <= ?", (latest_seq(connection) - keep,)).rowcount
