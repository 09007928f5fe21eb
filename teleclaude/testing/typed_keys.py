"""What a program in raw mode reads from its terminal, as keys, text and pastes. Pure: bytes in, keys out."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

PASTE_START = b"\x1b[200~"
PASTE_END = b"\x1b[201~"

_SEQUENCE = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|O[@-~])")
_UNFINISHED = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|O)?")
_TEXT = re.compile(rb"[^\x00-\x1f\x7f]+")
_NAMES = {
    b"\r": "enter",
    b"\n": "newline",
    b"\t": "tab",
    b"\x03": "ctrl-c",
    b"\x04": "ctrl-d",
    b"\x08": "backspace",
    b"\x15": "ctrl-u",
    b"\x1b": "escape",
    b"\x7f": "backspace",
    b"\x1b[A": "up",
    b"\x1bOA": "up",
    b"\x1b[B": "down",
    b"\x1bOB": "down",
    b"\x1b[Z": "shift-tab",
}


@dataclass(frozen=True, slots=True)
class Pressed:
    """One key that is no text; ``name`` is ``other`` for those that nobody here asks for."""

    name: str


@dataclass(frozen=True, slots=True)
class Typed:
    """Text that arrived together; ``how`` tells a bracketed paste from typing."""

    text: str
    how: Literal["typed", "pasted"] = "typed"


Input = Pressed | Typed


class KeyDecoder:
    """Takes bytes in whatever pieces they arrive."""

    def __init__(self) -> None:
        self._rest = b""
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    @property
    def undecided(self) -> bool:
        """Whether the input ends in an escape character that may be the key or the start of a sequence."""
        return bool(self._rest) and not self._rest.startswith(PASTE_START)

    def feed(self, data: bytes) -> list[Input]:
        self._rest += data
        return list(self._take())

    def give_up_waiting(self) -> list[Input]:
        """Nothing followed the escape character, so it was the key."""
        if not self.undecided:
            return []
        rest, self._rest = self._rest[1:], b""
        return [Pressed("escape"), *self.feed(rest)]

    def _take(self) -> Iterator[Input]:
        while self._rest:
            if self._rest.startswith(PASTE_START):
                pasted, end, rest = self._rest[len(PASTE_START) :].partition(PASTE_END)
                if not end:
                    return
                self._rest = rest
                yield Typed(re.sub("\r\n?", "\n", pasted.decode("utf-8", "replace")), "pasted")
            elif text := _TEXT.match(self._rest):
                self._rest = self._rest[text.end() :]
                if decoded := self._utf8.decode(text[0]):
                    yield Typed(decoded)
            elif _UNFINISHED.fullmatch(self._rest):
                return
            else:
                sequence = _SEQUENCE.match(self._rest)
                key = sequence[0] if sequence else self._rest[:1]
                self._rest = self._rest[len(key) :]
                yield Pressed(_NAMES.get(key, "other"))
