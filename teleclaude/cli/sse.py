"""Server-sent events, parsed as they arrive. Pure. (WHATWG HTML, "Server-sent events", "Parsing an event stream")"""

from __future__ import annotations

import codecs
from dataclasses import dataclass

MAX_EVENT_CHARS = 16 << 20


@dataclass(frozen=True, slots=True)
class ServerEvent:
    """One event; ``id`` is the last one seen on the stream, empty when there was none."""

    name: str
    data: str
    id: str


class EventParser:
    """Feed it pieces of the body as they come; it answers the events completed by each.

    Raises ``ValueError`` when one event grows beyond ``MAX_EVENT_CHARS``.
    """

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pieces: list[str] = []
        self._held = 0
        self._name = ""
        self._data: list[str] = []
        self._id = ""

    def feed(self, piece: bytes) -> list[ServerEvent]:
        text = self._decoder.decode(piece)
        self._hold(len(text))
        if "\n" not in text and "\r" not in text:
            self._pieces.append(text)
            return []
        lines = self._split("".join([*self._pieces, text]))
        self._pieces = [lines.pop()]
        return [event for line in lines if (event := self._line(line)) is not None]

    @staticmethod
    def _split(text: str) -> list[str]:
        # A return at the very end may be half of CR LF: it waits for the next piece with its line.
        tail = ""
        if text.endswith("\r"):
            text, tail = text[:-1], "\r"
        lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        lines[-1] += tail
        return lines

    def _hold(self, chars: int) -> None:
        self._held += chars
        if self._held > MAX_EVENT_CHARS:
            raise ValueError(f"an event is longer than {MAX_EVENT_CHARS} characters")

    def _line(self, line: str) -> ServerEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name or "message", self._data
        self._name, self._data, self._held = "", [], 0
        return ServerEvent(name=name, data="\n".join(data), id=self._id) if data else None
