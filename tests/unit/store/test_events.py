from __future__ import annotations

import sqlite3
from datetime import UTC, datetime

import pytest

from teleclaude.events import SessionChanged, SessionCreated, SessionStateChanged
from teleclaude.store import Database, EventLog, events

NOW = datetime(2026, 1, 31, 9, 30, 0, 123_456, tzinfo=UTC)


def append(connection: sqlite3.Connection, state: str, session_id: str | None = "s1") -> int:
    return events.append(connection, SessionStateChanged(state), at=NOW, session_id=session_id).seq


async def test_a_replayed_event_equals_the_live_one(database: Database) -> None:
    fact = SessionChanged(name="a", tags=("x", "y"), cols=80, rows=24)
    live = await database.write(lambda connection: events.append(connection, fact, at=NOW, session_id="s1"))
    (replayed,) = await database.read(lambda connection: events.after(connection, 0, 10))
    assert replayed == live
    assert (live.seq, live.at, live.type, live.session_id, live.execution_id) == (1, NOW, "session.changed", "s1", None)
    assert live.data == {"name": "a", "tags": ["x", "y"], "cols": 80, "rows": 24}


async def test_after_and_filters(database: Database) -> None:
    for number, session_id in enumerate(["s1", "s2", None, "s1", "s2"]):
        await database.write(lambda connection, n=number, s=session_id: append(connection, str(n), s))  # type: ignore[misc]

    async def seqs(seq: int, limit: int = 10, sessions: frozenset[str] | None = None) -> list[int]:
        found = await database.read(lambda connection: events.after(connection, seq, limit, sessions))
        return [event.seq for event in found]

    assert await seqs(0) == [1, 2, 3, 4, 5]
    assert await seqs(2, 2) == [3, 4]
    assert await seqs(5) == []
    assert await seqs(0, sessions=frozenset({"s2"})) == [2, 5]
    assert await seqs(0, sessions=frozenset({"s2", "s1", "other"})) == [1, 2, 4, 5]
    assert await seqs(0, sessions=frozenset()) == []


async def test_pages_say_how_far_they_looked(database: Database) -> None:
    log = EventLog(database)
    empty = await log.page(0, 10, None)
    assert (list(empty.events), empty.end, empty.oldest) == ([], 0, 1)
    for number in range(6):
        await database.write(lambda connection, n=number: append(connection, str(n), f"s{n % 2}"))  # type: ignore[misc]
    assert await log.latest() == 6
    page = await log.page(0, 2, frozenset({"s0"}))
    assert ([event.seq for event in page.events], page.end, page.oldest) == ([1, 3], 3, 1)
    page = await log.page(3, 2, frozenset({"s0"}))
    assert ([event.seq for event in page.events], page.end) == ([5], 6)
    page = await log.page(6, 2, None)
    assert (list(page.events), page.end) == ([], 6)


async def test_numbers_are_never_used_again(database: Database) -> None:
    log = EventLog(database)
    for number in range(5):
        await database.write(lambda connection, n=number: append(connection, str(n)))  # type: ignore[misc]
    assert await log.trim(keep=2) == 3
    assert (await log.page(0, 10, None)).oldest == 4
    assert await log.trim(keep=0) == 2
    assert (await log.page(0, 10, None)).oldest == 6
    assert await log.latest() == 5
    assert await database.write(lambda connection: append(connection, "next")) == 6


async def test_an_undone_change_has_no_event(database: Database) -> None:
    def failing(connection: sqlite3.Connection) -> None:
        events.append(connection, SessionCreated(name="a", kind="terminal"), at=NOW)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await database.write(failing)
    assert await EventLog(database).latest() == 0
    assert await database.write(lambda connection: append(connection, "first")) == 1
