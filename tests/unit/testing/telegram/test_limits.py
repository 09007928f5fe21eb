"""The counters behind 429."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teleclaude.testing.telegram import Budgets, Window, busiest
from teleclaude.testing.telegram.limits import MAX_METERS, Ledger, Meter


def test_a_window_slides() -> None:
    meter = Meter(Window(2, 10))
    for now, wait in [(0, 0), (1, 0), (2, 8), (10.5, 0.5)]:
        assert meter.wait(now) == wait
        meter.count(now)
    assert meter.used(11) == 2


def test_a_refusal_counts_and_a_ban_holds() -> None:
    ledger = Ledger(Budgets(chat=Window(1, 1), group=Window(3, 60)))
    assert ledger.charge(-1, group=True, now=0) == 0
    assert ledger.charge(-1, group=True, now=0.5) == 1
    assert ledger.banned(-1, 1.4)
    assert ledger.charge(-1, group=True, now=2) == 0
    assert ledger.charge(-1, group=True, now=4) == 56
    assert ledger.charge(-2, group=False, now=4) == 0
    assert ledger.used(-1, 4) == 3


def test_without_budgets_only_bans_refuse() -> None:
    ledger = Ledger(None)
    assert [ledger.charge(1, group=True, now=0) for _ in range(100)] == [0] * 100
    ledger.ban(1, 7.2, now=0)
    assert ledger.charge(1, group=True, now=0) == 8


def test_the_number_of_chats_is_bounded() -> None:
    ledger = Ledger(Budgets(bot=Window(10**9, 1)))
    for chat in range(MAX_METERS + 5):
        ledger.charge(chat, group=False, now=0)
    assert ledger.used(0, 0) == 0
    assert ledger.used(MAX_METERS, 0) == 1


@given(st.lists(st.floats(0, 0.9), max_size=120))
def test_what_passes_never_exceeds_the_window(pauses: list[float]) -> None:
    window = Window(4, 3)
    ledger = Ledger(Budgets(chat=window, group=window, bot=window))
    now, passed = 0.0, list[float]()
    for pause in pauses:
        now += pause
        if ledger.charge(-1, group=True, now=now) == 0:
            passed.append(now)
    assert busiest([int(at * 1000) for at in passed], 2.999) <= 4


@given(st.lists(st.integers(0, 200_000), max_size=50), st.integers(1, 100))
def test_the_busiest_window(times: list[int], seconds: int) -> None:
    slow = max((sum(at <= other < at + seconds * 1000 for other in times) for at in times), default=0)
    assert busiest(times, seconds) == slow
