from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from teleclaude.errors import ConflictError, InternalError, NoSpaceError, UnavailableError
from teleclaude.store import Database, batch, db
from teleclaude.store.ballast import BALLAST_BYTES
from teleclaude.store.batch import write_batch
from teleclaude.store.files import migrations
from teleclaude.testing.clock import ManualClock
from tests.support.wait import eventually

TABLE = "CREATE TABLE IF NOT EXISTS notes (text TEXT UNIQUE, body BLOB)"


@pytest.fixture
async def notes(database: Database) -> Database:
    await database.write(make_table)
    return database


def make_table(connection: sqlite3.Connection) -> None:
    connection.execute(TABLE)


def clear(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM notes")


def add(connection: sqlite3.Connection, text: str, size: int = 0) -> int:
    connection.execute("INSERT INTO notes VALUES (?, zeroblob(?))", (text, size))
    return threading.get_ident()


def texts(connection: sqlite3.Connection) -> list[str]:
    return [row[0] for row in connection.execute("SELECT text FROM notes ORDER BY rowid")]


async def test_settings_of_the_connection(database: Database) -> None:
    def pragma(name: str) -> object:
        return lambda connection: connection.execute(f"PRAGMA {name}").fetchone()[0]

    assert await database.read(pragma("journal_mode")) == "wal"  # type: ignore[arg-type]
    newest, _ = (await asyncio.to_thread(migrations))[-1]
    for name, value in (("synchronous", 2), ("foreign_keys", 1), ("user_version", newest)):
        assert await database.write(pragma(name)) == value  # type: ignore[arg-type]


async def test_files_are_private(database: Database, path: Path) -> None:
    await database.flush()
    assert {file.name for file in path.parent.iterdir()} >= {path.name, f"{path.name}-wal"}
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


async def test_a_write_is_seen_by_the_next_read_and_off_the_loop(notes: Database) -> None:
    thread = await notes.write(lambda connection: add(connection, "one"))
    assert thread != threading.get_ident()
    assert await notes.read(texts) == ["one"]


async def test_each_concurrent_write_stands_or_falls_by_itself(notes: Database) -> None:
    def failing(connection: sqlite3.Connection) -> None:
        add(connection, "undone")
        raise ConflictError("no")

    results = await asyncio.gather(
        notes.write(lambda connection: add(connection, "a")),
        notes.write(failing),
        notes.write(lambda connection: add(connection, "a")),
        notes.write(lambda connection: add(connection, "b")),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [int, ConflictError, InternalError, int]
    assert await notes.read(texts) == ["a", "b"]


async def test_concurrent_writes_share_commits(notes: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counting(connection: sqlite3.Connection, jobs: list[batch.Job], *rest: object) -> list[batch.Outcome]:
        sizes.append(len(jobs))
        return write_batch(connection, jobs, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(db, "write_batch", counting)
    await asyncio.gather(*(notes.write(lambda connection, n=n: add(connection, str(n))) for n in range(300)))  # type: ignore[misc]
    assert sum(sizes) == 300
    assert len(sizes) < 150
    assert await notes.read(texts) == [str(n) for n in range(300)]


async def test_write_soon_is_in_order_and_logs_its_failure(notes: Database) -> None:
    with capture_logs() as logs:
        notes.write_soon(lambda connection: add(connection, "first"))
        notes.write_soon(lambda connection: add(connection, "first"))
        notes.write_soon(lambda connection: add(connection, "second"))
        await notes.flush()
    assert await notes.read(texts) == ["first", "second"]
    (entry,) = [line for line in logs if line["event"] == "write_failed"]
    assert "UNIQUE" in entry["error"]


async def test_closing_finishes_what_was_asked_for(path: Path) -> None:
    async with Database(path, clock=ManualClock()) as database:
        await database.write(make_table)
        for n in range(100):
            database.write_soon(lambda connection, n=n: add(connection, str(n)))  # type: ignore[misc]
    await database.aclose()
    with pytest.raises(UnavailableError, match="closed"):
        await database.write(texts)
    with pytest.raises(UnavailableError, match="closed"):
        await database.read(texts)
    with capture_logs() as logs:
        database.write_soon(texts)
    assert logs[0]["event"] == "write_dropped"
    async with Database(path, clock=ManualClock()) as again:
        assert len(await again.read(texts)) == 100
        assert again.recovered_from is None
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("store-")]


async def test_readers_cannot_write(notes: Database) -> None:
    with pytest.raises(UnavailableError, match="READONLY"):
        await notes.read(lambda connection: add(connection, "x"))
    assert await notes.read(texts) == []


async def test_a_reader_sees_one_state(notes: Database) -> None:
    inside, go_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
        before = texts(connection)
        inside.set()
        go_on.wait(5)
        return before, texts(connection)

    async def write_meanwhile() -> None:
        await eventually(inside.is_set)
        await notes.write(lambda connection: add(connection, "new"))
        go_on.set()

    seen, _ = await asyncio.gather(notes.read(slow), write_meanwhile())
    assert seen == ([], [])
    assert await notes.read(texts) == ["new"]


async def test_a_cancelled_caller_hurts_nobody(notes: Database) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await notes.write(lambda connection: add(connection, "kept"))
    await notes.flush()
    assert await notes.read(texts) == ["kept"]


async def test_a_full_database_says_so_and_keeps_what_it_has(notes: Database) -> None:
    pages = await notes.write(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    await notes.write(lambda connection: connection.execute(f"PRAGMA max_page_count = {pages + 20}").fetchone())
    results = await asyncio.gather(
        *(notes.write(lambda connection, n=n: add(connection, str(n), 9000)) for n in range(20)),  # type: ignore[misc]
        return_exceptions=True,
    )
    assert isinstance(results[-1], NoSpaceError)
    kept = [str(n) for n, result in enumerate(results) if isinstance(result, int)]
    assert 0 < len(kept) < 20
    assert await notes.read(texts) == kept
    await notes.write(clear, frees=True)
    await notes.write(lambda connection: add(connection, "room again", 9000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mount is not allowed here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


async def test_on_a_full_disk_deletes_still_work(small_disk: Path) -> None:
    path = small_disk / "teleclaude.db"
    ballast = small_disk / "teleclaude.db.ballast"
    async with Database(path, clock=ManualClock()) as database:
        await database.write(make_table)
        assert ballast.stat().st_size == BALLAST_BYTES
        kept: list[str] = []
        with pytest.raises(NoSpaceError):
            await fill(database, kept)
        await asyncio.to_thread(_fill_up, small_disk / "filler")
        assert await database.read(texts) == kept
        await database.write(clear, frees=True)
        assert await database.read(texts) == []
    (small_disk / "filler").unlink()
    async with Database(path, clock=ManualClock()) as database:
        assert database.recovered_from is None
        assert await database.read(texts) == []


async def fill(database: Database, kept: list[str]) -> None:
    for n in range(1000):
        await database.write(lambda connection, n=n: add(connection, str(n), 20_000))  # type: ignore[misc]
        kept.append(str(n))


def _fill_up(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return


CRASHING = """
import asyncio, sqlite3, sys
from pathlib import Path
from teleclaude.clock import SystemClock
from teleclaude.store import Database

async def main():
    async with Database(Path(sys.argv[1]), clock=SystemClock()) as database:
        await database.write(lambda c: c.execute('CREATE TABLE notes (text TEXT UNIQUE, body BLOB)') and 0)
        async def one(n):
            await database.write(lambda c: c.execute("INSERT INTO notes VALUES (?, NULL)", (str(n),)) and None)
            print(n, flush=True)
        for n in range(0, 100000, 5):
            await asyncio.gather(*(one(n + k) for k in range(5)))

asyncio.run(main())
"""


def test_kill_loses_no_acknowledged_write(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", CRASHING, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(100)]
        process.kill()
        lines += process.stdout.read().splitlines(keepends=True)
    acknowledged = {line.strip() for line in lines if line.strip().isdigit() and line.endswith("\n")}
    connection = sqlite3.connect(path)
    found = set(texts(connection))
    connection.close()
    assert len(acknowledged) > 90
    assert acknowledged <= found
