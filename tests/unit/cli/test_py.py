"""How ``teleclaude py`` ends, and when a line is complete."""

from __future__ import annotations

import pytest

from teleclaude.cli.commands.py import exit_code, is_complete


@pytest.mark.parametrize(
    ("argument", "code"),
    [("", 0), ("None", 0), ("0", 0), ("3", 3), ("256", 0), ("-1", 255), ("no", 1), ("1.5", 1), ("True", 1)],
)
def test_an_exit_is_that_of_python(argument: str, code: int) -> None:
    error = {"type": "SystemExit", "message": argument, "traceback": []}
    assert exit_code({"status": "failed", "reason": "exception", "error": error}) == code


@pytest.mark.parametrize(
    ("status", "reason", "code"),
    [("completed", None, 0), ("timed_out", None, 124), ("cancelled", None, 1), ("failed", "worker_died", 1)],
)
def test_other_ends(status: str, reason: str | None, code: int) -> None:
    assert exit_code({"status": status, "reason": reason, "error": None}) == code


@pytest.mark.parametrize(
    ("code", "whole"),
    [
        *(
            ("1 + 1", True),
            ("def f():", False),
            ("def f():\n  pass", False),
            ("def f():\n  pass\n", True),
            ("x = (", False),
        ),
        *(("x = )", True), ("await f()", True), ("\x00", True), ("'a", True), ("'''a", False)),
    ],
)
def test_a_line_waits_for_more_or_not(code: str, whole: bool) -> None:
    assert is_complete(code) is whole
