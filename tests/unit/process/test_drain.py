from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import StreamTotals
from teleclaude.process.drain import Meter


@given(st.lists(st.binary(max_size=20)), st.integers(0, 100))
def test_c04_the_first_bytes_are_kept_and_all_are_counted(pieces: list[bytes], cap: int) -> None:
    meter, kept = Meter(cap), b""
    for piece in pieces:
        part = meter.count(piece)
        meter.keep(part)
        kept += part
    everything = b"".join(pieces)
    assert kept == everything[:cap]
    assert meter.totals == StreamTotals(0, len(kept), len(everything), truncated=len(everything) > cap)
    assert meter.overflowed == (len(everything) > cap)


def test_what_could_not_be_written_is_not_kept() -> None:
    meter = Meter(10)
    meter.count(b"abc")
    assert meter.totals == StreamTotals(0, 0, 3, truncated=True)
    assert not meter.overflowed
