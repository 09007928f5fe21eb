"""Options that every command takes, before its name or after it."""

from __future__ import annotations

import argparse
from typing import NoReturn


def add_common(parser: argparse.ArgumentParser) -> None:
    """To the program itself."""
    _add(parser, json=False, url=None, token_file=None)


def add_common_again(parser: argparse.ArgumentParser) -> None:
    """To a command, or an action of one; what is not given there does not undo what stood before."""
    _add(parser, json=argparse.SUPPRESS, url=argparse.SUPPRESS, token_file=argparse.SUPPRESS)


def _add(parser: argparse.ArgumentParser, *, json: object, url: object, token_file: object) -> None:
    common = parser.add_argument_group("for every command")
    common.add_argument("--json", action="store_true", default=json, help="answer in JSON")
    common.add_argument("--url", metavar="URL", default=url, help="another daemon (default: the one of this user here)")
    common.add_argument(
        "--token-file", metavar="FILE", default=token_file, help="a private file with the token for --url"
    )
    common.add_argument("--token", action=_RefuseToken, nargs="?", default=argparse.SUPPRESS, help=argparse.SUPPRESS)


class _RefuseToken(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
        parser.error(
            "--token is refused: every user can read it in the process list; put it in a file for --token-file"
        )
