"""tmux's control protocol (control mode, ``tmux -C``): bytes in, replies and notifications out. Pure.

A reply stands between ``%begin TIME NUMBER FLAGS`` and ``%end`` or ``%error`` with the same three words; anything
inside is data, whatever it looks like. Lines outside of a reply are notifications.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_LINE_BYTES = 1024 * 1024
MAX_REPLY_BYTES = 32 * 1024 * 1024

_OURS = 1
"""Bit of the flags word: the reply answers a line that this client wrote."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What one command answered. ``ours`` is False for what the client's own start or a hook printed."""

    number: int
    ours: bool
    ok: bool
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Notification:
    """``%name rest``, without the percent sign; ``exit`` is the last one."""

    name: str
    rest: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The bytes make no sense any more, so no later reply can be trusted. Nothing comes after it."""

    reason: str


Item = Reply | Notification | Violation


class ControlParser:
    """Incremental parser; ``feed`` takes any split of the bytes and never raises.

    A program in a pane can show lines that look like the end of a reply. Guessing the time and number right would end
    a reply early, but then its real end stands alone, which is a violation.
    """

    def __init__(self, max_line: int = MAX_LINE_BYTES, max_reply: int = MAX_REPLY_BYTES) -> None:
        self._max_line = max_line
        self._max_reply = max_reply
        self._partial = bytearray()
        self._words: bytes | None = None
        self._body: list[bytes] = []
        self._body_size = 0
        self._broken = False

    def feed(self, data: bytes) -> list[Item]:
        """Everything that is complete with ``data``, in order."""
        items: list[Item] = []
        if self._broken:
            return items
        *lines, rest = data.split(b"\n")
        if lines:
            lines[0] = bytes(self._partial) + lines[0]
            self._partial.clear()
        self._partial += rest
        for line in lines:
            item = self._line(line)
            if item is not None:
                items.append(item)
            if self._broken:
                return items
        if len(self._partial) > self._max_line:
            items.append(self._violation(f"a line is longer than {self._max_line} bytes"))
        return items

    def _line(self, line: bytes) -> Item | None:
        if self._words is not None:
            return self._inside(line, self._words)
        keyword, _, words = line.partition(b" ")
        if keyword == b"%begin":
            return self._begin(words)
        if keyword in (b"%end", b"%error"):
            return self._violation("a reply ended that had not begun")
        if not keyword.startswith(b"%"):
            return None
        return Notification(_text(keyword[1:]), _text(words))

    def _begin(self, words: bytes) -> Violation | None:
        parts = words.split(b" ")
        if len(parts) != 3 or not all(part.isdigit() and len(part) < 20 for part in parts):
            return self._violation("a reply began with words that are no numbers")
        self._words = words
        self._body = []
        self._body_size = 0
        return None

    def _inside(self, line: bytes, words: bytes) -> Reply | Violation | None:
        keyword, _, rest = line.partition(b" ")
        if keyword in (b"%end", b"%error") and rest == words:
            _, number, flags = words.split(b" ")
            self._words = None
            lines = tuple(map(_text, self._body))
            self._body = []
            return Reply(int(number), bool(int(flags) & _OURS), keyword == b"%end", lines)
        self._body_size += len(line) + 1
        if self._body_size > self._max_reply:
            return self._violation(f"a reply is longer than {self._max_reply} bytes")
        self._body.append(line)
        return None

    def _violation(self, reason: str) -> Violation:
        self._broken = True
        self._partial.clear()
        self._body = []
        return Violation(reason)


def _text(line: bytes) -> str:
    return line.decode("utf-8", "replace")
