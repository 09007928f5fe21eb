from __future__ import annotations

import sqlite3

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model.handoff import Claim, Effect, Prepared, Release, Row, Verdict
from teleclaude.store import Database, handoffs
from teleclaude.store.handoffs import Ownership

words = st.text(max_size=20)
epochs = st.integers(1, 2**53)
rows = st.builds(
    Row,
    me=words,
    claim=st.none() | st.builds(Claim, epochs, words),
    released=st.none() | st.builds(Release, words, words, epochs),
    prepared=st.none() | st.builds(Prepared, words, words, epochs),
    verdicts=st.lists(st.builds(Verdict, words, st.booleans(), epochs), max_size=3).map(tuple),
    tell=st.frozensets(words, max_size=3),
)
ownerships = st.builds(
    Ownership, row=rows, end=st.none() | st.integers(0, 2**62), pending=st.none() | st.sampled_from(Effect)
)


@given(ownership=ownerships)
def test_every_row_comes_back_as_it_was(ownership: Ownership) -> None:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE handoffs (session_id PRIMARY KEY, changed_at, record, crc)")
    handoffs.save(connection, "S1", ownership, now=1.0)
    assert handoffs.load(connection) == {"S1": ownership}
    connection.close()


async def test_the_newest_counts_and_may_go(database: Database) -> None:
    first, second = Ownership(Row("a")), Ownership(Row("a", Claim(2, "b")), end=5)
    await database.write(lambda connection: handoffs.save(connection, "S1", first, now=1.0))
    await database.write(lambda connection: handoffs.save(connection, "S1", second, now=2.0))
    assert await database.read(handoffs.load) == {"S1": second}
    await database.write(lambda connection: handoffs.delete(connection, "S1"))
    assert await database.read(handoffs.load) == {}


async def test_a_damaged_row_hides_no_other(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    await database.write(lambda connection: handoffs.save(connection, "S1", Ownership(Row("a")), now=1.0))
    await database.write(lambda connection: handoffs.save(connection, "S2", Ownership(Row("a")), now=1.0))
    await database.write(
        lambda connection: connection.execute("UPDATE handoffs SET record = ' ' || record WHERE session_id = 'S1'")
    )
    assert set(await database.read(handoffs.load)) == {"S2"}
