"""The daemon's own directories and its first token."""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from teleclaude.paths import Paths


class DirectoryError(Exception):
    """A directory of ours cannot be used; the message says which and what to do."""


def prepare(paths: Paths) -> None:
    """Make state and runtime directories (0700) and refuse them when they are somebody else's.

    Raises ``DirectoryError``.
    """
    for path in (paths.state, paths.runtime, paths.streams):
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise DirectoryError(f"cannot make the directory {path}: {error.strerror}") from None
        found = path.stat()
        if found.st_uid != os.geteuid():
            raise DirectoryError(f"{path} belongs to user {found.st_uid}; set another directory or change its owner")
        if stat.S_IMODE(found.st_mode) & 0o077:
            path.chmod(0o700)


def ensure_token(path: Path) -> None:
    """The owner token of this computer, made once: 256 bits, mode 0600."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
        file.flush()
        os.fsync(file.fileno())
