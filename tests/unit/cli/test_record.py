"""The pieces of a stream on their way out."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from teleclaude.cli.failure import RefusedError
from teleclaude.cli.output import Output
from teleclaude.cli.record import Record, describe_gap, gap_below


class Printed:
    def __init__(self) -> None:
        self._stdout, self._stderr = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
        self.out = Output(self._stdout, self._stderr)

    @property
    def stdout(self) -> str:
        return self._value(self._stdout)

    @property
    def stderr(self) -> str:
        return self._value(self._stderr)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stdout.splitlines()]

    @staticmethod
    def _value(stream: io.TextIOWrapper) -> str:
        assert isinstance(stream.buffer, io.BytesIO)
        return stream.buffer.getvalue().decode()


GAP = {"from": 5, "to": 5, "bytes": None, "reason": "recorder_died"}


@pytest.fixture
def printed() -> Printed:
    return Printed()


def test_text_is_filtered_over_the_pieces(printed: Printed) -> None:
    with Record(printed.out, raw=False, as_json=False, colours=False) as record:
        record.output(0, 4, b"a\x1b[3")
        record.gap(GAP)
        record.output(4, 8, b"1mb\n")
        record.event("state", {"state": "running"})
    assert printed.stdout == "ab\n"
    assert printed.stderr == "teleclaude: gap: an unknown number of bytes is missing at offset 5 (recorder_died)\n"


def test_colours_are_put_back(printed: Printed) -> None:
    with Record(printed.out, raw=False, as_json=False, colours=True) as record:
        record.output(0, 6, b"\x1b[31ma")
    assert printed.stdout == "\x1b[31ma\x1b[0m"


def test_raw_bytes_stay_as_they_are(printed: Printed) -> None:
    with Record(printed.out, raw=True, as_json=False, colours=True) as record:
        record.output(0, 6, b"\x1b[31ma")
    assert printed.stdout == "\x1b[31ma"


def test_json_has_one_object_a_line(printed: Printed) -> None:
    with Record(printed.out, raw=False, as_json=True, colours=False) as record:
        record.output(0, 5, b"a\x1b[1mb")
        record.gap(GAP)
        record.event("exit", {"code": 0})
    assert printed.lines == [
        {"event": "output", "from": 0, "to": 5, "text": "ab"},
        {"event": "gap", **GAP},
        {"event": "exit", "code": 0},
    ]


def test_json_of_raw_bytes_is_base_64(printed: Printed) -> None:
    with Record(printed.out, raw=True, as_json=True, colours=False) as record:
        record.output(0, 2, b"\xff\x00")
    assert printed.lines == [{"event": "output", "from": 0, "to": 2, "b64": "/wA="}]


@pytest.mark.parametrize(
    ("size", "words"), [(1, "1 byte is"), (2, "2 bytes are"), (None, "an unknown number of bytes is")]
)
def test_gaps_in_words(size: int | None, words: str) -> None:
    assert describe_gap({"from": 9, "to": 9, "bytes": size, "reason": "r"}) == f"gap: {words} missing at offset 9 (r)"


def test_a_refusal_below_retention_is_a_gap() -> None:
    refusal = RefusedError("gone", "gap", {"start": 100})
    assert gap_below(refusal, 40) == {"from": 40, "to": 100, "bytes": 60, "reason": "retention"}


@pytest.mark.parametrize(
    ("code", "start", "position"), [("not_found", 100, 40), ("gap", None, 40), ("gap", 40, 40), ("gap", 100, None)]
)
def test_any_other_refusal_stays_one(code: str, start: int | None, position: int | None) -> None:
    with pytest.raises(RefusedError):
        gap_below(RefusedError("no", code, {"start": start}), position)
