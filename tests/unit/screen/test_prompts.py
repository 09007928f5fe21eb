"""Captured screens of programs that ask, and of programs that only look as if."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.model import Cursor, Prompt
from teleclaude.screen.prompts import find_prompt
from teleclaude.tmux.keys import check_keys

FOLDER = Path(__file__).parents[2] / "data" / "prompts"
CASES = sorted(FOLDER.glob("*.txt"))


def load(path: Path) -> tuple[list[str], dict[str, Any] | None]:
    screen, _, expected = path.read_text(encoding="utf-8").partition("=== expected\n")
    return screen.splitlines(), json.loads(expected)


def seen(name: str) -> Prompt:
    prompt = find_prompt(load(FOLDER / f"{name}.txt")[0])
    assert prompt is not None
    return prompt


@pytest.mark.parametrize("path", CASES, ids=[path.stem for path in CASES])
def test_captured_screens(path: Path) -> None:
    lines, expected = load(path)
    prompt = find_prompt([*lines, "", ""])
    if expected is None:
        assert prompt is None
        return
    assert prompt is not None
    assert (prompt.kind, prompt.question) == (expected["kind"], expected["question"])
    assert [[option.label, list(option.keys)] for option in prompt.options] == expected["options"]
    assert [option.label for option in prompt.options if option.selected] == expected["selected"]
    if "context" in expected:
        assert list(prompt.context) == expected["context"]
    for option in prompt.options:
        check_keys(option.keys)


@pytest.mark.parametrize("name", ["apt", "sudo", "npm-name", "bash-select", "typed-menu", "press-enter"])
def test_the_cursor_stands_behind_what_is_asked(name: str) -> None:
    lines, _ = load(FOLDER / f"{name}.txt")
    row = len(lines) - 1
    behind = Cursor(x=len(lines[row]) + 1, y=row, visible=True)
    assert find_prompt(lines, behind) is not None
    assert find_prompt(lines, replace(behind, y=row + 1, x=0)) is None
    assert find_prompt(lines, replace(behind, x=0)) is None


def test_a_menu_does_not_need_the_cursor() -> None:
    lines, _ = load(FOLDER / "claude-bash.txt")
    assert find_prompt(lines, Cursor(x=0, y=len(lines), visible=False)) == seen("claude-bash")


def test_the_fingerprint_is_of_what_is_asked_and_not_of_the_selection() -> None:
    lines, _ = load(FOLDER / "claude-bash.txt")
    moved = [line.replace("❯ 1.", "  1.").replace("  2. Yes", "❯ 2. Yes") for line in lines]
    other = [line.replace("rm -rf build &&", "rm -rf / &&") for line in lines]
    first, second, third = find_prompt(lines), find_prompt(moved), find_prompt(other)
    assert first is not None
    assert second is not None
    assert third is not None
    assert [option.selected for option in second.options] == [False, True, False]
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != third.fingerprint


def test_a_long_menu_is_reached_by_arrows() -> None:
    lines = ["Which one?", "❯ 1. a", *[f"  {number}. b{number}" for number in range(2, 12)]]
    prompt = find_prompt(lines)
    assert prompt is not None
    assert prompt.options[8].keys == ("9",)
    assert prompt.options[10].keys == (*["Down"] * 10, "Enter")


@given(st.lists(st.text(alphabet=st.sampled_from("│❯>1234.[]()yYnN?:/ -─╭╯ab#$"), max_size=30), max_size=12))
def test_any_screen_is_read_without_an_error(lines: list[str]) -> None:
    prompt = find_prompt(lines)
    if prompt is not None and prompt.options:
        assert len({option.keys for option in prompt.options}) <= len(prompt.options)
        assert all(option.keys for option in prompt.options)


@given(st.lists(st.text(max_size=40), max_size=8))
def test_a_shell_prompt_below_means_that_nothing_is_asked(lines: list[str]) -> None:
    screen = [line for text in lines for line in text.splitlines()]
    assert find_prompt([*screen, "ann@host:~$ "], Cursor(x=12, y=len(screen), visible=True)) is None
