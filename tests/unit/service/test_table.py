"""The table of live sessions: one step takes limit, name and slot; look-ups never search."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from teleclaude.errors import ConflictError, LimitError
from teleclaude.model import Kind, Session, SessionSpec, Starting
from teleclaude.service.table import Live, SessionTable
from teleclaude.streams import Stream

NAMES = st.sampled_from(["a", "b", "c"])


def live(number: int, name: str) -> Live:
    session = Session(
        id=f"S{number}",
        name=name,
        kind=Kind.TERMINAL,
        computer="box",
        spec=SessionSpec(command=None, cwd="/"),
        state=Starting(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        owner="local",
    )
    return Live(session, Stream(Path("/nonexistent"), 1024))


def test_an_owner_has_no_more_than_it_may() -> None:
    table = SessionTable(10)
    table.reserve(live(1, "a"), operation="o", most=1)
    with pytest.raises(LimitError, match="local has 1 sessions alive"):
        table.reserve(live(2, "b"), operation="o", most=1)
    other = live(3, "c")
    other.session = replace(other.session, owner="token:ci")
    table.reserve(other, operation="o", most=1)
    table.reserve(live(2, "b"), operation="o")


def test_a_full_table_refuses_and_takes_again_after_a_removal() -> None:
    table = SessionTable(2)
    first, second = live(1, "a"), live(2, "b")
    table.reserve(first, operation="o")
    table.reserve(second, operation="o")
    with pytest.raises(LimitError):
        table.reserve(live(3, "c"), operation="o")
    table.remove(first)
    table.reserve(live(3, "c"), operation="o")
    assert len(table) == 2


def test_free_names() -> None:
    table = SessionTable(10)
    assert table.free_name("shell") == "shell"
    table.reserve(live(1, "shell"), operation="o")
    assert table.free_name("shell") == "shell-2"
    table.reserve(live(2, "shell-2"), operation="o")
    assert table.free_name("shell") == "shell-3"
    long = "x" * 63
    table.reserve(live(3, long), operation="o")
    assert len(table.free_name(long)) <= 63


def test_listeners_go_with_their_follower() -> None:
    one = live(1, "a")
    heard: list[int] = []

    def listener() -> None:
        heard.append(1)
        one.listeners.discard(listener)

    one.listeners.add(listener)
    one.tell()
    one.tell()
    assert heard == [1]
    assert not one.listeners


class TableMachine(RuleBasedStateMachine):
    """Against two dictionaries that cannot be wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.table = SessionTable(3)
        self.model: dict[str, Live] = {}
        self.count = 0

    @rule(name=NAMES)
    def reserve(self, name: str) -> None:
        self.count += 1
        new = live(self.count, name)
        if len(self.model) >= 3:
            with pytest.raises(LimitError):
                self.table.reserve(new, operation="o")
        elif name in self.model:
            with pytest.raises(ConflictError):
                self.table.reserve(new, operation="o")
        else:
            self.table.reserve(new, operation="o")
            self.model[name] = new

    @rule(name=NAMES)
    def remove(self, name: str) -> None:
        found = self.model.pop(name, None)
        if found is not None:
            self.table.remove(found)
            self.table.remove(found)

    @rule(old=NAMES, new=NAMES)
    def rename(self, old: str, new: str) -> None:
        found = self.model.get(old)
        if found is None:
            return
        if new in self.model and new != old:
            with pytest.raises(ConflictError):
                self.table.rename(found, new, operation="o")
            return
        self.table.rename(found, new, operation="o")
        del self.model[old]
        self.model[new] = found

    @invariant()
    def every_one_is_found_by_id_and_name(self) -> None:
        assert {one.session.name for one in self.table} == set(self.model)
        for name, one in self.model.items():
            assert self.table.find(name) is one
            assert self.table.find(one.id) is one


TableMachine.TestCase.settings = settings(max_examples=50, stateful_step_count=30)
TestTable = TableMachine.TestCase


def test_a_name_is_free_again_for_the_newcomer_only() -> None:
    table = SessionTable(3)
    old, new = live(1, "a"), live(2, "a")
    table.reserve(old, operation="o")
    table.remove(old)
    table.reserve(new, operation="o")
    table.remove(old)  # the late removal of the old one leaves the new one alone
    assert table.find("a") is new
    assert replace(new.session, name="b").name == "b"
