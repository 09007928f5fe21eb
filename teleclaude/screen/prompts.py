"""Questions that programs ask on the screen: menus, yes or no, something to type. Pure.

Only what waits for an answer now counts: at the bottom of the screen, and, where the cursor is known, right before it.
When in doubt there is no prompt: a listing with numbers is none, and neither is a question in a log.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence

from teleclaude.model import Cursor, Prompt, PromptKind, PromptOption
from teleclaude.screen.prompt_rules import (
    ASKED,
    COMPOSER,
    CUES,
    ENTER,
    HINT,
    HINT_LINE,
    LINE_RULES,
    NUMBERED,
    POINTED,
    UNPOINTED,
    Answer,
    LineRule,
)

MAX_CONTEXT = 14
MAX_BELOW = 5
"""So many lines of hints may stand below a menu."""
MAX_BETWEEN = 4
"""So many lines may explain one option."""
MAX_POINTED = 20
_DIGITS = 9

_SIDES = "│┃║▌▐"
_LINES = "─━═╌╭╮╰╯┌┐└┘├┤┬┴┼╔╗╚╝▔▁"
_BORDER = re.compile(rf"^\s*[{_LINES}][\s{_LINES}]*$|^\s*[-_=]{{3,}}$")
_GUTTER = re.compile(rf"^\s*[{_SIDES}]|[{_SIDES}]\s*$")
_LABELS = {"y": "Yes", "n": "No"}


def find_prompt(lines: Sequence[str], cursor: Cursor | None = None) -> Prompt | None:
    """The prompt that waits at the bottom of a screen of plain ``lines``, top to bottom; None when there is none."""
    rows = [_inside(line) for line in lines]
    last = _last(rows, len(rows) - 1)
    if last is None:
        return None
    return (
        _menu(rows, last) or _on_the_line(rows, last, cursor) or _typed_menu(rows, last, cursor) or _pointed(rows, last)
    )


def _inside(line: str) -> str:
    """A line without the frame around it; frames alone become empty with a mark, a form feed."""
    line = line.rstrip()
    if _BORDER.match(line):
        return "\f"
    bare = _GUTTER.sub(lambda found: " " * len(found[0]), line).rstrip()
    return "\f" if _BORDER.match(bare) else bare


def _last(rows: Sequence[str], at: int) -> int | None:
    """The last row at or above ``at`` that holds text."""
    while at >= 0 and not rows[at].strip():
        at -= 1
    return at if at >= 0 else None


def _on_the_line(rows: list[str], last: int, cursor: Cursor | None) -> Prompt | None:
    line = rows[last].strip()
    if not _before_cursor(rows, last, cursor):
        return None
    above = _context(rows, last - 1, blanks=0)
    for rule in LINE_RULES:
        found = rule.pattern.search(line)
        if found is None or not _has_above(rule, rows, last):
            continue
        options = tuple(PromptOption(answer.label, answer.keys, answer.default) for answer in _answers(rule, found))
        return _prompt(rule.kind, line, above, options)
    return None


def _before_cursor(rows: list[str], row: int, cursor: Cursor | None) -> bool:
    return cursor is None or (cursor.y == row and cursor.x >= len(rows[row].rstrip()))


def _has_above(rule: LineRule, rows: list[str], last: int) -> bool:
    return rule.above is None or any(rule.above.search(row) for row in rows[max(last - 5, 0) : last])


def _answers(rule: LineRule, found: re.Match[str]) -> tuple[Answer, ...]:
    if rule.answers:
        return rule.answers
    groups = found.groupdict()
    default = groups.get("default")
    if groups.get("letters"):
        letters = [letter for letter in re.split(r"[,/]", groups["letters"]) if letter]
        return tuple(Answer(_LABELS.get(letter, letter), letter, letter == default) for letter in letters)
    if groups.get("yes"):
        words = (("Yes", groups["yes"]), ("No", groups["no"]))
        one_stands_out = groups["yes"][0].isupper() != groups["no"][0].isupper()
        return tuple(Answer(label, word.lower(), one_stands_out and word[0].isupper()) for label, word in words)
    return (Answer(default, "", default=True),) if default else ()


def _typed_menu(rows: list[str], last: int, cursor: Cursor | None) -> Prompt | None:
    """Numbered lines, and below them a line that asks for the number."""
    line = rows[last].strip()
    if not any(cue.search(line) for cue in CUES) or not _before_cursor(rows, last, cursor):
        return None
    end = _last(rows, last - 1)
    block = None if end is None else _numbered_above(rows, end)
    if block is None:
        return None
    options = tuple(PromptOption(label, (*str(number), *ENTER)) for number, label, _ in block.options)
    return _prompt(PromptKind.MENU, _question(block.context) or line, block.context, options)


class _Block:
    """A menu on the screen: rows ``first`` to ``end``, and (number, label, marked) of each option."""

    def __init__(self, options: list[tuple[int, str, bool]], context: tuple[str, ...], end: int) -> None:
        self.options = options
        self.context = context
        self.end = end


def _numbered_above(rows: list[str], end: int) -> _Block | None:
    """The numbers 1, 2, 3 … on lines that end at, or a few lines above, ``end``."""
    options: list[tuple[int, str, bool]] = []
    at, between, last_option = end, 0, end
    while at >= 0:
        found = NUMBERED.match(rows[at])
        number = int(found["number"] or found["bracket"]) if found else 0
        if found and (not options or number == options[-1][0] - 1):
            last_option = last_option if options else at
            options.append((number, _clean(found["label"]), bool(found["mark"])))
            between = 0
        elif rows[at].strip():
            between += 1
        if number == 1 or between > (MAX_BETWEEN if options else MAX_BELOW):
            break
        at -= 1
    if len(options) < 2 or options[-1][0] != 1:
        return None
    return _Block(options[::-1], _context(rows, at - 1, blanks=1), last_option)


def _menu(rows: list[str], last: int) -> Prompt | None:
    """Numbered lines of which one is pointed at; a digit chooses."""
    block = _numbered_above(rows, last)
    if block is None or sum(marked for *_, marked in block.options) != 1 or not block.context:
        return None
    below = [row for row in rows[block.end + 1 : last + 1] if row.strip()]
    if any(COMPOSER.match(row) for row in below) or not _explained(below, rows[block.end]):
        return None
    chosen = next(at for at, (*_, marked) in enumerate(block.options) if marked)
    options = tuple(
        PromptOption(label, (str(number),) if number <= _DIGITS else _steps(at - chosen), marked)
        for at, (number, label, marked) in enumerate(block.options)
    )
    return _prompt(PromptKind.MENU, _question(block.context) or block.context[-1], block.context, options)


def _explained(below: list[str], option: str) -> bool:
    """Whether what stands below the last option is its own explanation, further in, or hints on keys."""
    found = NUMBERED.match(option)
    depth = found.start("label") if found else 0
    return all(HINT.search(row) or len(row) - len(row.lstrip()) >= depth for row in below)


def _pointed(rows: list[str], last: int) -> Prompt | None:
    """A question, and below it lines of which one is pointed at; arrows choose."""
    head = next((at for at in range(last, max(last - MAX_POINTED, -1), -1) if ASKED.match(rows[at])), None)
    if head is None:
        return None
    body = [row for row in rows[head + 1 : last + 1] if row.strip() and not HINT_LINE.match(row)]
    found = [POINTED.match(row) for row in body]
    if len(body) < 2 or sum(one is not None for one in found) != 1:
        return None
    chosen = next(at for at, one in enumerate(found) if one is not None)
    pointed = found[chosen]
    assert pointed is not None
    labels = [one["label"] for row in body if (one := UNPOINTED.match(row))]
    starts = {one.start("label") for row in body if (one := POINTED.match(row) or UNPOINTED.match(row))}
    if starts != {pointed.start("label")}:
        return None
    labels[chosen] = pointed["label"]
    question = _clean(rows[head].strip()[1:])
    options = tuple(PromptOption(_clean(label), _steps(at - chosen), at == chosen) for at, label in enumerate(labels))
    return _prompt(PromptKind.MENU, question, (), options)


def _steps(distance: int) -> tuple[str, ...]:
    return (*(("Down",) * distance if distance > 0 else ("Up",) * -distance), *ENTER)


def _context(rows: list[str], at: int, *, blanks: int) -> tuple[str, ...]:
    """The lines from ``at`` upwards that belong together: up to a frame, or more than ``blanks`` empty lines."""
    found: list[str] = []
    empty = 0
    while at >= 0 and len(found) < MAX_CONTEXT and rows[at] != "\f":
        if rows[at].strip():
            found.append(_clean(rows[at]))
            empty = 0
        elif empty == blanks:
            break
        else:
            empty += 1
        at -= 1
    return tuple(reversed(found))


def _question(context: Sequence[str]) -> str | None:
    """The line that asks: the last one with a question mark."""
    return next((line for line in reversed(context) if line.endswith("?")), None)


def _clean(text: str) -> str:
    return " ".join(text.split())


def _prompt(kind: PromptKind, question: str, context: tuple[str, ...], options: tuple[PromptOption, ...]) -> Prompt:
    labels = [option.label for option in options]
    asked = json.dumps([kind, question, context, labels]).encode()
    rest = tuple(line for line in context if line != question)
    return Prompt(kind, question, rest, options, hashlib.sha256(asked).hexdigest()[:16])
