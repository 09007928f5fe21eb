"""Makes terminal output safe to print: escape sequences and control characters go, text stays. Pure.

Sequences follow ECMA-48 (7-bit and 8-bit forms) and xterm's "Control Sequences" page.
"""

from __future__ import annotations

import codecs
import re

_CSI_BODY = r"(?P<params>[0-?]{0,128})(?P<inter>[ -/]{0,16})"
_TOKEN = re.compile(
    rf"""
      (?P<text>[^\x00-\x08\x0a-\x1f\x7f-\x9f]+)
    | (?P<lf>\n)
    | (?P<cr>\r)
    | (?:\x1b\[|\x9b){_CSI_BODY}(?P<final>[@-~])
    | (?P<string>\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])
    | \x1b[ -/]{{0,16}}[0-~]
    | .
    """,
    re.VERBOSE | re.DOTALL,
)
_UNFINISHED = re.compile(r"(?:\x1b(?:\[[0-?]{0,128}[ -/]{0,16}|[ -/]{0,16})|\x9b[0-?]{0,128}[ -/]{0,16})\Z")
_STRING_END = re.compile("[\x07\x18\x1a\x1b\x9c]")
_COLOUR = re.compile(r"[0-9;:]*")


class EscapeFilter:
    """Filters a stream of text piece by piece; the result does not depend on where the pieces were cut.

    What comes out holds no control character but newline and tab and, with ``colours``, complete SGR sequences
    (``ESC [ … m``). A carriage return becomes a line end, so that progress bars stay readable; CR LF is one line end.
    """

    def __init__(self, *, colours: bool = False) -> None:
        self._colours = colours
        self._held = ""
        self._in_string = False
        self._at_line_start = True
        self._after_return = False
        self._coloured = False

    def feed(self, text: str) -> str:
        text = self._held + text
        unfinished = _UNFINISHED.search(text)
        self._held = unfinished.group() if unfinished else ""
        out: list[str] = []
        position, end = 0, len(text) - len(self._held)
        while position < end:
            if self._in_string:
                position = self._skip_string(text, position, end)
                continue
            position = self._take(text, position, end, out)
        return "".join(out)

    def close(self) -> str:
        """What ends the stream: colours are reset if any were let through, an unfinished sequence is dropped."""
        self._held = ""
        self._in_string = False
        return "\x1b[0m" if self._coloured else ""

    def _skip_string(self, text: str, position: int, end: int) -> int:
        found = _STRING_END.search(text, position, end)
        if found is None:
            return end
        self._in_string = False
        # An escape ends the string and starts the next sequence; ESC \ is one that shows nothing.
        return found.start() if found.group() == "\x1b" else found.end()

    def _take(self, text: str, position: int, end: int, out: list[str]) -> int:
        token = _TOKEN.match(text, position, end)
        assert token is not None
        kind = token.lastgroup
        if kind == "text":
            out.append(token.group())
            self._at_line_start = self._after_return = False
        elif kind == "lf":
            self._line_feed(out)
        elif kind == "cr":
            self._carriage_return(out)
        elif kind == "final":
            self._control_sequence(token, out)
        elif kind == "string":
            self._in_string = True
        return token.end()

    def _line_feed(self, out: list[str]) -> None:
        if not self._after_return:
            out.append("\n")
        self._after_return = False
        self._at_line_start = True

    def _carriage_return(self, out: list[str]) -> None:
        if self._at_line_start:
            return
        out.append("\n")
        self._after_return = self._at_line_start = True

    def _control_sequence(self, token: re.Match[str], out: list[str]) -> None:
        parameters = token["params"]
        if self._colours and token["final"] == "m" and not token["inter"] and _COLOUR.fullmatch(parameters):
            out.append(f"\x1b[{parameters}m")
            self._coloured = True


class ByteFilter:
    """``EscapeFilter`` for bytes of UTF-8; invalid ones become U+FFFD."""

    def __init__(self, *, colours: bool = False) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._filter = EscapeFilter(colours=colours)

    def feed(self, data: bytes) -> str:
        return self._filter.feed(self._decoder.decode(data))

    def close(self) -> str:
        return self._filter.feed(self._decoder.decode(b"", final=True)) + self._filter.close()


def plain(text: str) -> str:
    """``text`` as one safe line: no escape, no control character, no line break."""
    return EscapeFilter().feed(text).replace("\n", " ").replace("\t", " ")
