"""Terminal output as text (``format=text``): escapes removed, UTF-8 with replacement, CRLF as LF. Pure.

Control sequences go in their 7-bit forms and as the code points U+0080 to U+009F; a lone byte of that range is not
UTF-8 and becomes U+FFFD. What stays of the control characters is TAB, LF and CR. An ESC always begins anew, as
terminals have it (ECMA-48 8.3, xterm's ctlseqs), so a sequence that never ends is given up at the next one.
"""

from __future__ import annotations

import re
from typing import Self

_C1 = re.compile(rb"\xc2([\x80-\x9f])")
_SEQUENCE = re.compile(
    rb"\x1b\][^\x07\x18\x1a\x1b]*[\x07\x18\x1a]?"  # OSC, to BEL or (as the next sequence) ST
    rb"|\x1b[PX^_][^\x18\x1a\x1b]*[\x18\x1a]?"  # DCS, SOS, PM, APC
    rb"|\x1b\[[\x20-\x3f]*[\x40-\x7e]?"  # CSI
    rb"|\x1b[\x20-\x2f]*[\x30-\x7e]?"  # two bytes, and selections such as ESC ( B
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]"
)
_OPEN = re.compile(
    rb"(\x1b\])[^\x07\x18\x1a\x1b]*\Z"
    rb"|(\x1b[PX^_])[^\x18\x1a\x1b]*\Z"
    rb"|(\x1b\[)[\x20-\x3f]*\Z"
    rb"|(\x1b[\x20-\x2f]?)[\x20-\x2f]*\Z"
)
# The beginnings of well-formed UTF-8 (Unicode 15, table 3-7).
_PARTIAL = re.compile(
    rb"(?:[\xc2-\xdf]|\xe0[\xa0-\xbf]?|[\xe1-\xec\xee\xef][\x80-\xbf]?|\xed[\x80-\x9f]?"
    rb"|\xf0(?:[\x90-\xbf][\x80-\xbf]?)?|[\xf1-\xf3][\x80-\xbf]{0,2}|\xf4(?:[\x80-\x8f][\x80-\xbf]?)?)\Z"
)
# Atomic, so that hostile sequences cannot make it try every way of cutting them.
_REMOVED_TO_END = re.compile(rb"(?>" + _SEQUENCE.pattern + rb")*+\Z")


class TextDecoder:
    """Decodes bytes as they come; how they are cut into pieces never changes the text. Memory is constant."""

    def __init__(self) -> None:
        # An unfinished sequence stands here as its beginning only: what it holds does not matter.
        self._open = b""
        self._partial = b""
        self._held = 0
        self._cr_held = 0

    @property
    def pending(self) -> int:
        """How many of the latest bytes the text so far does not show yet: part of a character or a sequence, or a CR
        that LF may follow. A fresh decoder that starts this many bytes back goes on with exactly the text to come.
        """
        return self._cr_held or self._held

    @property
    def unfinished(self) -> int:
        """How many of the latest bytes are part of a character or a sequence."""
        return self._held

    def copy(self) -> Self:
        other = type(self)()
        other._open, other._partial = self._open, self._partial
        other._held, other._cr_held = self._held, self._cr_held
        return other

    def feed(self, data: bytes) -> str:
        """The text that ``data`` completes."""
        stands_for = len(self._open)
        raw = self._open + self._partial + data
        if b"\xc2" in raw:
            raw = _C1.sub(lambda match: b"\x1b" + bytes((match[1][0] - 0x40,)), raw)
        cut = self._hold_back(raw)
        self._held = self._held + len(data) if cut < stands_for else len(raw) - cut
        text = _plain(raw[:cut])
        if not text:
            self._cr_held += len(data) if self._cr_held else 0
            return ""
        if self._cr_held:
            text = "\r" + text
        if text.endswith("\r"):
            self._cr_held = len(raw) - _last_cr(raw, cut)
            text = text[:-1]
        else:
            self._cr_held = 0
        return text.replace("\r\n", "\n")

    def finish(self) -> str:
        """What was held back, now that nothing follows; an unfinished sequence is dropped. It may be fed again."""
        text = ("\r" if self._cr_held else "") + ("\ufffd" if self._partial and not self._open else "")
        self._open = self._partial = b""
        self._held = self._cr_held = 0
        return text

    def _hold_back(self, raw: bytes) -> int:
        """Where an unfinished sequence or character begins, which is kept for later."""
        start = raw.rfind(b"\x1b")
        opened = _OPEN.match(raw, start) if start >= 0 else None
        if opened is not None:
            self._open = next(filter(None, opened.groups()))
            self._partial = b"\xc2" if raw.endswith(b"\xc2") else b""  # it may become the C1 that ends the sequence
            return start
        partial = _PARTIAL.search(raw, max(0, len(raw) - 3))
        self._open = b""
        self._partial = b"" if partial is None else partial[0]
        return len(raw) - len(self._partial)


def decode_page(data: bytes) -> tuple[str, int]:
    """The text of a page and how many of its bytes that is; the next page is best begun there.

    All of it when it holds nothing but the beginning of one sequence.
    """
    decoder = TextDecoder()
    text = decoder.feed(data)
    taken = len(data) - decoder.pending
    return (text, taken) if taken else (text + decoder.finish(), len(data))


def _plain(raw: bytes) -> str:
    runs = _SEQUENCE.split(raw)
    if raw.isascii():
        return b"".join(runs).decode("ascii")
    return "".join([run.decode("utf-8", "replace") for run in runs])


def _last_cr(raw: bytes, cut: int) -> int:
    """The CR that is the last thing to be seen in ``raw[:cut]``; one inside a removed sequence is none."""
    at = raw.rfind(b"\r", 0, cut)
    while _REMOVED_TO_END.match(raw, at + 1, cut) is None:
        at = raw.rfind(b"\r", 0, at)
    return at
