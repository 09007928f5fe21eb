"""What is offered at the cursor of a command line."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.cli.commands import COMMANDS
from teleclaude.cli.completion import Candidate, complete, split_line


def offered(line: str) -> list[str]:
    return [candidate.text for candidate in complete(split_line(line)).candidates]


def test_commands_come_with_their_summaries() -> None:
    assert complete([""]).candidates == tuple(Candidate(command.name, command.summary) for command in COMMANDS)
    assert offered("ver") == ["version"]
    assert complete([]) == complete([""])


@pytest.mark.parametrize(
    ("line", "texts"),
    [
        ("ls --st", ["--state"]),
        ("ls --state r", ["running"]),
        ("ls --state=r", ["--state=running"]),
        ("--json --url http://x ls --kind p", ["python"]),
        ("signal web K", ["KILL"]),
        ("service un", ["uninstall"]),
        ("token r", ["revoke"]),
        ("token create ci --role v", ["viewer"]),
        ("ls -- --st", []),
        ("nonsense --st", []),
        ("ls --nonsense=", []),
        ("wait web --text ", []),
        ("ls ", []),
    ],
)
def test_what_fits_is_offered(line: str, texts: list[str]) -> None:
    assert offered(line) == texts


@pytest.mark.parametrize(
    ("line", "source"),
    [
        ("serve --config ", "files"),
        ("screen web -o ", "files"),
        ("--token-file=", "files"),
        ("new --cwd ", "directories"),
        ("new x -- vi ", "files"),
        ("new ", "none"),
        ("kill web ", "none"),
        ("token revoke ", "none"),
        *((f"{name} ", "sessions") for name in ("attach", "kill", "keys", "logs", "screen", "send", "signal", "wait")),
        ("logs -f w", "sessions"),
        ("kill -- w", "sessions"),
    ],
)
def test_what_others_know_is_asked_for(line: str, source: str) -> None:
    assert complete(split_line(line)).source == source


def test_values_from_outside_are_filtered_too() -> None:
    found = complete(["kill", "w"]).with_values([Candidate("web", "running"), Candidate("build")])
    assert found == (Candidate("web", "running"),)


def test_sessions_are_those_of_the_daemon_that_the_line_names() -> None:
    found = complete(["--url=http://localhost:1", "--token-file", "t", "kill", ""])
    assert (found.source, found.url, found.token_file) == ("sessions", "http://localhost:1", "t")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", [""]),
        ("a  b", ["a", "b"]),
        ("a ", ["a", ""]),
        ("a 'b c", ["a", "b c"]),
        ('a "b\\" c"d', ["a", 'b" cd']),
        ("a ''", ["a", ""]),
        ("a '' b", ["a", "", "b"]),
        ("a\\ b \\", ["a b", ""]),
    ],
)
def test_a_line_is_split_as_a_shell_does(line: str, words: list[str]) -> None:
    assert split_line(line) == words


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), max_size=8), max_size=5))
def test_quoted_words_survive(words: list[str]) -> None:
    assert split_line(f"{shlex.join(words)} ") == [*words, ""]


@given(
    st.lists(st.sampled_from(["kill", "--url", "--json", "-", "--", "web", "--state=", "token", "create", "ls", ""]))
)
def test_no_line_breaks_it_and_all_that_is_offered_fits(words: list[str]) -> None:
    found = complete(words)
    assert all(candidate.text.startswith(found.current) for candidate in found.candidates)
