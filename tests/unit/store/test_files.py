from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teleclaude.errors import UnavailableError
from teleclaude.store import Database, events, sessions
from teleclaude.store.files import migrations, open_database
from teleclaude.testing.clock import ManualClock

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
DATA = Path(__file__).parents[2] / "data"


def filled(path: Path) -> None:
    connection, _ = open_database(path, NOW)
    with connection:
        connection.execute("CREATE TABLE filler (n INTEGER PRIMARY KEY, body BLOB)")
        connection.executemany("INSERT INTO filler VALUES (?, randomblob(900))", [(n,) for n in range(300)])
        connection.execute("CREATE INDEX filler_body ON filler (body)")
    connection.close()


def _overwrite(path: Path, at: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(data)


def _truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2 + 100)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "header": lambda path: _overwrite(path, 0, b"not a database at all"),
    "schema page": lambda path: _overwrite(path, 100, b"\xff" * 300),
    "inner page": lambda path: _overwrite(path, 20 * 4096, b"\xff" * 200),
    "truncation": _truncate,
    "other file": lambda path: _overwrite(path, 0, b"hello world " * 1000),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_a_damaged_database_is_moved_aside_and_replaced(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path = tmp_path / "teleclaude.db"
    filled(path)
    damage(path)
    damaged = path.read_bytes()
    connection, aside = open_database(path, NOW)
    assert aside == tmp_path / "teleclaude.db.corrupt-20260131T093000Z"
    assert aside.read_bytes() == damaged
    assert connection.execute("SELECT COUNT(*) FROM sessions").fetchone() == (0,)
    connection.close()


def test_moved_aside_twice_in_a_second_keeps_both(tmp_path: Path) -> None:
    path = tmp_path / "teleclaude.db"
    for name in ("teleclaude.db.corrupt-20260131T093000Z", "teleclaude.db.corrupt-20260131T093000Z-2"):
        path.write_bytes(b"garbage " * 1000)
        connection, aside = open_database(path, NOW)
        connection.close()
        assert aside == tmp_path / name
    assert len(list(tmp_path.glob("*corrupt*"))) == 2


async def test_the_database_says_that_it_was_recovered(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"garbage " * 1000)
    async with Database(path, clock=ManualClock(NOW)) as database:
        assert database.recovered_from == path.with_name("teleclaude.db.corrupt-20260131T093000Z")


def test_opening_again_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "teleclaude.db"
    filled(path)
    connection, aside = open_database(path, NOW)
    assert aside is None
    assert connection.execute("SELECT COUNT(*) FROM filler").fetchone() == (300,)
    connection.close()


def test_a_newer_schema_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "teleclaude.db"
    filled(path)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 9999")
    connection.close()
    with pytest.raises(UnavailableError, match="schema 9999"):
        open_database(path, NOW)
    assert list(tmp_path.glob("*corrupt*")) == []


def test_a_place_that_cannot_hold_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(UnavailableError, match="cannot be opened"):
        open_database(tmp_path / "file/teleclaude.db", NOW)
    (tmp_path / "link.db").symlink_to(tmp_path / "file")
    with pytest.raises(UnavailableError, match="cannot be opened"):
        open_database(tmp_path / "link.db", NOW)


def test_migrations_are_numbered_without_a_hole() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


@pytest.mark.parametrize("dump", sorted(DATA.glob("state-v*.sql")), ids=lambda dump: dump.stem)
async def test_every_released_state_loads(path: Path, dump: Path) -> None:
    path.parent.mkdir()
    connection = sqlite3.connect(path)
    connection.executescript(dump.read_text())
    connection.close()
    async with Database(path, clock=ManualClock(NOW)) as database:
        assert database.recovered_from is None
        stored = {session.name: session for session in await database.read(sessions.select)}
        assert {name: session.state.name for name, session in stored.items()} == {
            "shell": "running",
            "fresh": "starting",
            "done": "exited",
            "gone": "lost",
            "moving": "handing_off",
            "moved": "handed_off",
        }
        assert stored["shell"].pane is not None
        assert stored["shell"].pane.pane_id == "%7"
        assert stored["done"].spec.command == ("make", "all")
        assert stored["done"].exit is not None
        assert (stored["done"].exit.code, stored["done"].exit.signal) == (2, None)
        assert stored["moved"].spec.agent is not None
        found = await database.read(lambda connection: events.after(connection, 0, 10))
        assert [event.type for event in found] == ["session.created", "session.state", "session.exit"]
        assert found[0].data == {"name": "shell", "kind": "terminal"}
        assert await database.read(events.latest_seq) == 3
