from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from teleclaude.errors import ConflictError
from teleclaude.model import Kind, Session, SessionSpec, Starting
from teleclaude.store import receipts, sessions
from teleclaude.store.files import open_database
from teleclaude.store.receipts import Keyed, Receipt

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)


@pytest.fixture
def connection(path: Path) -> Iterator[sqlite3.Connection]:
    connection, _ = open_database(path, NOW)
    for number in (1, 2):
        sessions.insert(
            connection,
            Session(
                id=f"s{number}",
                name=f"s{number}",
                kind=Kind.TERMINAL,
                computer="here",
                spec=SessionSpec(command=None, cwd="/"),
                state=Starting(),
                created_at=NOW,
                owner="local",
            ),
        )
    yield connection
    connection.close()


def test_input_is_new_once(connection: sqlite3.Connection) -> None:
    assert receipts.accept(connection, "s1", "me", 1, now=1) is None
    assert receipts.accept(connection, "s1", "me", 1, now=2) == Receipt(offset=None)
    receipts.deliver(connection, "s1", "me", 1, 4711)
    assert receipts.accept(connection, "s1", "me", 1, now=3) == Receipt(offset=4711)
    assert receipts.accept(connection, "s1", "you", 1, now=4) is None
    assert receipts.accept(connection, "s2", "me", 1, now=4) is None


def test_refused_input_may_come_again(connection: sqlite3.Connection) -> None:
    receipts.accept(connection, "s1", "me", 1, now=1)
    receipts.refuse(connection, "s1", "me", 1)
    assert receipts.accept(connection, "s1", "me", 1, now=2) is None


def test_receipts_are_bounded_and_never_let_an_old_number_through(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN")
    for seq in range(1, 1206):
        receipts.accept(connection, "s1", "me", seq, now=seq)
    assert connection.execute("SELECT COUNT(*), MIN(seq) FROM input_receipts").fetchone() == (1000, 206)
    assert receipts.accept(connection, "s1", "me", 206, now=9) == Receipt(offset=None)
    with pytest.raises(ConflictError, match="count upwards"):
        receipts.accept(connection, "s1", "me", 205, now=9)


def test_receipts_go_with_their_session(connection: sqlite3.Connection) -> None:
    receipts.accept(connection, "s1", "me", 1, now=1)
    sessions.delete(connection, "s1")
    assert connection.execute("SELECT COUNT(*) FROM input_receipts").fetchone() == (0,)


def test_a_key_is_new_once_per_principal(connection: sqlite3.Connection) -> None:
    assert receipts.begin(connection, "local", "k", "session.create", "abc", now=1.5) is None
    assert receipts.begin(connection, "local", "k", "other", "def", now=9) == Keyed("session.create", "abc", None, 1.5)
    assert receipts.begin(connection, "token:ci", "k", "session.create", "abc", now=1) is None
    receipts.settle(connection, "local", "k", '{"reply":1}')
    found = receipts.begin(connection, "local", "k", "session.create", "abc", now=9)
    assert found is not None
    assert found.reply == '{"reply":1}'
    receipts.forget(connection, "local", "k")
    assert receipts.begin(connection, "local", "k", "session.create", "abc", now=2) is None


def test_old_keys_and_receipts_are_forgotten(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for now in range(10):
        receipts.begin(connection, "local", f"k{now}", "x", "d", now=now)
        receipts.accept(connection, "s1", "me", now, now=now)
    assert receipts.forget_before(connection, 4) == 8
    assert receipts.begin(connection, "local", "k4", "x", "d", now=9) is not None
    assert receipts.begin(connection, "local", "k3", "x", "d", now=9) is None
    monkeypatch.setattr(receipts, "KEEP_KEYS", 2)
    assert receipts.forget_before(connection, 0) == 5
