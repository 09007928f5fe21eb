from __future__ import annotations

from datetime import UTC, datetime, timedelta

from teleclaude.model import is_name
from teleclaude.service.ids import new_id
from teleclaude.testing.clock import ManualClock


async def test_ids_sort_by_time_and_never_look_like_names() -> None:
    clock = ManualClock()
    ids = []
    for _ in range(100):
        ids.append(new_id("S", clock))
        await clock.advance(0.001)
    assert ids == sorted(ids)
    assert len(set(ids)) == 100
    assert not any(is_name(made) for made in ids)
    assert all(made.isalnum() and made.isascii() and len(made) == 18 for made in ids)


def test_the_time_fits_for_centuries() -> None:
    assert (datetime.now(UTC) + timedelta(days=365 * 500)).timestamp() * 1000 < 32**9
