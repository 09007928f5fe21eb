"""What SQLite reports → what the rest of the code knows. Pure."""

from __future__ import annotations

import sqlite3

from teleclaude.errors import InternalError, NoSpaceError, TeleclaudeError, UnavailableError

_DEFECTS = (sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.IntegrityError)


def is_full(error: BaseException) -> bool:
    """Whether the disk, or the share of it that we may use, is full."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF == sqlite3.SQLITE_FULL or code == sqlite3.SQLITE_IOERR_SHMSIZE


def as_error(error: sqlite3.Error, operation: str) -> TeleclaudeError:
    """The error that a caller gets for ``error``; nothing of the write took effect."""
    if is_full(error):
        return NoSpaceError("the disk is full; free some space, or delete ended sessions", operation=operation)
    if isinstance(error, _DEFECTS):
        return InternalError(f"the database refused: {error}", operation=operation)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return UnavailableError(f"the database cannot be used ({name}: {error}); look at its disk", operation=operation)
