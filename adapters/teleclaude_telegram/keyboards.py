"""Buttons: what each one means is minted in the journal; the message carries only a token that nobody can guess."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from teleclaude_telegram.journal import Journal
from teleclaude_telegram.render import LABEL_UNITS, head

MAX_BUTTONS = 60
HOUR = 3600.0
DAY = 24 * HOUR

Rows = list[list[dict[str, str]]]
"""An inline keyboard as the API has it."""


@dataclass(frozen=True, slots=True)
class Button:
    """``deed`` is what a tap does: an object with ``do`` and what that needs."""

    label: str
    deed: dict[str, Any]


PAD: tuple[tuple[tuple[str, str], ...], ...] = (
    (("⎋ Esc", "Escape"), ("⇥ Tab", "Tab"), ("⇤ S-Tab", "BTab"), ("^C", "C-c")),
    (("←", "Left"), ("↑", "Up"), ("↓", "Down"), ("→", "Right"), ("⏎", "Enter")),
    (("1", "1"), ("2", "2"), ("3", "3"), ("4", "4"), ("5", "5")),
)


def pad(session_id: str, asked: str = "") -> list[list[Button]]:
    """The keys of a phone that has none. Each tap types one and shows the terminal anew.

    ``asked`` is the fingerprint of the question in the picture above them, empty when there is none.
    """
    deed = {"do": "key", "session": session_id, "asked": asked}
    rows = [[Button(label, {**deed, "keys": [key]}) for label, key in row] for row in PAD]
    last = [
        Button("🔄", {**deed, "keys": []}),
        Button("as a file", {"do": "picture_file", "session": session_id}),
    ]
    return [*rows, last]


async def mint(
    journal: Journal, rows: Sequence[Sequence[Button]], *, now: float, keyboard: str | None = None, ttl: float = DAY
) -> Rows:
    """The keyboard for a message. ``keyboard`` names it: minting it again takes the old one's buttons out of use."""
    name = keyboard or secrets.token_urlsafe(9)
    if keyboard is not None:
        await journal.burn_keyboard(keyboard)
    minted: list[tuple[str, dict[str, Any]]] = []
    shown: Rows = []
    for row in rows:
        line = []
        for button in row:
            if len(minted) >= MAX_BUTTONS:
                break
            token = secrets.token_urlsafe(16)
            minted.append((token, button.deed))
            line.append({"text": head(button.label, LABEL_UNITS) or "·", "callback_data": token})
        shown += [line[start : start + 8] for start in range(0, len(line), 8)]
    await journal.mint(name, minted, now + ttl)
    return [line for line in shown if line]


def columns(buttons: Sequence[Button], width: int = 2) -> list[list[Button]]:
    return [list(buttons[start : start + width]) for start in range(0, len(buttons), width)]
