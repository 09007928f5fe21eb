from __future__ import annotations

import pytest

from teleclaude.errors import UnavailableError
from teleclaude.process.breaker import COOL_DOWN_SECONDS, FAILURES, SpawnBreaker
from teleclaude.testing.clock import ManualClock


def opened(clock: ManualClock) -> SpawnBreaker:
    breaker = SpawnBreaker(clock)
    for _ in range(FAILURES):
        breaker.admit()
        breaker.failed()
    return breaker


def test_b24_starts_fail_at_once_after_failures_in_a_row() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    assert breaker.is_open
    with pytest.raises(UnavailableError) as caught:
        breaker.admit()
    assert caught.value.fields["retry_after_ms"] == COOL_DOWN_SECONDS * 1000


async def test_b24_one_probe_passes_after_the_cool_down() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    await clock.advance(COOL_DOWN_SECONDS)
    breaker.admit()
    with pytest.raises(UnavailableError):
        breaker.admit()
    breaker.failed()
    with pytest.raises(UnavailableError):
        breaker.admit()
    await clock.advance(COOL_DOWN_SECONDS)
    breaker.admit()
    breaker.succeeded()
    assert not breaker.is_open
    breaker.admit()
    breaker.admit()


async def test_a_probe_that_was_given_up_leaves_room_for_the_next() -> None:
    clock = ManualClock()
    breaker = opened(clock)
    await clock.advance(COOL_DOWN_SECONDS)
    breaker.admit()
    breaker.withdrawn()
    breaker.admit()


def test_a_success_in_between_begins_the_count_again() -> None:
    breaker = SpawnBreaker(ManualClock())
    for _ in range(FAILURES * 3):
        breaker.admit()
        breaker.failed()
        breaker.admit()
        breaker.succeeded()
    assert not breaker.is_open
