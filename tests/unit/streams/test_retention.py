"""What has to go: whole segments, the oldest first, never more than needed."""

from __future__ import annotations

from itertools import accumulate, pairwise

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.streams.layout import Kept
from teleclaude.streams.retention import Aged, within_budget, within_length


def segments(lengths: list[int]) -> list[Kept]:
    edges = list(accumulate(lengths, initial=0))
    return [Kept(0, index, start, end) for index, (start, end) in enumerate(pairwise(edges))]


@given(st.lists(st.integers(1, 20), min_size=1, max_size=20), st.integers(1, 100))
def test_a_stream_keeps_as_much_as_it_may(lengths: list[int], retention_bytes: int) -> None:
    kept = segments(lengths)
    below = within_length(kept, retention_bytes)
    stay = [segment for segment in kept if segment.end > below]
    assert stay
    total = stay[-1].end - stay[0].start
    assert total <= retention_bytes or len(stay) == 1
    gone = [segment for segment in kept if segment.end <= below]
    assert not gone or total + gone[-1].end - gone[-1].start > retention_bytes


AGED = st.lists(st.tuples(st.integers(1, 20), st.integers(0, 50)), max_size=8)


@given(st.dictionaries(st.sampled_from("abcd"), AGED), st.integers(1, 200))
def test_the_budget_frees_enough_and_the_oldest(streams: dict[str, list[tuple[int, int]]], excess: int) -> None:
    aged = {
        key: [
            Aged(kept, float(at))
            for kept, at in zip(segments([length for length, _ in made]), [at for _, at in made], strict=True)
        ]
        for key, made in streams.items()
    }
    below = within_budget(aged, excess)
    freed = {key: [one for one in made if one.kept.end <= below.get(key, 0)] for key, made in aged.items()}
    total = sum(one.kept.end - one.kept.start for made in freed.values() for one in made)
    everything = sum(one.kept.end - one.kept.start for made in aged.values() for one in made)
    assert total >= min(excess, everything)
    largest = max((one.kept.end - one.kept.start for made in freed.values() for one in made), default=0)
    assert total < excess + largest


def test_a_turned_back_clock_does_not_make_a_hole() -> None:
    one, two = segments([10, 10])
    assert within_budget({"a": [Aged(one, 100.0), Aged(two, 1.0)]}, 5) == {"a": 10}


def test_the_oldest_of_all_goes_first() -> None:
    (kept,) = segments([10])
    assert within_budget({"new": [Aged(kept, 2.0)], "old": [Aged(kept, 1.0)]}, 1) == {"old": 10}
