"""How a topic looks in the list."""

from __future__ import annotations

from typing import Any

import pytest

from teleclaude.model import Activity, Kind
from teleclaude.wire.sessions import BoundsView, ExitView, SessionView
from teleclaude_telegram.looks import Look, icons_of, look

ICONS = icons_of(
    [("💻", "1"), ("❓", "2"), ("🏁", "3"), ("❗️", "4"), ("‼️", "5"), ("✈️", "6"), (None, "7"), ("🦄", None)]
)


def session(state: Any, exit_: ExitView | None = None) -> SessionView:
    return SessionView(
        id="S1", name="build", kind=Kind.TERMINAL, computer="here", state=state, activity=Activity.WORKING,
        command=None, agent=None, cwd="/", cols=80, rows=24, title="", tags=[], epoch=1, created_at="",
        last_activity_at="", exit=exit_, output=BoundsView(start=0, end=0),
    )  # fmt: skip


def ended(code: int) -> SessionView:
    return session("exited", ExitView(code=code, signal=None, at=None, reason="exit"))


@pytest.mark.parametrize(
    ("shown", "asks", "icon"),
    [
        (session("starting"), False, "1"),
        (session("running"), False, "1"),
        (session("running"), True, "2"),
        (ended(0), False, "3"),
        (ended(2), False, "4"),
        (session("lost"), False, "5"),
        (session("handing_off"), False, "6"),
    ],
)
def test_an_icon_for_each_state_and_the_name_alone(shown: SessionView, *, asks: bool, icon: str) -> None:
    assert look(shown, asks=asks, icons=ICONS) == Look("build", icon)


def test_another_icon_where_the_best_is_not_offered_and_a_sign_where_none_is() -> None:
    assert look(session("lost"), asks=False, icons={"❗": "4"}) == Look("build", "4")
    assert look(session("lost"), asks=False, icons={"💻": "1"}) == Look("⚠️ build", "")
    assert look(session("starting"), asks=False, icons={}) == look(session("running"), asks=False, icons={})
    assert look(session("running"), asks=True, icons={}) == Look("❓ build", "")
