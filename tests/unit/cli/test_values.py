"""Values on the command line."""

from __future__ import annotations

from argparse import ArgumentTypeError

import pytest

from teleclaude.cli.failure import UsageError
from teleclaude.cli.values import integer, offset, seconds, session_path, variable


@pytest.mark.parametrize("text", ["0", "1001", "-1", "1.0", "1e2", "", " 5", "٣", "1_0", "9" * 30])
def test_what_is_no_whole_number_in_range(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match="from 1 to 1000"):
        integer(1, 1000)(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0), ("4096", 4096), ("-10", -10)])
def test_offsets(text: str, value: int) -> None:
    assert offset(text) == value


@pytest.mark.parametrize("text", ["", "-", "+1", "0x10", "9" * 19])
def test_what_is_no_offset(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        offset(text)


def test_seconds() -> None:
    assert seconds("1.5") == 1.5


@pytest.mark.parametrize("text", ["-1", "nan", "inf", "86401", "soon", ""])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        seconds(text)


def test_a_variable_may_hold_an_equals_sign_or_nothing() -> None:
    assert variable("A=b=c") == ("A", "b=c")
    assert variable("A=") == ("A", "")


@pytest.mark.parametrize("text", ["A", "=b", ""])
def test_what_is_no_variable(text: str) -> None:
    with pytest.raises(ArgumentTypeError):
        variable(text)


@pytest.mark.parametrize(
    ("reference", "path"),
    [
        ("web", "/sessions/web/input"),
        ("barn/web", "/sessions/barn%2Fweb/input"),
        ("-x", "/sessions/-x/input"),
        ("a b?c#d\r\né", "/sessions/a%20b%3Fc%23d%0D%0A%C3%A9/input"),
        ("../x", "/sessions/..%2Fx/input"),
    ],
)
def test_any_reference_stays_one_part_of_the_path(reference: str, path: str) -> None:
    assert session_path(reference, "input") == path


@pytest.mark.parametrize("reference", ["", ".", ".."])
def test_a_reference_that_a_path_would_swallow(reference: str) -> None:
    with pytest.raises(UsageError, match="neither the name nor the id"):
        session_path(reference)
