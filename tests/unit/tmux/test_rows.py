from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.tmux.rows import self_contained

RESET = "\x1b[0m"


def rows(*captured: str) -> list[str]:
    return list(self_contained(captured))


def test_plain_rows_stay_plain() -> None:
    assert rows("a", "", "b") == ["a", "", "b"]


def test_a_colour_goes_on_into_the_next_rows() -> None:
    assert rows("\x1b[44mhi", "", "\x1b[49m  x") == [
        f"\x1b[44mhi{RESET}",
        f"\x1b[44m{RESET}",
        f"\x1b[44m\x1b[49m  x{RESET}",
    ]


@pytest.mark.parametrize(
    ("first", "carried"),
    [
        ("\x1b[1;31m", "\x1b[1;31m"),
        ("\x1b[1m\x1b[31m\x1b[42m", "\x1b[1;31;42m"),
        ("\x1b[38;5;208;4m", "\x1b[4;38;5;208m"),
        ("\x1b[38;2;1;2;3m\x1b[48;5;7m", "\x1b[38;2;1;2;3;48;5;7m"),
        ("\x1b[4:3m\x1b[58;2;1;2;3m", "\x1b[4:3;58;2;1;2;3m"),
        ("\x1b[58:2::1:2:3m", "\x1b[58:2::1:2:3m"),
        ("\x1b[1m\x1b[2m\x1b[22m", ""),
        ("\x1b[4:3m\x1b[24m", ""),
        ("\x1b[31m\x1b[0m", ""),
        ("\x1b[31;44m\x1b[m", ""),
        ("\x1b[31m\x1b[39m", ""),
        ("\x1b[97;107m\x1b[90m", "\x1b[90;107m"),
        ("\x1b[31;0;3m", "\x1b[3m"),
        ("\x1b[38;5m", ""),
    ],
)
def test_renditions_are_carried(first: str, carried: str) -> None:
    second = rows(first + "x", "y")[1]
    if first == "\x1b[38;5m":
        assert second.endswith(f"y{RESET}")
    else:
        assert second == (f"{carried}y{RESET}" if carried else "y")


def test_line_drawing_becomes_unicode() -> None:
    assert rows("\x0elqqk\x0f a", "\x1b[31m\x0ex", "q\x1b[1mq\x0fq") == [
        "┌──┐ a",
        f"\x1b[31m│{RESET}",
        f"\x1b[31m─\x1b[1m─q{RESET}",
    ]


@given(st.lists(st.text(st.sampled_from("aq\x0e\x0f\x1b[0123458;:m"), max_size=40), max_size=5))
def test_nothing_raises(captured: list[str]) -> None:
    assert len(rows(*captured)) == len(captured)
