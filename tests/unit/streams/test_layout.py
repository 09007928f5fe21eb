"""File names, records and the arithmetic of offsets."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.streams.layout import (
    MAX_INDEX,
    FileName,
    Generation,
    Record,
    extents,
    kept_segments,
    parse_name,
    pid_name,
    record_name,
    recorder_command,
    segment_name,
)


@given(st.integers(0, 10**12), st.integers(0, MAX_INDEX))
def test_names_read_back(generation: int, index: int) -> None:
    assert parse_name(segment_name(generation, index)) == FileName(generation, index, None)
    assert parse_name(pid_name(generation)) == FileName(generation, None, "pid")
    assert parse_name(record_name(generation)) == FileName(generation, None, "json")


@pytest.mark.parametrize(
    "name", ["0", "0.", "0.1", "00.000000000", "0.0000000000", "x.pid", "0.json.new", "0.000000000\n", ""]
)
def test_other_names_are_not_ours(name: str) -> None:
    assert parse_name(name) is None


def test_the_command_quotes_its_paths() -> None:
    command = recorder_command("/tmp/it's $HOME; #%", 3, 1 << 20)
    assert shlex.split(command)[-1] == "/tmp/it's $HOME; #%/3."
    assert "exec split -b 1048576 -d -a 9 - " in command


@given(
    st.integers(1, 1 << 40),
    st.none() | st.integers(0, 1 << 62),
    st.none() | st.sampled_from(["recorder_died", "disk_full"]),
    st.text(max_size=40),
)
def test_records_read_back(segment_bytes: int, base: int | None, reason: str | None, boot: str) -> None:
    record = Record(segment_bytes, base, reason, boot)
    assert Record.decode(record.encode()) == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"base": -1, "segment_bytes": 1, "reason": null, "boot": ""}',
        b'{"base": 0, "segment_bytes": 0, "reason": null, "boot": ""}',
        b'{"base": "0", "segment_bytes": 1, "reason": null, "boot": ""}',
        b'{"base": 0, "segment_bytes": 1, "reason": null}',
        b"\xff",
    ],
)
def test_no_record_is_no_record(data: bytes) -> None:
    with pytest.raises(ValueError, match=r".*"):
        Record.decode(data)


LIVES = st.lists(st.tuples(st.integers(1, 50), st.integers(0, 300)), min_size=1, max_size=6)


def generations(lives: list[tuple[int, int]]) -> tuple[list[Generation], int]:
    """Generations of ``(segment_bytes, length)`` one after the other, and where the stream ends."""
    made, base = [], 0
    for number, (segment_bytes, length) in enumerate(lives):
        last = (length - 1) // segment_bytes if length else -1
        made.append(Generation(number, segment_bytes, base, 0, last))
        base += length
    return made, base


@given(LIVES, st.data())
def test_every_byte_has_one_place(lives: list[tuple[int, int]], data: st.DataObject) -> None:
    made, end = generations(lives)
    start = data.draw(st.integers(0, end))
    stop = data.draw(st.integers(start, end))
    offset = start
    for extent in extents(made, start, stop):
        generation = made[extent.generation]
        assert extent.offset == offset
        assert extent.offset == generation.offset(extent.index, extent.position)
        assert 0 < extent.length <= generation.segment_bytes - extent.position
        assert 0 <= extent.index <= generation.last
        offset += extent.length
    assert offset == stop


@given(LIVES)
def test_kept_segments_cover_the_stream(lives: list[tuple[int, int]]) -> None:
    made, end = generations(lives)
    offset = 0
    for kept in kept_segments(made, 0, end):
        assert kept.start == offset
        assert kept.end > kept.start
        offset = kept.end
    assert offset == end


def test_bytes_after_a_generations_end_are_not_read() -> None:
    made = [Generation(0, 10, 0, 0, 5), Generation(1, 10, 25, 0, 0)]
    assert [extent.length for extent in extents(made, 18, 30)] == [2, 5, 5]
