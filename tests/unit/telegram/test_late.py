"""What is asked about before it runs has been seen, all of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from teleclaude_telegram.late import MAX_TOGETHER, portions, question
from teleclaude_telegram.render import TEXT_UNITS, units
from teleclaude_telegram.updates import Said


def said(number: int, text: str) -> Said:
    return Said(number, -5, number, None, 7, text, 100, indirect=False, attachment=None)


@given(st.lists(st.text(max_size=5000), max_size=120))
def test_nothing_is_left_out_and_everything_is_shown(texts: list[str]) -> None:
    all_of_it = [said(number, text) for number, text in enumerate(texts)]
    found = portions(all_of_it)
    assert [one for portion in found for one in portion] == all_of_it
    assert all(0 < len(portion) <= MAX_TOGETHER for portion in found)
    assert all(units(question(portion)) <= TEXT_UNITS for portion in found)


def test_every_line_is_there() -> None:
    asked = question([said(1, "first\nsecond"), said(2, "")])
    assert "more than 5 minutes old" in asked
    assert "· first\nsecond\n· (file)" in asked
