"""A program that has this terminal while we wait beside it, as a shell would."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

from teleclaude.cli.failure import CliError

_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


def run_beside(argv: Sequence[str]) -> int:
    """Its exit code, or 128 and the signal that ended it. Raises ``CliError`` when it cannot be started."""
    try:
        pid = os.posix_spawnp(argv[0], list(argv), os.environ, setsigdef=_IGNORED_BY_PYTHON)
    except OSError as error:
        raise CliError(f"cannot run {argv[0]}: {error.strerror}") from error
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            _, status = os.waitpid(pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                code = os.waitstatus_to_exitcode(status)
                return code if code >= 0 else 128 - code
            # Whoever stopped it wants his shell back.
            os.kill(os.getpid(), signal.SIGSTOP)
            os.kill(pid, signal.SIGCONT)
    finally:
        signal.signal(signal.SIGINT, before)
