"""The keys that can be pressed, and only those: tmux types an unknown key name as letters without an error. Pure.

The vocabulary is what tmux 3.3a was seen to turn into bytes; combinations that send nothing (``C-Enter``) or their own
name (``C-M-S-x``) are unknown here.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from teleclaude.errors import InvalidError, TooLargeError
from teleclaude.tmux.line import Flag, Option, TmuxCommand, command, hex_bytes, pane, text

MAX_REPEAT = 1000
MAX_PRESSES = 10_000
_PRESSES_PER_COMMAND = 500

_FUNCTION = (
    *("Up", "Down", "Left", "Right", "Home", "End", "PageUp", "PageDown", "PgUp", "PgDn", "PPage", "NPage"),
    *("Insert", "IC", "Delete", "DC"),
    *(f"F{number}" for number in range(1, 13)),
)
_PLAIN = ("Enter", "Tab", "BTab", "Escape", "Space", "BSpace")
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_ALIASES = {"S-Tab": "BTab"}
_MODIFIERS = "CMS"


def _vocabulary() -> dict[str, str]:
    """Key name as a caller writes it -> as tmux knows it."""
    names = {name: name for name in (*_PLAIN, *_FUNCTION)} | _ALIASES
    for prefix in ("C-", "M-", "S-", "C-M-", "C-S-", "M-S-", "C-M-S-"):
        names |= {prefix + name: prefix + name for name in _FUNCTION}
    for prefix in ("C-", "C-M-"):
        names |= {prefix + key: prefix + key for key in (*_LETTERS, *_LETTERS.upper(), *"@[\\]^_?", "Space")}
    names |= {f"C-{key}": f"C-{key}" for key in "/-26"}
    names |= {f"M-{name}": f"M-{name}" for name in _PLAIN}
    names |= {f"M-{chr(code)}": f"M-{chr(code)}" for code in range(0x21, 0x7F)}
    return names


VOCABULARY = _vocabulary()


def check_keys(keys: Sequence[str], repeat: int = 1) -> None:
    """Raises ``InvalidError`` with the nearest names for an unknown key, ``TooLargeError`` for too many presses."""
    if not 1 <= repeat <= MAX_REPEAT:
        raise InvalidError(f"repeat must be between 1 and {MAX_REPEAT}", operation="keys")
    if not keys:
        raise InvalidError("keys must name at least one key", operation="keys")
    if len(keys) * repeat > MAX_PRESSES:
        raise TooLargeError(f"{len(keys) * repeat} key presses at once, at most {MAX_PRESSES}", operation="keys")
    for key in keys:
        _encode(key)


def pressing(pane_id: str, keys: Sequence[str], repeat: int = 1) -> list[TmuxCommand]:
    """Commands that press ``keys`` in order, ``repeat`` times over. Raises as ``check_keys``.

    Runs of characters go as bytes, runs of names as names.
    """
    check_keys(keys, repeat)
    commands = []
    run: list[str | bytes] = []
    for press in [_encode(key) for key in keys] * repeat:
        if run and (type(run[-1]) is not type(press) or len(run) == _PRESSES_PER_COMMAND):
            commands.append(_run(pane_id, run))
            run = []
        run.append(press)
    commands.append(_run(pane_id, run))
    return commands


def _run(pane_id: str, run: Sequence[str | bytes]) -> TmuxCommand:
    target = Option("t", pane(pane_id))
    data = b"".join(press for press in run if isinstance(press, bytes))
    if data:
        return command("send-keys", Flag("H"), target, *hex_bytes(data))
    return command("send-keys", target, *(text(press) for press in run if isinstance(press, str)))


def _encode(key: str) -> str | bytes:
    """Bytes for a printable character, tmux's name for a named key."""
    if len(key) == 1 and key.isprintable() and key != ";":
        return key.encode()
    name = VOCABULARY.get(_in_order(key))
    if name is None:
        raise InvalidError(_unknown(key), operation="keys")
    return name


def _in_order(key: str) -> str:
    """The same key with its modifiers in the order ``C-M-S-``."""
    modifiers = ""
    rest = key
    while len(rest) > 2 and rest[0] in _MODIFIERS and rest[1] == "-" and rest[0] not in modifiers:
        modifiers += rest[0]
        rest = rest[2:]
    return "".join(f"{letter}-" for letter in _MODIFIERS if letter in modifiers) + rest


def _unknown(key: str) -> str:
    shown = key if len(key) <= 40 else key[:40] + "…"
    if key == ";":
        return "';' is no key here: send it as text"
    by_case = {name.lower(): name for name in reversed(VOCABULARY)}
    nearest = [by_case[name] for name in difflib.get_close_matches(shown.lower(), by_case, n=3, cutoff=0.5)]
    hint = f"; nearest: {', '.join(nearest)}" if nearest else ""
    return f"unknown key {shown!r}: a key is one printable character or a name such as Enter, C-c, M-x, Up, F5{hint}"
