"""From the words typed to the exit code."""

from __future__ import annotations

import os
from collections.abc import Sequence

from teleclaude.cli.command import Context, Serve
from teleclaude.cli.commands import COMMANDS
from teleclaude.cli.failure import BROKEN_PIPE, INTERRUPTED, CliError
from teleclaude.cli.output import Output, standard_output
from teleclaude.cli.parser import parse


def main(argv: Sequence[str], serve: Serve) -> int:
    """Run the command line ``argv`` (without the program's name); answers its exit code.

    ``serve`` runs the daemon: it stands in a layer beside this one, so the caller brings it.
    """
    out = standard_output()
    try:
        return _run(argv, serve, out)
    except CliError as error:
        out.note(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE


def _run(argv: Sequence[str], serve: Serve, out: Output) -> int:
    try:
        args = parse(argv)
    except SystemExit as end:
        out.flush()
        return end.code if isinstance(end.code, int) else 0
    command = next(command for command in COMMANDS if command.name == args.command)
    return command.run(Context(args=args, out=out, environ=os.environ, serve=serve))
