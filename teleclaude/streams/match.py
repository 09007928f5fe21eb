"""Waiting for text in a stream: a literal or an RE2 expression, found as the bytes come. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import re2

from teleclaude.errors import InvalidError
from teleclaude.model import Chunk
from teleclaude.streams.text import TextDecoder

REGEX_WINDOW = 256 * 1024
"""How far back, in characters, a match of a regular expression may begin."""

_OPERATION = "session.wait"


@dataclass(frozen=True, slots=True)
class Match:
    """``offset`` is the place in the stream just after the match; where that falls into bytes which show nothing or
    cannot be told apart, the lowest that loses no text.
    """

    text: str
    groups: tuple[str | None, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class _Hit:
    start: int
    end: int
    groups: tuple[str | None, ...] = ()


_Find = Callable[[str, int], _Hit | None]


def make_matcher(*, text: str | None = None, regex: str | None = None, start: int = 0) -> Matcher:
    """Exactly one of ``text`` and ``regex``; ``start`` is the offset of the first byte to come.

    Raises ``InvalidError`` for an expression that RE2 does not take.
    """
    if regex is not None:
        return Matcher(_finder(regex), REGEX_WINDOW, start)
    needle = (text or "").replace("\r\n", "\n")
    return Matcher(_literal_finder(needle), len(needle) - 1, start)


def make_finder(*, text: str | None = None, regex: str | None = None) -> Callable[[str], bool]:
    """Whether a text holds ``text``, or a match of ``regex``. Raises ``InvalidError`` as ``make_matcher`` does."""
    find = _finder(regex) if regex is not None else _literal_finder(text or "")
    return lambda line: find(line, 0) is not None


class Matcher:
    """Fed with a stream's chunks in order. It sees them as one text; after a hole a new text begins.

    The first match in reading order is found; where several end in one chunk, that is the leftmost one.
    """

    def __init__(self, find: _Find, window: int, start: int) -> None:
        self._find = find
        self._window = max(0, window)
        self._decoder = TextDecoder()
        self._seen = ""
        # Once the text's beginning is out of the window, one character before it tells what ^ and \b stand for.
        self._context = 0
        self._offset = start

    def feed(self, chunk: Chunk) -> Match | None:
        """The match that ``chunk`` completes."""
        if chunk.start != self._offset:
            self._begin_anew()
        before = self._decoder.copy()
        new = self._decoder.feed(chunk.data)
        self._offset = chunk.end
        if not new:
            return None
        old, text = len(self._seen), self._seen + new
        hit = self._find(text, self._context)
        if hit is None:
            self._remember(text)
            return None
        wanted = hit.end - old
        length = -before.pending if wanted <= 0 else _raw_length(before, chunk.data, new, wanted)
        return Match(text[hit.start : hit.end], hit.groups, chunk.start + length)

    def finish(self) -> Match | None:
        """The match that needed to know that nothing follows any more."""
        pending, unfinished = self._decoder.pending, self._decoder.unfinished
        text = self._seen + self._decoder.finish()
        hit = self._find(text, self._context) if len(text) > len(self._seen) else None
        if hit is None:
            return None
        # A CR may have been held back before an unfinished character.
        within = unfinished if hit.end > len(self._seen) else pending
        back = 0 if hit.end == len(text) else within
        return Match(text[hit.start : hit.end], hit.groups, self._offset - back)

    def _begin_anew(self) -> None:
        self._decoder = TextDecoder()
        self._seen = ""
        self._context = 0

    def _remember(self, text: str) -> None:
        if len(text) > self._window + 1:
            self._seen = text[-self._window - 1 :]
            self._context = 1
        else:
            self._seen = text


def _literal_finder(needle: str) -> _Find:
    def find(text: str, start: int) -> _Hit | None:
        at = text.find(needle, start)
        return None if at < 0 else _Hit(at, at + len(needle))

    return find


def _finder(regex: str) -> _Find:
    options = re2.Options()
    options.log_errors = False
    try:
        pattern = re2.compile(regex, options)
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise InvalidError(f"the regular expression is not valid RE2: {why}", operation=_OPERATION) from error

    def find(text: str, start: int) -> _Hit | None:
        found = pattern.search(text, start)
        return None if found is None else _Hit(found.start(), found.end(), tuple(found.groups()))

    return find


def _raw_length(before: TextDecoder, data: bytes, new: str, wanted: int) -> int:
    """How many of ``data``'s bytes make the first ``wanted`` characters of ``new``; below 0 are bytes held before."""
    if new[:wanted] == "\r" and before.pending > before.unfinished:
        return -before.unfinished
    low, high = 1, len(data)
    while low < high:
        middle = (low + high) // 2
        if len(before.copy().feed(data[:middle])) >= wanted:
            high = middle
        else:
            low = middle + 1
    decoder = before.copy()
    if len(decoder.feed(data[:low])) == wanted:
        return low - decoder.pending
    return _within_held(before, data, new[:wanted], low - 1)


def _within_held(before: TextDecoder, data: bytes, text: str, shown: int) -> int:
    """The same, for characters that were held back and came out together with byte ``shown``."""
    decoder = before.copy()
    decoder.feed(data[:shown])
    lowest = shown - decoder.pending
    for length in range(shown, max(lowest, shown - 8, -1), -1):
        decoder = before.copy()
        if decoder.feed(data[:length]) + decoder.finish() == text:
            return length
    return lowest
