"""The grammar of the command line."""

from __future__ import annotations

import pytest

from teleclaude.cli.commands import COMMANDS, GROUPS
from teleclaude.cli.failure import UsageError
from teleclaude.cli.parser import build_parser, parse


def refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        parse(argv)
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_every_command_has_one_line_in_the_help() -> None:
    lines = build_parser().format_help().splitlines()
    for command in COMMANDS:
        expected = f"  {command.name}"
        assert [line.endswith(command.summary) for line in lines if line.split(" ")[:3] == expected.split(" ")] == [
            True
        ]
        assert command.group in GROUPS


def test_names_are_unique() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)


@pytest.mark.parametrize("name", [command.name for command in COMMANDS])
def test_every_command_has_help_of_its_own(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([name, "--help"])
    assert ended.value.code == 0
    assert f"usage: teleclaude {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "argv",
    [
        ["ls", "--nonsense"],
        ["--nonsense", "ls"],
        ["nonsense"],
        [],
        ["kill"],
        ["kill", "-x"],
        ["ls", "--comp", "barn"],
        ["keys", "web"],
        ["keys", "web", "a", "--repeat", "1001"],
        ["wait", "web"],
        ["wait", "web", "--exit", "--text", "x"],
        ["wait", "web", "--idle", "0"],
        ["logs", "web", "--raw", "--text"],
        ["new", "web", "extra"],
        ["new", "--env", "NOVALUE"],
        ["screen", "web", "--format", "gif"],
    ],
)
def test_l1_what_cannot_be_understood_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "teleclaude" in refused(argv, capsys)


@pytest.mark.parametrize("argv", [["--token", "XYZ", "ls"], ["ls", "--token=XYZ"], ["ls", "--token"]])
def test_l2_a_token_among_the_arguments_is_refused(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    message = refused(argv, capsys)
    assert "--token is refused" in message
    assert "--token-file" in message
    assert "XYZ" not in message


def test_l3_a_name_with_a_dash_stands_after_two_dashes() -> None:
    assert parse(["kill", "--", "-x"]).name == "-x"
    assert parse(["send", "--", "-x", "-y"]).text == "-y"


def test_l5_an_argument_that_is_no_utf_8_is_refused() -> None:
    with pytest.raises(UsageError, match=r"not UTF-8: a\\udcff"):
        parse(["kill", "a\udcff"])


@pytest.mark.parametrize("argv", [["--json", "ls"], ["ls", "--json"]])
def test_options_for_every_command_stand_before_or_after_it(argv: list[str]) -> None:
    assert parse(argv).json is True
    assert parse(["ls"]).json is False


def test_an_option_before_the_command_is_not_undone() -> None:
    args = parse(["--url", "http://localhost:1", "ls", "--token-file", "t"])
    assert (args.url, args.token_file) == ("http://localhost:1", "t")


@pytest.mark.parametrize(
    ("argv", "name", "words"),
    [
        (["new"], None, None),
        (["new", "web"], "web", None),
        (["new", "web", "--"], "web", []),
        (["new", "--", "ls", "-l"], None, ["ls", "-l"]),
        (
            ["new", "web", "--cols", "80", "--", "sh", "-c", "a b", "--", "--json"],
            "web",
            ["sh", "-c", "a b", "--", "--json"],
        ),
        (["--url", "new", "new", "web", "--", "x"], "web", ["x"]),
    ],
)
def test_words_after_two_dashes_are_a_command(argv: list[str], name: str | None, words: list[str] | None) -> None:
    args = parse(argv)
    assert (args.name, args.words) == (name, words)


def test_other_commands_take_no_words() -> None:
    args = parse(["send", "new", "--", "--json"])
    assert (args.name, args.text, args.json, args.words) == ("new", "--json", False, None)


def test_numbers_may_be_negative() -> None:
    assert parse(["logs", "web", "--from", "-100"]).start == -100
    assert parse(["send", "web", "-1"]).text == "-1"
