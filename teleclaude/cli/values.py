"""Values on the command line, read strictly. Each raises ``argparse.ArgumentTypeError`` with a sentence."""

from __future__ import annotations

import math
import re
from argparse import ArgumentTypeError
from collections.abc import Callable
from urllib.parse import quote

from teleclaude.cli.failure import UsageError

MAX_WAIT_SECONDS = 86_400.0


def integer(low: int, high: int) -> Callable[[str], int]:
    """A plain decimal number from ``low`` to ``high``."""

    def read(text: str) -> int:
        if re.fullmatch(r"-?[0-9]{1,19}", text, re.ASCII) is None or not low <= int(text) <= high:
            raise ArgumentTypeError(f"{text!r} is not a whole number from {low} to {high}")
        return int(text)

    return read


def offset(text: str) -> int:
    """A byte position; ``-N`` counts from the end."""
    if re.fullmatch(r"-?[0-9]{1,18}", text, re.ASCII) is None:
        raise ArgumentTypeError(f"{text!r} is not an offset: give N, or -N for the last N bytes")
    return int(text)


def seconds(text: str) -> float:
    """A time of up to a day, in seconds."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_WAIT_SECONDS:
        raise ArgumentTypeError(f"{text!r} is not a time from 0 to {MAX_WAIT_SECONDS:.0f} seconds")
    return value


def variable(text: str) -> tuple[str, str]:
    """``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def beside(reference: str, name: str) -> str:
    """``name`` on the computer that ``reference`` is on."""
    computer, slash, _ = reference.rpartition("/")
    return f"{computer}{slash}{name}"


def execution_path(reference: str) -> str:
    """``/executions/{id}`` for an id or ``computer/id``."""
    return f"/executions/{quote(reference, safe='')}"


def session_path(reference: str, *more: str) -> str:
    """``/sessions/{id}/…`` for an id, a name or ``computer/name``. Raises ``UsageError`` for what no path can carry."""
    if reference in ("", ".", ".."):
        raise UsageError(f"{reference!r} is neither the name nor the id of a session")
    return "/".join(["/sessions", quote(reference, safe=""), *more])
