from __future__ import annotations

import pytest

from teleclaude.python.health import Heartbeats


def test_d30_three_missed_are_said_once() -> None:
    beats = Heartbeats()
    for seq in (1, 2):
        beats.sent(seq)
        assert not beats.is_newly_lost()
    beats.sent(3)
    assert beats.is_newly_lost()
    assert not beats.is_newly_lost()
    assert (beats.is_responsive, beats.missed) == (False, 3)


def test_one_late_answer_makes_it_responsive_again() -> None:
    beats = Heartbeats()
    for seq in (1, 2, 3):
        beats.sent(seq)
    assert beats.is_newly_lost()
    assert beats.heard(1)
    assert beats.is_responsive
    assert not beats.heard(3)
    assert beats.missed == 0


def test_what_was_asked_before_a_pause_needs_no_answer() -> None:
    beats = Heartbeats()
    beats.sent(2)
    beats.forget()
    beats.sent(3)
    assert beats.missed == 1
    assert not beats.heard(1)


def test_an_answer_to_nothing_is_an_error() -> None:
    with pytest.raises(ValueError, match="never sent"):
        Heartbeats().heard(1)
