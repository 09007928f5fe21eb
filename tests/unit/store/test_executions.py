from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.errors import NotFoundError
from teleclaude.model import (
    OUTCOMES,
    CellSpec,
    CompletedState,
    Ending,
    Execution,
    ExecutionSpec,
    ExecutionState,
    LiveState,
    Outcome,
    RunningState,
    StreamTotals,
)
from teleclaude.store import executions
from teleclaude.store.execution_codec import decode_execution, encode_execution
from teleclaude.store.files import open_database

NOW = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
SPEC = ExecutionSpec(cwd="/", argv=("true",))

moments = st.datetimes(timezones=st.just(UTC))
texts = st.text(max_size=20)
st.register_type_strategy(datetime, moments)
st.register_type_strategy(object, st.none() | st.integers() | texts)
states = st.one_of(*(st.from_type(state) for state in (*get_args(LiveState), *get_args(Outcome))))
specs = st.one_of(
    st.from_type(CellSpec),
    st.builds(
        ExecutionSpec,
        cwd=texts,
        argv=st.lists(texts, min_size=1, max_size=3).map(tuple),
        env=st.dictionaries(texts, texts, max_size=3),
        stdin=st.one_of(texts, st.booleans()),
    ),
    st.builds(ExecutionSpec, cwd=texts, script=texts, shell=st.none() | texts),
)


@given(
    st.builds(
        Execution,
        id=texts,
        computer=texts,
        spec=specs,
        state=states,
        created_at=moments,
        owner=texts,
        session_id=st.none() | texts,
        streams=st.dictionaries(st.sampled_from(["stdout", "stderr"]), st.from_type(StreamTotals)),
        tags=st.lists(texts, max_size=3).map(tuple),
    )
)
def test_what_is_written_is_read(execution: Execution) -> None:
    assert decode_execution(encode_execution(execution)) == execution


def execution(number: int, state: ExecutionState | None = None, **fields: object) -> Execution:
    state = state or CompletedState(Ending(completed_at=NOW + timedelta(seconds=number)))
    made = Execution(
        id=f"E{number}",
        computer="c",
        spec=SPEC,
        state=state,
        created_at=NOW + timedelta(seconds=number),
        owner="me",
    )
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened, _ = open_database(tmp_path / "state.db", NOW)
    yield opened
    opened.close()


def test_a_row_is_stored_changed_found_and_dropped(connection: sqlite3.Connection) -> None:
    running = execution(1, RunningState(NOW))
    executions.insert(connection, running)
    assert executions.get(connection, "E1") == running
    assert executions.all_live(connection) == [running]
    ended = running.moved_to(CompletedState(Ending(completed_at=NOW)))
    assert executions.save(connection, ended)
    assert executions.get(connection, "E1") == ended
    assert executions.all_live(connection) == []
    assert not executions.save(connection, running)
    assert executions.get(connection, "E1") == ended
    assert executions.delete(connection, "E1")
    assert not executions.delete(connection, "E1")
    with pytest.raises(NotFoundError):
        executions.save(connection, ended)


def test_lists_are_newest_first_and_filtered(connection: sqlite3.Connection) -> None:
    for one in (
        execution(1, tags=("a",)),
        execution(2, RunningState(NOW), tags=("a", "b")),
        execution(3, session_id="S1"),
    ):
        executions.insert(connection, one)

    def ids(**query: str) -> list[str]:
        return [one.id for one in executions.select(connection, **query)]  # type: ignore[arg-type]

    assert ids() == ["E3", "E2", "E1"]
    assert ids(status="running") == ["E2"]
    assert ids(tag="a") == ["E2", "E1"]
    assert ids(session_id="S1") == ["E3"]
    assert executions.of_session(connection, "S1") == ["E3"]
    assert [one.id for one in executions.select(connection, limit=1)] == ["E3"]


def test_c25_the_superfluous_are_ended_old_or_beyond_the_number_kept(connection: sqlite3.Connection) -> None:
    executions.insert(connection, execution(0, RunningState(NOW)))
    for number in range(1, 8):
        executions.insert(connection, execution(number))
    long_ago = NOW - timedelta(days=1)
    assert executions.superfluous(connection, long_ago, 100) == []
    assert executions.superfluous(connection, long_ago, 5) == ["E1", "E2"]
    assert executions.superfluous(connection, NOW + timedelta(seconds=4), 100) == ["E1", "E2", "E3"]
    assert executions.superfluous(connection, NOW + timedelta(days=1), 5) == [f"E{n}" for n in range(1, 8)]


def test_a_damaged_row_hides_no_other(connection: sqlite3.Connection) -> None:
    for number in (1, 2):
        executions.insert(connection, execution(number))
    connection.execute("UPDATE executions SET record = replace(record, 'true', 'tree') WHERE id = 'E1'")
    assert [one.id for one in executions.select(connection)] == ["E2"]
    assert executions.get(connection, "E1") is None


def test_every_state_can_be_stored() -> None:
    assert set(get_args(Outcome)) == set(OUTCOMES)
