"""Holes: said once, in order, found from any offset."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import Gap
from teleclaude.streams.gaps import Gaps, decode_gaps, encode_gap

REASONS = st.sampled_from(["truncated", "recorder_died", "disk_full"])
GAPS = st.builds(
    lambda start, length, reason: Gap(start, start + length, length or None, reason),
    st.integers(0, 60),
    st.integers(0, 8),
    REASONS,
)


@given(st.lists(GAPS, max_size=12))
def test_each_lost_offset_is_covered_and_no_other(gaps: list[Gap]) -> None:
    known = Gaps(gaps)
    lost = {offset for gap in gaps for offset in range(gap.start, gap.end)}
    assert {offset for offset in range(80) if known.covering(offset)} == lost
    assert list(known) == sorted(known, key=lambda gap: (gap.start, gap.end, gap.reason))
    assert {gap for gap in known if gap.start == gap.end} == {gap for gap in gaps if gap.start == gap.end}
    for offset in range(80):
        above = [gap.start for gap in known if gap.start >= offset and gap.end > gap.start]
        assert known.next_hole(offset) == min(above, default=None)
        assert known.next_place(offset) == min((gap.start for gap in known if gap.start > offset), default=None)


@given(st.lists(GAPS, max_size=8), GAPS)
def test_what_was_said_is_not_news(gaps: list[Gap], gap: Gap) -> None:
    known = Gaps(gaps)
    known.add(gap)
    before = list(known)
    assert not known.add(gap)
    assert list(known) == before


@given(st.lists(GAPS, max_size=8), st.integers(0, 60), st.integers(0, 20))
def test_lost_stretches_get_exactly_the_names_they_lack(gaps: list[Gap], start: int, length: int) -> None:
    known = Gaps(gaps)
    before = {offset for offset in range(90) if known.covering(offset)}
    wanted = set(range(start, start + length))
    assert known.add_lost(start, start + length) is bool(wanted - before)
    assert {offset for offset in range(90) if known.covering(offset)} == before | wanted


@given(st.lists(GAPS, max_size=8), st.integers(0, 70))
def test_below_retention_they_are_forgotten(gaps: list[Gap], start: int) -> None:
    known = Gaps(gaps)
    before = list(known)
    known.drop_below(start)
    assert list(known) == [gap for gap in before if gap.end >= start]


@given(st.lists(GAPS, max_size=8))
def test_they_read_back(gaps: list[Gap]) -> None:
    data = b"".join(map(encode_gap, gaps))
    assert decode_gaps(data) == (gaps, True)
    assert decode_gaps(data + b'{"start": 1') == (gaps, False)


@pytest.mark.parametrize(
    "line", [b"null", b"7", b"{}", b'{"start": 5, "end": 4, "bytes": null, "reason": "truncated"}', b"\xff\xfe"]
)
def test_lines_that_are_none_are_left_out(line: bytes) -> None:
    assert decode_gaps(line + b"\n") == ([], False)
