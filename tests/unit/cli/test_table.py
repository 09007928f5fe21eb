"""Sessions as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.cli.table import age_text, align, columns, command_text, session_table, state_text

NOW = datetime(2026, 1, 2, 12, 0, 0, tzinfo=UTC)


def session(**changes: Any) -> dict[str, Any]:
    return {
        "id": "s1",
        "name": "web",
        "kind": "terminal",
        "computer": "mill",
        "state": "running",
        "activity": "idle",
        "command": None,
        "agent": None,
        "cwd": "/srv/web",
        "created_at": "2026-01-02T11:55:00.000Z",
        "exit": None,
        **changes,
    }


def test_a_table_of_two_sessions() -> None:
    ended = session(name="build", state="exited", command=["make", "a b"], exit={"code": 2, "signal": None}, cwd="/src")
    assert session_table([session(), ended], now=NOW, width=None) == (
        "NAME   STATE     ACTIVITY  AGE  COMMAND     DIRECTORY\n"
        "web    running   idle      5m   (shell)     /srv/web\n"
        "build  exited 2  idle      5m   make 'a b'  /src"
    )


def test_the_computer_is_shown_when_there_are_several() -> None:
    table = session_table([session(), session(computer="barn")], now=NOW, width=None)
    assert table.splitlines()[0].split()[:2] == ["NAME", "COMPUTER"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "running"),
        ({"state": "exited", "exit": {"code": 0, "signal": None}}, "exited 0"),
        ({"state": "exited", "exit": {"code": None, "signal": "KILL"}}, "exited KILL"),
        ({"state": "lost", "exit": {"code": None, "signal": None}}, "lost"),
        ({"state": "handed_off", "handed_off": {"computer": "barn"}}, "handed_off to barn"),
    ],
)
def test_the_state(changes: dict[str, Any], text: str) -> None:
    assert state_text(session(**changes)) == text


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"command": "make -j"}, "make -j"),
        ({"command": ["sh", "-c", "x; y"]}, "sh -c 'x; y'"),
        ({"agent": {"name": "claude"}, "command": ["claude"]}, "claude"),
        ({"kind": "python"}, "(python)"),
        ({"command": "a\x1b]0;x\x07\nb"}, "a b"),
    ],
)
def test_the_command(changes: dict[str, Any], text: str) -> None:
    assert command_text(session(**changes)) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2026-01-02T11:59:18.000Z", "42s"),
        ("2026-01-02T09:00:00Z", "3h"),
        ("2025-12-21T11:00:00Z", "12d"),
        ("2026-01-02T12:00:09Z", "0s"),
        ("2026-01-02T11:00:00", "1h"),
        ("yesterday", "-"),
    ],
)
def test_the_age(timestamp: str, text: str) -> None:
    assert age_text(timestamp, NOW) == text


@pytest.mark.parametrize(("text", "taken"), [("abc", 3), ("漢字", 4), ("e\u0301", 1), ("⏺", 1), ("", 0)])
def test_terminal_columns(text: str, taken: int) -> None:
    assert columns(text) == taken


@given(
    st.lists(st.lists(st.text("ab漢e\u0301 ", max_size=40), min_size=3, max_size=3), min_size=1), st.integers(40, 90)
)
def test_rows_fit_the_terminal(rows: list[list[str]], width: int) -> None:
    assert all(columns(line) <= width for line in align(rows, width=width).splitlines())


def test_what_is_cut_says_so() -> None:
    assert align([["name", "a" * 40]], width=20) == "name  " + "a" * 13 + "…"


def test_without_a_width_nothing_is_cut() -> None:
    assert align([["name", "a" * 400]], width=None) == "name  " + "a" * 400
