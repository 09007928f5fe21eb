"""Escape sequences in text: where they are, and text that is safe to show on somebody's terminal. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

# Every part is optional up to its end, so that a cut-off sequence is taken whole too; the classes do not overlap, which
# keeps matching linear. A control string ends at a line feed at the latest: one that is never closed hides one line.
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)(?P<parameters>[0-?]*)(?P<rest>[ -/]*[@-~]?)"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"
    r"|\x1b[ -/]*[0-~]?"
)
_SGR_PARAMETERS = re.compile(r"[0-9;:]{0,128}")

_TAB_AND_LINE_FEED = (0x09, 0x0A)
_BIDI_CONTROLS = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_UNSAFE = dict.fromkeys((*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, *_BIDI_CONTROLS))
for _code in _TAB_AND_LINE_FEED:
    del _UNSAFE[_code]
_SURROGATES = re.compile("[\ud800-\udfff]")


def split_escapes(text: str) -> Iterator[tuple[str, str | None]]:
    """The parts of ``text`` in order, as ``(plain text, None)`` or ``("", parameters)`` for an SGR sequence.

    All other sequences (cursor movement, titles, hyperlinks, device strings; C1 forms too; complete or cut off) are
    left out. Plain text still holds single control characters.
    """
    position = 0
    for found in _SEQUENCE.finditer(text):
        if found.start() > position:
            yield text[position : found.start()], None
        position = found.end()
        if found["rest"] == "m" and _SGR_PARAMETERS.fullmatch(found["parameters"]):
            yield "", found["parameters"]
    if position < len(text):
        yield text[position:], None


def filter_for_terminal(text: str, *, keep_sgr: bool = False) -> str:
    """``text`` without anything that could act on the terminal it is printed to.

    Line feeds and tabs stay; escape sequences, other control characters and marks that reorder text go, lone
    surrogates become U+FFFD. With ``keep_sgr`` colours and styles stay as well, and are reset at the end. Give it whole
    texts: of a sequence cut in two the second half would stay as visible characters.
    """
    parts: list[str] = []
    styled = False
    for plain, parameters in split_escapes(text):
        if parameters is None:
            parts.append(_SURROGATES.sub("\ufffd", plain.translate(_UNSAFE)))
        elif keep_sgr:
            parts.append(f"\x1b[{parameters}m")
            styled = parameters not in {"", "0"}
    if styled:
        parts.append("\x1b[0m")
    return "".join(parts)
