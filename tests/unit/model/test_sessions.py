"""States of a session follow each other only as they may."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import (
    Exit,
    Exited,
    HandedOff,
    HandingOff,
    IllegalTransitionError,
    Kind,
    Lost,
    PaneIdentity,
    Running,
    Session,
    SessionSpec,
    SessionState,
    Starting,
    is_name,
)

PANE = PaneIdentity(server_pid=2, server_start=1, session_id="$1", pane_id="%1", pid=3, pid_start=1)
EXIT = Exit(code=0, signal=None, at=None, reason="exited")
STATES: dict[str, SessionState] = {
    "starting": Starting(),
    "running": Running(PANE),
    "exited": Exited(EXIT),
    "lost": Lost(EXIT),
    "handing_off": HandingOff("other", 2, PANE),
    "handed_off": HandedOff("other", "S1", 2),
}
LEGAL = {
    ("starting", "running"),
    ("starting", "exited"),
    ("starting", "lost"),
    ("running", "starting"),
    ("running", "exited"),
    ("running", "lost"),
    ("running", "handing_off"),
    ("exited", "starting"),
    ("lost", "starting"),
    ("handing_off", "handed_off"),
    ("handing_off", "running"),
    ("handing_off", "exited"),
    ("handing_off", "lost"),
    # Another computer took it by force, or hands it back.
    ("starting", "handed_off"),
    ("running", "handed_off"),
    ("exited", "handed_off"),
    ("lost", "handed_off"),
    ("handed_off", "starting"),
}


def session(state: SessionState) -> Session:
    return Session(
        id="S0",
        name="a",
        kind=Kind.TERMINAL,
        computer="box",
        spec=SessionSpec(command=None, cwd="/"),
        state=state,
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        owner="local",
    )


@pytest.mark.parametrize(("before", "after"), list(product(STATES, STATES)))
def test_transitions(before: str, after: str) -> None:
    if (before, after) in LEGAL:
        assert session(STATES[before]).moved_to(STATES[after]).state == STATES[after]
    else:
        with pytest.raises(IllegalTransitionError):
            session(STATES[before]).moved_to(STATES[after])


def test_only_some_states_are_live() -> None:
    assert [name for name, state in STATES.items() if session(state).is_live] == ["starting", "running", "handing_off"]
    assert session(STATES["running"]).pane == PANE
    assert session(STATES["exited"]).exit == EXIT


@given(st.text())
def test_names(text: str) -> None:
    allowed = set("abcdefghijklmnopqrstuvwxyz0123456789_-")
    expected = 1 <= len(text) <= 63 and set(text) <= allowed and text[0] not in "_-"
    assert is_name(text) is expected
