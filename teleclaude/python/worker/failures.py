"""An exception as data: its type, its message and the lines of the user's own code it came through."""

from __future__ import annotations

import sys
import sysconfig
import traceback
from typing import Any

WORKER_FILES = "<teleclaude worker>"
"""What the file names of these modules begin with in the process."""

MAX_MESSAGE = 16 << 10
MAX_LINES = 400
MAX_LINE = 1000
_MAX_FRAMES = 100

_LIBRARIES = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def describe(error: BaseException) -> dict[str, Any]:
    """``{type, message, traceback, line, offset}``; the last two are set for a ``SyntaxError``."""
    message = _message(error)  # first: what may have to be interrupted shows here, where nothing hides that
    summary = traceback.TracebackException(type(error), error, error.__traceback__, limit=-_MAX_FRAMES)
    _keep_user_frames(summary)
    lines = [line for piece in summary.format() for line in piece.rstrip("\n").split("\n")]
    if len(lines) > MAX_LINES:
        lines[MAX_LINES // 2 : -MAX_LINES // 2] = ["[...]"]
    line, offset = (error.lineno, error.offset) if isinstance(error, SyntaxError) else (None, None)
    return {
        "type": clean(type(error).__name__),
        "message": clean(message)[:MAX_MESSAGE],
        "traceback": [clean(line)[:MAX_LINE] for line in lines],
        "line": line if type(line) is int else None,
        "offset": offset if type(offset) is int else None,
    }


def clean(text: str) -> str:
    """Lone surrogates made visible, so that the text can be encoded."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _message(error: BaseException) -> str:
    if isinstance(error, SyntaxError) and isinstance(error.msg, str):
        return error.msg
    try:
        return str(error)
    except BaseException as failure:
        if isinstance(failure, KeyboardInterrupt):
            raise
        return f"<its message cannot be shown: {type(failure).__name__}>"


def _keep_user_frames(summary: traceback.TracebackException | None) -> None:
    seen: set[int] = set()
    waiting = [summary]
    while waiting:
        item = waiting.pop()
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        item.stack[:] = [frame for frame in item.stack if _is_user_file(frame.filename)]
        waiting += [item.__cause__, item.__context__, *(getattr(item, "exceptions", None) or ())]


def _is_user_file(name: str) -> bool:
    if name.startswith((WORKER_FILES, "<frozen ")):
        return False
    return not name.startswith(_LIBRARIES) and f"{sys.prefix}/lib" not in name
