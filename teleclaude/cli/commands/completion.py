"""``completion``: what makes a shell complete our command line, and what it asks at each press of Tab."""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from teleclaude.cli.command import Command, Context
from teleclaude.cli.failure import OK, TIMED_OUT, CliError, UsageError

if TYPE_CHECKING:
    from teleclaude.cli.completion import Candidate, Completion

SHELLS = ("bash", "zsh", "fish")
PATIENCE_SECONDS = 2
"""A person waits at the keyboard; without an answer by then nothing is offered."""

_TEMPLATES = Path(__file__).parents[1] / "shells"


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Print the completion script of a shell. In bash: source <(teleclaude completion bash); the script says how in "
        "the others. With words after --, answer what could stand at their end."
    )
    parser.add_argument("shell", choices=SHELLS, help="the shell")


def _completion(context: Context) -> int:
    words, shell = context.args.words, context.args.shell
    if words is None:
        context.out.text(script(shell))
        return OK
    # The grammar as a whole is of no use to any other command.
    from teleclaude.cli.completion import complete, split_line  # noqa: PLC0415

    with _deadline():
        if shell != "bash":
            _answer(context, complete(words), cut=0)
            return OK
        if len(words) != 2:
            raise UsageError("for bash, give the line up to the cursor and the word at it")
        line, current = words
        typed = split_line(line)[1:] or [""]
        # Bash ends words at = and : too, and replaces only what follows them.
        _answer(context, complete(typed), cut=len(typed[-1]) - len(current.lstrip("=:")))
    return OK


def script(shell: str) -> str:
    """The script for ``shell``, which asks this very program."""
    template = (_TEMPLATES / f"teleclaude.{shell}").read_text(encoding="utf-8")
    return template.replace("@PROGRAM@", shlex.join([sys.executable, "-P", "-m", "teleclaude"]))


def _answer(context: Context, found: Completion, *, cut: int) -> None:
    """First what the shell itself is to offer, then a line per candidate: its text, a tab and its help."""
    names = _sessions(context, found) if found.source == "sessions" else []
    rows = [f"{value.text[max(cut, 0) :]}\t{value.help}" for value in found.with_values(names)]
    source = found.source if found.source in ("files", "directories") else "candidates"
    context.out.text("\n".join([source, *rows]) + "\n")


def _sessions(context: Context, found: Completion) -> list[Candidate]:
    """Names of sessions, the live one first where several had the same; none when no daemon answers."""
    from teleclaude.cli.completion import Candidate  # noqa: PLC0415

    context.args.url, context.args.token_file = found.url, found.token_file
    try:
        sessions = context.client.call("GET", "/sessions")["sessions"]
    except CliError:
        return []
    states: dict[str, str] = {}
    for session in sessions:
        if session["name"] not in states or session["state"] == "running":
            states[session["name"]] = session["state"]
    return [Candidate(name, state) for name, state in sorted(states.items())]


@contextmanager
def _deadline() -> Iterator[None]:
    def expire(*_: object) -> NoReturn:
        raise CliError("no answer in time", TIMED_OUT)

    signal.signal(signal.SIGALRM, expire)
    signal.alarm(PATIENCE_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


COMPLETION = Command(
    "completion", "daemon", "print the completion script of a shell", _configure, _completion, takes_words=True
)
