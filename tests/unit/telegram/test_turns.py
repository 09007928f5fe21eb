"""When silence is worth a look."""

from __future__ import annotations

import pytest

from teleclaude_telegram.turns import FOREVER_SECONDS, MAX_QUIET_SECONDS, Turn


def silences(turn: Turn) -> list[float]:
    """After how many seconds each look is, until the turn is over."""
    found = []
    while turn.silence < turn.quiet:
        turn.silence += turn.patience()
        found.append(turn.silence)
    return found


def test_nothing_is_waited_for_before_something_has_come() -> None:
    assert Turn(quiet=1.0).patience() == FOREVER_SECONDS


def test_however_long_a_program_went_on_by_itself_a_question_is_looked_for_soon() -> None:
    turn = Turn(quiet=1.0)
    turn.goes_on(0.0, 1)
    assert silences(turn) == pytest.approx([0.4, 1.0])
    for _ in range(10):
        turn.over()
    assert turn.quiet == MAX_QUIET_SECONDS
    turn.goes_on(9.0, 2)
    assert silences(turn) == pytest.approx([0.4, 1.0, MAX_QUIET_SECONDS])


def test_silence_begins_anew_with_more_output() -> None:
    turn = Turn(quiet=1.0)
    turn.goes_on(0.0, 1)
    turn.silence += turn.patience()
    turn.goes_on(1.0, 2)
    assert turn.patience() == pytest.approx(0.4)
