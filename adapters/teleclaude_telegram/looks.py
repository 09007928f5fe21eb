"""How a topic looks in the list of topics: the session's name, and its state as an icon or, failing that, a sign. Pure.

A bot may use only the icons of one set, which the server names: custom emoji, each known by the emoji it stands for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from teleclaude.wire.sessions import SessionView
from teleclaude_telegram import render

ASKS, FAILED = "asks", "failed"

_RUNS, _GOES = ("💻", "⚡", "🤖"), ("✈", "🧳")
_WANTED: Mapping[str, tuple[str, ...]] = {
    ASKS: ("❓", "⁉", "❗"),
    "starting": _RUNS,
    "running": _RUNS,
    "handing_off": _GOES,
    "handed_off": _GOES,
    "exited": ("🏁", "✅", "🏆"),
    FAILED: ("❗", "‼"),
    "lost": ("‼", "❗"),
}
"""By state, the emoji that say it, best first."""


@dataclass(frozen=True, slots=True)
class Look:
    """``icon`` is the id of a custom emoji, empty for a topic without one."""

    name: str
    icon: str


def icons_of(stickers: Iterable[tuple[str | None, str | None]]) -> dict[str, str]:
    """The ids of icons by their emoji, from pairs of both."""
    return {_bare(emoji): icon for emoji, icon in stickers if emoji and icon}


def look(session: SessionView, *, asks: bool, icons: Mapping[str, str]) -> Look:
    """With an icon for the state the name stands alone; without one a sign before it says the state."""
    state = ASKS if asks else FAILED if _failed(session) else session.state
    icon = next((icons[emoji] for emoji in _WANTED.get(state, ()) if emoji in icons), "")
    name = session.name if icon else f"{_sign(session, asks=asks)} {session.name}"
    return Look(render.head(name, render.TITLE_UNITS), icon)


def _failed(session: SessionView) -> bool:
    return session.state == "exited" and session.exit is not None and bool(session.exit.code)


def _sign(session: SessionView, *, asks: bool) -> str:
    """What starts looks as what runs: a change of the sign costs a call."""
    return render.icon("running" if session.state == "starting" else session.state, asks=asks)


def _bare(emoji: str) -> str:
    """Without the selector of its coloured form, which some have and some have not."""
    return emoji.replace("\ufe0f", "")
