"""What the commands ask the daemon for, and how they show its answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from teleclaude.cli.commands.attach import attach_argv
from teleclaude.cli.commands.create import new_body
from teleclaude.cli.commands.screen import screen_format
from teleclaude.cli.commands.wait import outcome_text, wait_body
from teleclaude.cli.failure import CliError, UsageError
from teleclaude.cli.parser import parse


def body_of(*argv: str, is_local: bool = True) -> dict[str, object]:
    return new_body(parse(["new", *argv]), is_local=is_local)


def test_new_starts_in_the_current_directory() -> None:
    assert body_of() == {"cwd": str(Path.cwd())}


def test_new_says_everything_it_was_given() -> None:
    options = ["--cwd", "/srv", "--env", "A=1", "--env", "B=", "--kind", "terminal", "--cols", "80", "--rows", "24"]
    assert body_of("web", *options, "--tag", "x", "--tag", "y", "--", "sh", "-c", "a b") == {
        "name": "web",
        "cwd": "/srv",
        "env": {"A": "1", "B": ""},
        "kind": "terminal",
        "cols": 80,
        "rows": 24,
        "tags": ["x", "y"],
        "command": ["sh", "-c", "a b"],
    }


def test_one_word_with_spaces_is_still_a_program() -> None:
    assert body_of("--", "a b")["command"] == ["a b"]


def test_a_shell_line_is_one_string() -> None:
    assert body_of("--shell", "a | b")["command"] == "a | b"


def test_an_agent_with_its_prompt() -> None:
    body = body_of("--agent", "claude", "--prompt", "hello")
    assert (body["agent"], body["prompt"]) == ("claude", "hello")


@pytest.mark.parametrize(("argv", "is_local"), [(["barn/web"], True), (["web"], False)])
def test_the_current_directory_means_nothing_elsewhere(argv: list[str], is_local: bool) -> None:
    assert "cwd" not in body_of(*argv, is_local=is_local)


def test_a_name_may_say_the_computer() -> None:
    body = body_of("barn/web", "--cwd", "/srv")
    assert body == {"computer": "barn", "name": "web", "cwd": "/srv"}


def test_a_relative_directory_is_made_absolute_without_following_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.chdir(tmp_path)
    assert body_of("--cwd", "link")["cwd"] == str(tmp_path / "link")


def test_a_current_directory_that_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(UsageError, match="does not exist any more"):
        body_of()


def test_a_current_directory_that_is_no_utf_8(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff"
    Path(os.fsdecode(odd)).mkdir()
    monkeypatch.chdir(os.fsdecode(odd))
    with pytest.raises(UsageError, match="not UTF-8"):
        body_of()


@pytest.mark.parametrize("argv", [["--shell", "x", "--", "y"], ["--"]])
def test_commands_that_make_no_sense(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        body_of(*argv)


@pytest.mark.parametrize(
    ("argv", "body"),
    [
        (["--text", "ready"], {"until": {"text": "ready"}, "timeout_ms": 30_000}),
        (["--regex", "r+"], {"until": {"regex": "r+"}, "timeout_ms": 30_000}),
        (["--idle", "500", "--timeout", "0"], {"until": {"idle_ms": 500}, "timeout_ms": 0}),
        (["--activity", "idle"], {"until": {"activity": "idle"}, "timeout_ms": 30_000}),
        (["--exit", "--timeout", "1.5"], {"until": {"exit": True}, "timeout_ms": 1_500}),
        (["--text", "x", "--from", "0"], {"until": {"text": "x"}, "timeout_ms": 30_000, "from": 0}),
    ],
)
def test_wait_asks_for_one_condition(argv: list[str], body: dict[str, object]) -> None:
    assert wait_body(parse(["wait", "web", *argv])) == body


def test_wait_asks_for_an_empty_text_too_and_lets_the_daemon_judge() -> None:
    assert wait_body(parse(["wait", "web", "--text", ""]))["until"] == {"text": ""}


@pytest.mark.parametrize(
    ("reply", "text"),
    [
        ({"outcome": "matched", "offset": 12, "match": {"text": "a\x1b[1mb\nc"}}, "matched at 12: ab c"),
        ({"outcome": "matched", "offset": 12, "match": None}, "matched at 12"),
        ({"outcome": "exited", "offset": 12}, "exited"),
        ({"outcome": "timeout", "offset": 12}, "timeout"),
    ],
)
def test_the_outcome_of_a_wait(reply: dict[str, Any], text: str) -> None:
    assert outcome_text(reply) == text


@pytest.mark.parametrize(
    ("argv", "is_tty", "wanted"),
    [
        ([], True, "ansi"),
        ([], False, "text"),
        (["--json"], True, "json"),
        (["--format", "text"], True, "text"),
        (["--format", "ansi"], False, "ansi"),
        (["--format", "png"], False, "png"),
        (["--format", "png", "-o", "x.png"], True, "png"),
        (["-o", "x.txt"], True, "text"),
    ],
)
def test_the_format_of_a_screen(argv: list[str], is_tty: bool, wanted: str) -> None:
    assert screen_format(parse(["screen", "web", *argv]), is_tty=is_tty, colours=True) == wanted


def test_no_colours_when_they_are_not_wanted() -> None:
    assert screen_format(parse(["screen", "web"]), is_tty=True, colours=False) == "text"


@pytest.mark.parametrize("argv", [["--format", "png"], ["--json", "--format", "ansi"]])
def test_formats_that_make_no_sense(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        screen_format(parse(["screen", "web", *argv]), is_tty=True, colours=True)


def test_attach_runs_what_the_daemon_names() -> None:
    assert attach_argv({"attach": {"argv": ["tmux", "attach"]}}) == ["tmux", "attach"]


def test_attach_says_why_it_cannot() -> None:
    with pytest.raises(CliError, match="web is exited on mill"):
        attach_argv({"name": "web", "state": "exited", "computer": "mill", "attach": None})


@pytest.mark.parametrize("attach", [{}, {"argv": []}, {"argv": "tmux"}, {"argv": [1]}, {"argv": [""]}, "tmux"])
def test_attach_runs_nothing_else(attach: object) -> None:
    with pytest.raises(CliError, match="did not say how"):
        attach_argv({"name": "web", "attach": attach})
