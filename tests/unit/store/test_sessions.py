from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from teleclaude.errors import ConflictError, NotFoundError
from teleclaude.model import Exit, Exited, HandedOff, HandingOff, Kind, Lost, Running, Session, SessionSpec, Starting
from teleclaude.store import sessions
from teleclaude.store.files import open_database

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection, _ = open_database(path, NOW)
    yield connection
    connection.close()


def session(number: int = 1, name: str = "build", **changes: object) -> Session:
    plain = Session(
        id=f"id{number}",
        name=name,
        kind=Kind.TERMINAL,
        computer="here",
        spec=SessionSpec(command=None, cwd="/"),
        state=Running(None),
        created_at=NOW + timedelta(seconds=number),
        owner="local",
    )
    return replace(plain, **changes)  # type: ignore[arg-type]


def exited(at: datetime | None = NOW) -> Exited:
    return Exited(Exit(code=0, signal=None, at=at, reason="exited"))


def test_what_is_inserted_is_found(connection: sqlite3.Connection) -> None:
    first = session()
    sessions.insert(connection, first)
    assert sessions.get(connection, "id1") == first
    assert sessions.find_by_name(connection, "here", "build") == first
    assert sessions.find_by_name(connection, "there", "build") is None
    assert sessions.get(connection, "build") is None


def test_a_live_name_is_taken_only_on_its_computer(connection: sqlite3.Connection) -> None:
    sessions.insert(connection, session(1))
    with pytest.raises(ConflictError, match="build is already live on here"):
        sessions.insert(connection, session(2))
    sessions.insert(connection, session(3, computer="there"))
    sessions.insert(connection, session(4, state=exited()))
    with pytest.raises(ConflictError):
        sessions.insert(connection, session(1, name="other"))


@pytest.mark.parametrize("state", [Starting(), Running(None), HandingOff("there", 2, None)])
def test_every_live_state_holds_the_name(connection: sqlite3.Connection, state: Starting | Running) -> None:
    sessions.insert(connection, session(1, state=state))
    with pytest.raises(ConflictError):
        sessions.insert(connection, session(2))


def test_a_name_means_the_live_one_else_the_newest_ended(connection: sqlite3.Connection) -> None:
    sessions.insert(connection, session(1))
    sessions.insert(connection, session(2, state=exited()))
    sessions.insert(connection, session(3, state=HandedOff("there", "x", 2)))

    def found() -> str:
        match = sessions.find_by_name(connection, "here", "build")
        assert match is not None
        return match.id

    assert found() == "id1"
    sessions.save(connection, session(1, state=exited()))
    assert found() == "id3"


def test_save_changes_everything_and_revives_nothing(connection: sqlite3.Connection) -> None:
    sessions.insert(connection, session(1))
    changed = session(1, name="new", tags=("a",), state=exited(), title="t", epoch=3)
    sessions.save(connection, changed)
    assert sessions.get(connection, "id1") == changed
    assert sessions.find_by_name(connection, "here", "build") is None
    assert sessions.delete(connection, "id1")
    assert not sessions.delete(connection, "id1")
    with pytest.raises(NotFoundError):
        sessions.save(connection, changed)
    sessions.insert(connection, session(2))
    sessions.insert(connection, session(3, name="third"))
    with pytest.raises(ConflictError):
        sessions.save(connection, session(3, name="build"))


def test_select_filters_and_limits(connection: sqlite3.Connection) -> None:
    sessions.insert(connection, session(1, "a", tags=("red", "x")))
    sessions.insert(connection, session(2, "b", tags=("blue",), kind=Kind.PYTHON))
    sessions.insert(connection, session(3, "c", state=exited(), tags=("red",)))

    def ids(**filters: str) -> list[str]:
        return [found.id for found in sessions.select(connection, **filters)]  # type: ignore[arg-type]

    assert ids() == ["id3", "id2", "id1"]
    assert ids(state="running") == ["id2", "id1"]
    assert ids(kind="python") == ["id2"]
    assert ids(tag="red") == ["id3", "id1"]
    assert ids(tag="re") == ids(tag='["red"]') == []
    assert ids(tag="red", state="exited") == ["id3"]
    assert [found.id for found in sessions.select(connection, limit=1)] == ["id3"]
    assert [found.id for found in sessions.all_live(connection)] == ["id1", "id2"]


def test_ended_before_knows_when(connection: sqlite3.Connection) -> None:
    sessions.insert(connection, session(1, "a", state=exited(NOW - timedelta(days=8))))
    sessions.insert(connection, session(2, "b", state=exited(NOW - timedelta(days=9))))
    sessions.insert(connection, session(3, "c"))
    sessions.insert(connection, session(4, "d"))
    sessions.save(connection, session(4, "d", state=Lost(Exit(None, None, None, "unknown"))))
    assert [found.id for found in sessions.ended_before(connection, NOW - timedelta(days=7))] == ["id2", "id1"]
    assert sessions.ended_before(connection, datetime.now(UTC) - timedelta(minutes=1))[-1].id == "id1"
    later = sessions.ended_before(connection, datetime.now(UTC) + timedelta(minutes=1))
    assert [found.id for found in later] == ["id2", "id1", "id4"]
    sessions.save(connection, session(1, "a", state=Running(None)))
    assert [found.id for found in sessions.ended_before(connection, NOW)] == ["id2"]


def test_a_changed_byte_is_noticed_and_hides_nothing_else(connection: sqlite3.Connection) -> None:
    sessions.insert(connection, session(1, "a"))
    sessions.insert(connection, session(2, "b"))
    connection.execute("UPDATE sessions SET record = replace(record, '\"cols\":120', '\"cols\":121') WHERE id = 'id1'")
    with capture_logs() as logs:
        assert [found.id for found in sessions.select(connection)] == ["id2"]
        assert sessions.get(connection, "id1") is None
    assert logs[0]["event"] == "session_row_damaged"
    assert logs[0]["session_id"] == "id1"
