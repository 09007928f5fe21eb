"""How a text gets into a pane: typed byte by byte, or pasted. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from teleclaude.errors import InvalidError, TooLargeError
from teleclaude.tmux.line import Flag, Option, TmuxCommand, command, hex_bytes, pane

MAX_TEXT_BYTES = 1024 * 1024
TYPED_BYTES = 4096
"""A longer single line is pasted: programs take a paste in one piece, typed text one key at a time."""

_CHUNK_BYTES = 2048
COOKED_LINE_BYTES = 4095
"""What a terminal in canonical mode keeps of one line; the kernel drops the rest silently (termios(3))."""

_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f-\x9f]")
_NOT_IN_PASTE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True, slots=True)
class Typed:
    """Byte-exact, control characters included."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pasted:
    """Several lines as one paste, already sanitised; tmux turns each newline into a carriage return."""

    data: bytes


def plan(text: str) -> Typed | Pasted:
    """One line is typed literally. Several lines, or one long line without control characters, are pasted.

    Raises ``InvalidError`` for half a surrogate pair and ``TooLargeError`` above ``MAX_TEXT_BYTES``.
    """
    data = _encode(text)
    if "\n" in text:
        return Pasted(sanitise(text).encode())
    if len(data) <= TYPED_BYTES or _CONTROLS.search(text):
        return Typed(data)
    return Pasted(data)


def sanitise(text: str) -> str:
    """``text`` as it may be pasted: an escape sequence in it could end the brackets and type the rest as commands.

    Keeps TAB and line ends (CRLF and CR become LF); drops ESC, the other C0 controls, DEL and C1.
    """
    return _NOT_IN_PASTE.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def typing(pane_id: str, data: bytes) -> list[TmuxCommand]:
    """Commands that type ``data``; each byte arrives as it is."""
    target = Option("t", pane(pane_id))
    return [
        command("send-keys", Flag("H"), target, *hex_bytes(data[start : start + _CHUNK_BYTES]))
        for start in range(0, len(data), _CHUNK_BYTES)
    ]


def longest_line(text: str) -> int:
    """Bytes of the longest line, to be held against ``COOKED_LINE_BYTES``."""
    return max(len(line) for line in _encode(text).replace(b"\r", b"\n").split(b"\n"))


def _encode(text: str) -> bytes:
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise InvalidError("text holds half of a surrogate pair", operation="input") from error
    if len(data) > MAX_TEXT_BYTES:
        raise TooLargeError(
            f"text of {len(data)} bytes, at most {MAX_TEXT_BYTES}; put it into a file of the session", operation="input"
        )
    return data
