"""How the command line ends: its exit codes and the errors that carry them."""

from __future__ import annotations

from collections.abc import Mapping

OK = 0
REFUSED = 1
USAGE = 2
ABSENT = 69  # EX_UNAVAILABLE of sysexits.h
TRY_AGAIN = 75  # EX_TEMPFAIL
BAD_CONFIG = 78  # EX_CONFIG
TIMED_OUT = 124  # as timeout(1)
INTERRUPTED = 130  # 128 + SIGINT
BROKEN_PIPE = 141  # 128 + SIGPIPE

_TEMPORARY = frozenset({"timeout", "indeterminate", "unavailable"})


class CliError(Exception):
    """Ends the command with ``exit_code`` and one line on stderr."""

    def __init__(self, message: str, exit_code: int = REFUSED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class UsageError(CliError):
    """The command line itself cannot be carried out."""

    def __init__(self, message: str) -> None:
        super().__init__(message, USAGE)


class ConnectionFailedError(CliError):
    """Nobody answers, or not in time; a follower may connect again. ``was_sent`` says that the request went out."""

    def __init__(self, message: str, exit_code: int, *, was_sent: bool) -> None:
        super().__init__(message, exit_code)
        self.was_sent = was_sent


class RefusedError(CliError):
    """The daemon said no: ``code`` is one of ``teleclaude.errors``, ``fields`` the whole problem object."""

    def __init__(self, detail: str, code: str, fields: Mapping[str, object]) -> None:
        super().__init__(f"{detail} ({code})", TRY_AGAIN if code in _TEMPORARY else REFUSED)
        self.code = code
        self.fields = fields


def refusal_of(problem: Mapping[str, object]) -> RefusedError:
    """The refusal that a problem object (RFC 9457) stands for."""
    return RefusedError(str(problem.get("detail")), str(problem.get("code")), problem)
