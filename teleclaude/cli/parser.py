"""The command line's grammar, made from the registry. Pure: no file, no connection."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import teleclaude
from teleclaude.cli.commands import COMMANDS, GROUPS
from teleclaude.cli.common import add_common, add_common_again
from teleclaude.cli.failure import UsageError

_DESCRIPTION = "Terminals, commands and Python sessions that stay alive, driven from anywhere."
_EPILOG = "Every command has its own help: teleclaude COMMAND --help"
_WITH_VALUE = ("--url", "--token-file")


def build_parser() -> argparse.ArgumentParser:
    """The whole grammar; ``args.command`` of what it parsed names an entry of ``COMMANDS``."""
    parser = argparse.ArgumentParser(
        prog="teleclaude",
        usage="teleclaude [--json] [--url URL --token-file FILE] COMMAND …",
        description=_DESCRIPTION,
        epilog=f"{_overview()}\n\n{_EPILOG}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"teleclaude {teleclaude.__version__}")
    add_common(parser)
    commands = parser.add_subparsers(
        prog="teleclaude", dest="command", metavar="COMMAND", required=True, help=argparse.SUPPRESS
    )
    for command in COMMANDS:
        entry = commands.add_parser(command.name, description=f"{command.summary.capitalize()}.", allow_abbrev=False)
        add_common_again(entry)
        command.configure(entry)
        if command.takes_words:
            entry.usage = f"{entry.format_usage().removeprefix('usage: ').rstrip()} [-- WORD ...]"
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The arguments; ``words`` is what stood after ``--`` for a command that takes words, None without ``--``.

    Raises ``UsageError``, and ``SystemExit`` as argparse does (2, or 0 after ``--help``).
    """
    for word in argv:
        _require_text(word)
    own, words = _split_words(list(argv))
    args = build_parser().parse_args(own)
    args.words = words
    return args


def _require_text(word: str) -> None:
    try:
        word.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"an argument is not UTF-8: {word.encode('utf-8', 'backslashreplace').decode()}") from error


def _split_words(argv: list[str]) -> tuple[list[str], list[str] | None]:
    takes_words = {command.name for command in COMMANDS if command.takes_words}
    if _command_of(argv) not in takes_words or "--" not in argv:
        return argv, None
    border = argv.index("--")
    return argv[:border], argv[border + 1 :]


def _command_of(argv: list[str]) -> str | None:
    words = iter(argv)
    for word in words:
        if word in _WITH_VALUE:
            next(words, None)
        elif not word.startswith("-"):
            return word
    return None


def _overview() -> str:
    width = max(len(command.name) for command in COMMANDS)
    lines: list[str] = []
    for group in GROUPS:
        lines += ["", f"{group}:"] if lines else [f"{group}:"]
        lines += [f"  {command.name:<{width}}  {command.summary}" for command in COMMANDS if command.group == group]
    return "\n".join(lines)
