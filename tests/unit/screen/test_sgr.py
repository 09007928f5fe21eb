from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.screen.sgr import (
    PLAIN,
    Run,
    Style,
    Underline,
    apply_sgr,
    parse_row,
    parse_rows,
    plain,
    plain_rows,
    self_contained,
    write_row,
)

HOSTILE = st.text(
    st.one_of(st.sampled_from("\x1b\x1b\x1b[[]m;:0123456789\x0e\x0fqxlk\t?\x9b\n"), st.characters()), max_size=60
)
COLORS = st.one_of(st.none(), st.integers(0, 255), st.tuples(*[st.integers(0, 255)] * 3))
STYLES = st.builds(
    Style,
    fg=COLORS,
    bg=COLORS,
    underline_color=COLORS,
    underline=st.sampled_from(Underline),
    **{flag: st.booleans() for flag in ("bold", "dim", "italic", "blink", "reverse", "conceal", "strike", "overline")},
)


@pytest.mark.parametrize(
    ("parameters", "style"),
    [
        ("", PLAIN),
        ("0", PLAIN),
        ("31", Style(fg=1)),
        ("97;104", Style(fg=15, bg=12)),
        ("38;5;208", Style(fg=208)),
        ("48;5;208;1", Style(bg=208, bold=True)),
        ("38;2;1;2;3", Style(fg=(1, 2, 3))),
        ("38:5:9", Style(fg=9)),
        ("38:2::1:2:3", Style(fg=(1, 2, 3))),
        ("38:2:1:2:3", Style(fg=(1, 2, 3))),
        ("48:2:7:1:2:3:0:1", Style(bg=(1, 2, 3))),
        ("4;58:2::255:0:0", Style(underline=Underline.SINGLE, underline_color=(255, 0, 0))),
        ("4:3", Style(underline=Underline.CURLY)),
        ("21", Style(underline=Underline.DOUBLE)),
        ("4:0", PLAIN),
        ("1;2;3;5;7;8;9", Style(bold=True, dim=True, italic=True, blink=True, reverse=True, conceal=True, strike=True)),
        ("53", Style(overline=True)),
        ("5:3", Style(overline=True)),
        ("1;2;22", PLAIN),
        ("1;;3", Style(italic=True)),
        ("38;5;256", PLAIN),
        ("38;2;1;2", PLAIN),
        ("38;5", PLAIN),
        ("38", PLAIN),
        ("38:", PLAIN),
        ("4:9", PLAIN),
        ("99999999999999999999;3", Style(italic=True)),
        ("38;9;1", Style(bold=True)),
    ],
)
def test_parameters_make_a_style(parameters: str, style: Style) -> None:
    assert apply_sgr(PLAIN, parameters) == style


@pytest.mark.parametrize("off", ["39;49;59;22;23;24;25;27;28;29;55", "0", ""])
def test_every_attribute_can_be_switched_off(off: str) -> None:
    everything = apply_sgr(PLAIN, "31;42;58;5;9;1;2;3;4;5;7;8;9;53")
    assert apply_sgr(everything, off) == PLAIN


def test_runs_are_split_where_the_style_changes() -> None:
    assert parse_row("a\x1b[31mb\x1b[31mc\x1b[0m\x1b[39m\x1b[49md") == (
        Run("a", PLAIN),
        Run("bc", Style(fg=1)),
        Run("d", PLAIN),
    )


def test_hyperlinks_leave_their_text() -> None:
    assert parse_row("\x1b]8;id=1;http://example.org\x1b\\link\x1b]8;;\x1b\\!") == (Run("link!", PLAIN),)


def test_style_and_line_drawing_carry_over_to_the_next_row() -> None:
    rows = ["\x1b[44m\x0elqk", "x x", "\x0f\x1b[49mq"]
    assert parse_rows(rows) == [
        (Run("┌─┐", Style(bg=4)),),
        (Run("│ │", Style(bg=4)),),
        (Run("q", PLAIN),),
    ]
    assert plain_rows(rows) == ("┌─┐", "│ │", "q")
    assert self_contained(rows) == ("\x1b[44m┌─┐\x1b[0m", "\x1b[44m│ │\x1b[0m", "q")


def test_plain_text_has_no_trailing_blanks() -> None:
    assert plain("\x1b[44m  a b  \x1b[0m   ") == "  a b"
    assert plain("") == ""


def test_tabs_reach_the_next_multiple_of_eight() -> None:
    assert plain("a\tb\x1b[1m\tc") == "a       b       c"


@given(st.lists(HOSTILE, max_size=5))
def test_any_rows_are_read_and_written_again_the_same(rows: list[str]) -> None:
    parsed = parse_rows(rows)
    assert len(parsed) == len(rows)
    for runs in parsed:
        assert all(run.text for run in runs)
        assert all(left.style != right.style for left, right in pairwise(runs))
        assert parse_row(write_row(runs)) == runs


@given(STYLES)
def test_every_style_survives_being_written(style: Style) -> None:
    assert parse_row(write_row([Run("x", style)])) == (Run("x", style),)


@given(st.text("0123456789;:", max_size=40))
def test_no_parameters_raise(parameters: str) -> None:
    apply_sgr(PLAIN, parameters)
