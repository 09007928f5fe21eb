"""The pieces of a stream on their way to stdout: filtered text, raw bytes, or one JSON object a line."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from teleclaude.cli.escapes import ByteFilter
from teleclaude.cli.failure import RefusedError
from teleclaude.cli.output import Output


class Record:
    """A context manager: leaving it puts a terminal's colours back."""

    def __init__(self, out: Output, *, raw: bool, as_json: bool, colours: bool) -> None:
        self._out = out
        self._raw = raw
        self._as_json = as_json
        self._filter = ByteFilter(colours=colours)

    def __enter__(self) -> Record:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        rest = self._filter.close()
        if rest and not self._as_json and kind is not BrokenPipeError:
            self._out.text(rest)

    def output(self, start: int, end: int, data: bytes) -> None:
        """Bytes ``[start, end)`` of the stream."""
        if self._as_json:
            self.event("output", {"from": start, "to": end, **self._content(data)})
        elif self._raw:
            self._out.data(data)
        else:
            self._out.text(self._filter.feed(data))

    def gap(self, gap: Mapping[str, Any]) -> None:
        """A hole ``{from, to, bytes, reason}``: among the JSON lines, else a remark on stderr."""
        if self._as_json:
            self.event("gap", gap)
        else:
            self._out.note(describe_gap(gap))

    def event(self, name: str, data: Mapping[str, Any]) -> None:
        """Anything else that happened; people who read the output are not told here."""
        if self._as_json:
            self._out.json({"event": name, **data}, compact=True)

    def _content(self, data: bytes) -> dict[str, str]:
        if self._raw:
            return {"b64": base64.b64encode(data).decode("ascii")}
        return {"text": self._filter.feed(data)}


def describe_gap(gap: Mapping[str, Any]) -> str:
    """One sentence for a person."""
    size = gap.get("bytes")
    missing = "an unknown number of bytes is" if size is None else "1 byte is" if size == 1 else f"{size} bytes are"
    return f"gap: {missing} missing at offset {gap.get('from')} ({gap.get('reason')})"


def gap_below(refusal: RefusedError, position: int | None) -> dict[str, Any]:
    """The hole from ``position`` to the oldest kept byte that a ``gap`` refusal names. Raises any other refusal."""
    oldest = refusal.fields.get("start")
    if refusal.code != "gap" or position is None or not isinstance(oldest, int) or oldest <= position:
        raise refusal
    return {"from": position, "to": oldest, "bytes": oldest - position, "reason": "retention"}
