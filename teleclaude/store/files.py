"""Opening the database file: private, checked, moved aside when damaged, brought to the newest schema."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from importlib import resources
from pathlib import Path

import structlog

from teleclaude.errors import UnavailableError
from teleclaude.store.failures import as_error

log = structlog.get_logger(__name__)

BUSY_SECONDS = 5.0
OPERATION = "store.open"


def open_database(path: Path, now: datetime) -> tuple[sqlite3.Connection, Path | None]:
    """The writer's connection to a sound database, and where a damaged one was moved to, if there was one.

    Blocks. Raises ``UnavailableError`` for a file that cannot be opened or that a newer version wrote.
    """
    try:
        try:
            return _open_checked(path), None
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            damage = str(error)
        aside = _move_aside(path, now)
        log.error("database_damaged", moved_to=str(aside), error=damage)
        return _open_checked(path), aside
    except sqlite3.Error as error:
        raise as_error(error, OPERATION) from error
    except OSError as error:
        raise UnavailableError(f"{path} cannot be opened: {error.strerror}", operation=OPERATION) from error


def open_reader(path: Path) -> sqlite3.Connection:
    """A second connection that cannot write. Blocks."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def migrations() -> list[tuple[int, str]]:
    """Number and SQL of every schema change, in order."""
    found = [
        (int(entry.name.split("_", 1)[0]), entry.read_text(encoding="utf-8"))
        for entry in resources.files("teleclaude.store").joinpath("migrations").iterdir()
        if entry.name.endswith(".sql")
    ]
    return sorted(found)


def _open_checked(path: Path) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives its side files the mode of the database, so the first file decides.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
    path.chmod(0o600)
    connection = _connect(path)
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        if found != "ok":
            raise _DamagedError(found)
        _migrate(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_size_limit = 4194304")
        # Some builds zero every freed page, and then a delete needs as much room as an insert.
        connection.execute("PRAGMA secure_delete = FAST")
    except BaseException:
        connection.close()
        raise
    return connection


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    known = migrations()
    newest = known[-1][0]
    if version > newest:
        raise UnavailableError(
            f"{path} has schema {version}, this version knows {newest}; run the newer version again",
            operation=OPERATION,
        )
    for number, script in known:
        if number > version:
            try:
                connection.executescript(f"BEGIN;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
            except sqlite3.Error:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
            log.info("database_migrated", schema=number)


class _DamagedError(sqlite3.DatabaseError):
    """``quick_check`` found something."""


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return isinstance(error, _DamagedError) or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def _move_aside(path: Path, now: datetime) -> Path:
    """Rename the database and its side files; nothing is ever deleted, it may be the only copy."""
    target = next(name for name in _aside_names(path, now) if not name.exists())
    for suffix in ("-wal", "-shm", ""):
        source = path.with_name(path.name + suffix)
        if source.exists():
            source.rename(target.with_name(target.name + suffix))
    return target


def _aside_names(path: Path, now: datetime) -> Iterator[Path]:
    stem = f"{path.name}.corrupt-{now:%Y%m%dT%H%M%SZ}"
    yield path.with_name(stem)
    for number in range(2, 1000):
        yield path.with_name(f"{stem}-{number}")
