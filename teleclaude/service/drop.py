"""The folder of one session's files. Every step is taken from an open directory, so no name and no link leads out.

All of this blocks: call it off the loop.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from teleclaude.clock import timestamp
from teleclaude.errors import (
    ConflictError,
    ForbiddenError,
    InternalError,
    LimitError,
    NoSpaceError,
    NotFoundError,
    TeleclaudeError,
)
from teleclaude.wire.files import FileView

MAX_FILES = 1000
MAX_TOTAL_BYTES = 1 << 30

_INCOMING, _FILES = "incoming", "files"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that is being written: it has no name yet that anybody would look for."""

    folder: int
    descriptor: int
    name: str


class Drop:
    """``root`` holds one folder per session."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def path(self, session_id: str, name: str) -> Path:
        return self._root / session_id / _FILES / name

    def begin(self, session_id: str) -> Incoming:
        """Raises ``LimitError`` when there are too many files already."""
        with _errors("session.files.put"):
            self._make(session_id)
            with self._opened(session_id, _FILES) as files:
                found = [entry.stat(follow_symlinks=False).st_size for entry in os.scandir(files)]
            if len(found) >= MAX_FILES or sum(found) >= MAX_TOTAL_BYTES:
                raise LimitError(
                    f"a session keeps at most {MAX_FILES} files and {MAX_TOTAL_BYTES} bytes; remove some",
                    operation="session.files.put",
                )
            with self._opened(session_id, _INCOMING) as folder:
                name = secrets.token_hex(16)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
                descriptor = os.open(name, flags, 0o600, dir_fd=folder)
                return Incoming(os.dup(folder), descriptor, name)

    def write(self, incoming: Incoming, data: bytes) -> None:
        """Raises ``NoSpaceError``."""
        with _errors("session.files.put"):
            rest = memoryview(data)
            while rest:
                rest = rest[os.write(incoming.descriptor, rest) :]

    def finish(self, session_id: str, incoming: Incoming, name: str, *, overwrite: bool) -> FileView:
        """Give it its name. Raises ``ConflictError`` for a name that is taken."""
        with _errors("session.files.put"), self._opened(session_id, _FILES) as files:
            os.fsync(incoming.descriptor)
            status = os.fstat(incoming.descriptor)
            if overwrite:
                os.rename(incoming.name, name, src_dir_fd=incoming.folder, dst_dir_fd=files)
            else:
                # Unlike a rename, a link fails when the name is taken.
                os.link(incoming.name, name, src_dir_fd=incoming.folder, dst_dir_fd=files, follow_symlinks=False)
            os.fsync(files)
        return self._view(session_id, name, status)

    def discard(self, incoming: Incoming) -> None:
        """Let go of it; what has no name is gone."""
        with suppress(FileNotFoundError):
            os.unlink(incoming.name, dir_fd=incoming.folder)
        os.close(incoming.descriptor)
        os.close(incoming.folder)

    def files(self, session_id: str) -> list[FileView]:
        """The regular files with a name that can be asked for, by name."""
        with _errors("session.files"):
            try:
                with self._opened(session_id, _FILES) as files:
                    found = [
                        self._view(session_id, entry.name, entry.stat(follow_symlinks=False))
                        for entry in os.scandir(files)
                        if entry.is_file(follow_symlinks=False) and _is_text(entry.name)
                    ]
            except FileNotFoundError:
                return []
        return sorted(found, key=lambda view: view.name)

    def open(self, session_id: str, name: str) -> tuple[int, int]:
        """A descriptor and the size of now. Raises ``NotFoundError``, ``ForbiddenError`` for what is no plain file."""
        with _errors("session.files.get"), self._opened(session_id, _FILES) as files:
            # A fifo without a writer would make an ordinary open wait for ever.
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
            descriptor = os.open(name, flags, dir_fd=files)
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                os.close(descriptor)
                raise ForbiddenError("this is no plain file", operation="session.files.get")
            return descriptor, status.st_size

    def forget(self, session_id: str) -> None:
        """Remove a session's files."""
        shutil.rmtree(self._root / session_id, ignore_errors=True)

    def _make(self, session_id: str) -> None:
        for folder in (self._root, self._root / session_id):
            folder.mkdir(mode=0o700, exist_ok=True)
        with self._session(session_id) as session:
            for name in (_INCOMING, _FILES):
                with suppress(FileExistsError):
                    os.mkdir(name, 0o700, dir_fd=session)

    @contextmanager
    def _session(self, session_id: str) -> Iterator[int]:
        root = os.open(self._root, _DIRECTORY)
        try:
            session = os.open(session_id, _DIRECTORY, dir_fd=root)
        finally:
            os.close(root)
        try:
            yield session
        finally:
            os.close(session)

    @contextmanager
    def _opened(self, session_id: str, folder: str) -> Iterator[int]:
        with self._session(session_id) as session:
            descriptor = os.open(folder, _DIRECTORY, dir_fd=session)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _view(self, session_id: str, name: str, status: os.stat_result) -> FileView:
        return FileView(
            name=name,
            path=str(self.path(session_id, name)),
            bytes=status.st_size,
            modified_at=timestamp(datetime.fromtimestamp(status.st_mtime, UTC)),
        )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


@contextmanager
def _errors(operation: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _refusal(error, operation) from error


def _refusal(error: OSError, operation: str) -> TeleclaudeError:
    match error.errno:
        case errno.ENOENT:
            return NotFoundError("there is no such file", operation=operation)
        case errno.EEXIST:
            return ConflictError("a file has this name; send overwrite=true or choose another", operation=operation)
        case errno.ENOSPC | errno.EDQUOT:
            return NoSpaceError("the disk is full; nothing was stored", operation=operation)
        case errno.ELOOP | errno.ENXIO | errno.EISDIR | errno.ENOTDIR:
            return ForbiddenError("this is no plain file", operation=operation)
        case _:
            return InternalError(f"the file system refused: {error.strerror}", operation=operation)
