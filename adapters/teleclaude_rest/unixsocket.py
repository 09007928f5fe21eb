"""The unix socket: private from its first moment, and only ever one of them."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import stat
import struct
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from teleclaude.errors import ConflictError, InvalidError, UnavailableError

OPERATION = "rest.listen"

MAX_PATH_BYTES = 107 if sys.platform == "linux" else 103
"""``sun_path`` less the final NUL."""

PROBE_SECONDS = 1.0


@asynccontextmanager
async def private_socket(path: Path) -> AsyncIterator[socket.socket]:
    """A bound socket at ``path``, mode 0600, removed at the end if it is still ours.

    A file left by a process that is gone is replaced. Raises ``InvalidError`` for a path too long, ``ConflictError``
    when somebody answers there or it is no socket, ``UnavailableError`` when the system refuses.
    """
    if len(os.fsencode(path)) > MAX_PATH_BYTES:
        raise InvalidError(
            f"the socket path {path} exceeds {MAX_PATH_BYTES} bytes; set TELECLAUDE_RUNTIME_DIR to a shorter one",
            operation=OPERATION,
        )
    await _clear(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | getattr(socket, "SOCK_CLOEXEC", 0))
    try:
        sock.setblocking(False)
        _bind(sock, path)
        identity = _identity(path)
        try:
            yield sock
        finally:
            if identity is not None and _identity(path) == identity:
                await asyncio.to_thread(path.unlink, missing_ok=True)
    finally:
        sock.close()


def is_present(path: Path) -> bool:
    """Whether a socket stands at ``path``."""
    return _identity(path) is not None


def peer_uid(sock: socket.socket) -> int | None:
    """The user id of the process that connected; None where the system does not tell."""
    if sys.platform == "linux":
        # struct ucred {pid, uid, gid}; unix(7)
        _, uid, _ = struct.unpack("=iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
        return int(uid)
    if sys.platform == "darwin":
        # struct xucred {version, uid, ngroups, groups[16]} from LOCAL_PEERCRED (1) at SOL_LOCAL (0); unix(4)
        _, uid = struct.unpack_from("=II", sock.getsockopt(0, 1, 76))
        return int(uid)
    return None


def _bind(sock: socket.socket, path: Path) -> None:
    try:
        if sys.platform == "linux":
            # The file takes the mode of the socket itself, so the umask, which all threads share, stays alone.
            os.fchmod(sock.fileno(), 0o600)
            sock.bind(os.fspath(path))
        else:
            before = os.umask(0o177)
            try:
                sock.bind(os.fspath(path))
            finally:
                os.umask(before)
    except OSError as error:
        raise UnavailableError(f"cannot listen at {path}: {error.strerror}", operation=OPERATION) from error


async def _clear(path: Path) -> None:
    try:
        found = path.lstat()
    except FileNotFoundError:
        return
    except OSError as error:
        raise UnavailableError(f"cannot look at {path}: {error.strerror}", operation=OPERATION) from error
    if not stat.S_ISSOCK(found.st_mode):
        raise ConflictError(f"{path} is not a socket; move it away", operation=OPERATION)
    if await _answers(path):
        raise ConflictError(f"another process answers at {path}; stop it first", operation=OPERATION)
    await asyncio.to_thread(path.unlink, missing_ok=True)


async def _answers(path: Path) -> bool:
    """Whether anybody listens. Only a clear refusal counts as no: a full backlog or a silent one is somebody."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            async with asyncio.timeout(PROBE_SECONDS):
                await asyncio.get_running_loop().sock_connect(probe, os.fspath(path))
        except TimeoutError:
            return True
        except OSError as error:
            return error.errno not in (errno.ECONNREFUSED, errno.ENOENT)
    return True


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISSOCK(found.st_mode) else None
