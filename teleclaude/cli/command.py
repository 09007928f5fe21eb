"""What a command is: one entry of the registry. A command's module declares it, the parser and the help follow."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from teleclaude.cli.output import Output

if TYPE_CHECKING:
    from teleclaude.cli.client import Client

Serve = Callable[[str | None], int]
"""Runs the daemon in the foreground with that config file; answers its exit code."""


@dataclass(frozen=True)
class Context:
    """What a command works with. The client is made at first use: not every command needs the daemon."""

    args: argparse.Namespace
    out: Output
    environ: Mapping[str, str]
    serve: Serve

    @cached_property
    def client(self) -> Client:
        # http.client takes as long to import as the rest of the command line, and serve and --help go without it.
        from teleclaude.cli.client import Client  # noqa: PLC0415
        from teleclaude.cli.endpoint import find_endpoint  # noqa: PLC0415

        return Client(find_endpoint(self.args.url, self.args.token_file, self.environ))


@dataclass(frozen=True, slots=True)
class Command:
    """``summary`` is its line in ``--help``; ``takes_words`` that words after ``--`` are a command of the user's,
    left untouched in ``args.words``.
    """

    name: str
    group: str
    summary: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[Context], int]
    takes_words: bool = False
