"""What is late or not the sender's own words, as it is asked about before it runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from teleclaude_telegram import render
from teleclaude_telegram.updates import Said

SHOWN_UNITS = 3000
"""So much is asked about in one message: whoever says yes has seen all of it."""
EACH_UNITS = 1500
MAX_TOGETHER = 50


def portions(said: Sequence[Said]) -> list[list[Said]]:
    """As many at a time, in their order, as one message can show."""
    found: list[list[Said]] = []
    room = 0
    for one in said:
        size = render.units(_line(one)) + 1
        if size > room or len(found[-1]) == MAX_TOGETHER:
            found.append([])
            room = SHOWN_UNITS
        found[-1].append(one)
        room -= size
    return found


def question(said: Sequence[Said]) -> str:
    why = "forwarded" if any(one.indirect for one in said) else "more than 5 minutes old"
    return "\n".join([f"Run this? It is {why}.", *(_line(one) for one in said)])


def _line(said: Said) -> str:
    return f"· {render.head(said.text, EACH_UNITS) if said.text else '(file)'}"
