"""Snapshots of a session's variables as files, which are read back only when they are ours, byte for byte."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from teleclaude.errors import ConflictError, NotFoundError
from teleclaude.python.session import PythonSession


@dataclass(frozen=True, slots=True)
class Dropped:
    """A variable that could not be carried, and why."""

    name: str
    type: str
    reason: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """``digest`` is the SHA-256 of the file: reading a pickle runs what is in it, so only this very one is read."""

    path: Path
    digest: str
    size_bytes: int
    carried: tuple[str, ...]
    dropped: tuple[Dropped, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """``removed`` came after the snapshot. Of what it could not carry, ``kept`` are as they are now and ``missing`` are
    not there.
    """

    restored: tuple[str, ...]
    removed: tuple[str, ...]
    kept: tuple[str, ...]
    missing: tuple[str, ...]


async def take(session: PythonSession, path: Path) -> Snapshot:
    """Write a new file ``path``. Raises what ``Variables.save`` does, and ``ConflictError`` when it is there."""
    try:
        with _opened(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL) as descriptor:
            said = await session.variables.save(descriptor)
    except FileExistsError as error:
        raise ConflictError(f"there is a snapshot {path.name} already", operation="session.snapshot") from error
    except BaseException:
        await asyncio.to_thread(path.unlink, missing_ok=True)
        raise
    digest, size = await asyncio.to_thread(_digest_of, path)
    return Snapshot(path, digest, size, tuple(said["carried"]), tuple(Dropped(**entry) for entry in said["dropped"]))


async def put_back(session: PythonSession, snapshot: Snapshot) -> Restored:
    """Make the variables what they were. Raises what ``Variables.load`` does, ``NotFoundError`` when the file is
    gone and ``ConflictError`` when it is not what was written.
    """
    try:
        with _opened(snapshot.path, os.O_RDONLY) as descriptor:
            # The file is read through this descriptor only, so it cannot be exchanged after the look.
            if await asyncio.to_thread(_hash, descriptor) != (snapshot.digest, snapshot.size_bytes):
                raise ConflictError("the snapshot's file was changed, so it is not read", operation="session.restore")
            said: dict[str, Any] = await session.variables.load(descriptor)
    except FileNotFoundError as error:
        raise NotFoundError("the snapshot's file is gone", operation="session.restore") from error
    return Restored(**{name: tuple(names) for name, names in said.items()})


@contextmanager
def _opened(path: Path, flags: int) -> Iterator[int]:
    descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _digest_of(path: Path) -> tuple[str, int]:
    with _opened(path, os.O_RDONLY) as descriptor:
        os.fsync(descriptor)
        return _hash(descriptor)


def _hash(descriptor: int) -> tuple[str, int]:
    """Of all its bytes; it stands at the beginning afterwards."""
    digest, size = hashlib.sha256(), 0
    while data := os.read(descriptor, 1 << 20):
        digest.update(data)
        size += len(data)
    os.lseek(descriptor, 0, os.SEEK_SET)
    return digest.hexdigest(), size
