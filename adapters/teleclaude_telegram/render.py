"""What people read: texts with their entities, titles and keyboards. Pure.

Lengths are counted in UTF-16 units, as Telegram does. A text never holds escape sequences or control characters.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from teleclaude.model import Prompt
from teleclaude.wire.executions import ExecutionView
from teleclaude.wire.sessions import SessionView

TEXT_UNITS = 4096
AGAIN = "↻ perhaps for the second time: the line broke\n"
TITLE_UNITS = 128
LABEL_UNITS = 48
SCREEN_LINES = 40
FINAL_LINES = 60
QUESTION_LINES = 12
DIGEST_LINES = 3

Entity = dict[str, Any]

_ESCAPES = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b\[[0-?]*[ -/]*[@-~]?|\x1b[PX^_].*?(?:\x1b\\|$)|\x1b.?", re.DOTALL
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_LONE = re.compile(r"[\ud800-\udfff]")
_MOVES = re.compile(rb"\x1b\[[0-9;]*[ABCDEFGHJLMPSTXdf]|\x1b\[\?(?:1049|47|1047)[hl]|\x1bM")
_ONLY_A_PROMPT = re.compile(r"[^\n]{0,200}[$#%>❯]\s*")


@dataclass(frozen=True, slots=True)
class Text:
    """``body`` with entities whose offsets count UTF-16 units."""

    body: str
    entities: tuple[Entity, ...] = field(default=())

    def __add__(self, other: Text) -> Text:
        shift = units(self.body)
        moved = tuple({**entity, "offset": entity["offset"] + shift} for entity in other.entities)
        return Text(self.body + other.body, self.entities + moved)


def units(text: str) -> int:
    """Its length as Telegram counts."""
    return len(text) + sum(character > "\uffff" for character in text)


def clean(text: str) -> str:
    """Without escape sequences, control characters and what turns the direction of writing; tabs become spaces."""
    text = _ESCAPES.sub("", text.replace("\r\n", "\n"))
    text = "\n".join(line.rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _LONE.sub("\ufffd", _CONTROL.sub("", text.expandtabs(8)))


def head(text: str, limit: int) -> str:
    """At most ``limit`` units from the beginning; what is cut off leaves a sign."""
    if units(text) <= limit:
        return text
    taken, used = [], 1
    for character in text:
        used += units(character)
        if used > limit:
            break
        taken.append(character)
    return "".join(taken) + "…"


def tail(text: str, limit: int) -> tuple[str, bool]:
    """The last whole lines that fit in ``limit`` units, and whether that is all of it."""
    if units(text) <= limit:
        return text, True
    reversed_text = head(text[::-1], limit)[:-1][::-1]
    _, newline, rest = reversed_text.partition("\n")
    return (rest if newline and rest.strip() else reversed_text), False


def plain(text: str) -> Text:
    return Text(head(clean(text), TEXT_UNITS))


def bold(text: str) -> Text:
    body = clean(text)
    return Text(body, ({"type": "bold", "offset": 0, "length": units(body)},) if body.strip() else ())


def pre(text: str, limit: int = TEXT_UNITS - 200) -> Text:
    """As a terminal shows it; the end of it where it is too long."""
    body, _ = tail(clean(text).rstrip(), limit)
    if not body.strip():
        return Text("")
    return Text(body, ({"type": "pre", "offset": 0, "length": units(body)},))


def screen_text(lines: Sequence[str], count: int = SCREEN_LINES) -> str:
    """The last lines that have something on them."""
    shown = [line.rstrip() for line in lines]
    while shown and not shown[-1]:
        shown.pop()
    while shown and not shown[0]:
        shown.pop(0)
    return "\n".join(shown[-count:])


def draws(raw: bytes) -> bool:
    """Whether a program moved about on the screen, so that its bytes in order are not what a person saw."""
    return _MOVES.search(raw) is not None


def worth_saying(text: str) -> bool:
    """Whether it is more than white space and a shell that waits."""
    stripped = text.strip()
    return bool(stripped) and _ONLY_A_PROMPT.fullmatch(stripped) is None


def icon(state: str, *, asks: bool = False) -> str:
    if asks:
        return "❓"
    return {"running": "🟢", "starting": "🟡", "lost": "⚠️", "handing_off": "➡️", "handed_off": "➡️"}.get(state, "⚪")


def ended(session: SessionView) -> tuple[Text, bool]:
    """How a session ended, and whether that is a failure."""
    exit_ = session.exit
    if session.state == "lost" or exit_ is None:
        return plain("⚠️ It is gone, and nobody saw how it ended."), True
    if exit_.signal:
        return plain(f"⚠️ Ended by signal {exit_.signal}."), True
    if exit_.code is None:
        return plain(f"⚪ Ended ({exit_.reason}); how is not known."), False
    if exit_.code:
        return plain(f"⚠️ Ended with code {exit_.code}."), True
    return plain("⚪ Ended with code 0."), False


def question(prompt: Prompt, lines: Sequence[str]) -> Text:
    """What a program asks, with what stands above it."""
    shown = "\n".join(prompt.context) or screen_text(lines, QUESTION_LINES)
    hint = {"text": "\n\nWrite the answer.", "secret": "\n\nIt is not shown; write it, and the message is removed."}
    above = pre(shown, 2500)
    joined = bold(f"❓ {head(prompt.question, 600)}")
    return joined + Text("\n" if above.body else "") + above + Text(hint.get(prompt.kind, ""))


def execution(view: ExecutionView, output: str) -> Text:
    """How a command or cell ended, and the end of its output."""
    result = "" if view.result is None else view.result.repr
    error = "" if view.error is None else "\n".join(view.error.traceback) or f"{view.error.type}: {view.error.message}"
    parts = [part for part in (output.rstrip(), result, error) if part]
    first = f"{_outcome(view)} {head(view.command, 200)}"
    body = pre("\n".join(parts), 3400)
    return plain(first) + Text("\n" if body.body else "") + body


def _outcome(view: ExecutionView) -> str:
    if view.status == "completed":
        return "✅"
    code = f" {view.exit_code}" if view.exit_code is not None else f" {view.signal}" if view.signal else ""
    return f"⚠️ {view.status}{code}:"


def listing(sessions: Sequence[SessionView]) -> Text:
    if not sessions:
        return plain("No sessions. /new begins one.")
    lines = [
        f"{icon(session.state)} {session.computer}/{session.name} · {session.state} · {session.activity.value}"
        for session in sessions[:80]
    ]
    return plain("\n".join(lines) + (f"\n… and {len(sessions) - 80} more" if len(sessions) > 80 else ""))
