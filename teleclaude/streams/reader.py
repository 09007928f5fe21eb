"""Reading stretches of segments, byte for byte, and noticing what somebody cut out of them."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass

_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)
_SEEK_HOLE: int | None = getattr(os, "SEEK_HOLE", None)
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Stretch:
    """``length`` bytes at ``position`` of ``path``; ``offset`` is the first one's place in the stream."""

    path: str
    position: int
    length: int
    offset: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes up to the first one missing; ``lost`` is then the stretch of offsets that is not there."""

    data: bytes
    lost: tuple[int, int] | None = None


class NotCachedError(Exception):
    """The bytes would have to come from the disk."""


def fetch(stretches: Sequence[Stretch], *, wait: bool) -> Fetched:
    """Read ``stretches`` one after the other, up to the first byte that is not there.

    With ``wait`` False it never waits for a disk: raises ``NotCachedError`` instead, where the system can tell.
    A hole in a file counts as missing: recorders write no holes, but a file cut while one writes to it gets one.
    """
    parts: list[bytes] = []
    for stretch in stretches:
        part = _fetch_one(stretch, wait=wait)
        parts.append(part.data)
        if part.lost is not None:
            return Fetched(b"".join(parts), part.lost)
    return Fetched(parts[0] if len(parts) == 1 else b"".join(parts))


def _fetch_one(stretch: Stretch, *, wait: bool) -> Fetched:
    try:
        descriptor = os.open(stretch.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ELOOP):
            raise
        return Fetched(b"", (stretch.offset, stretch.offset + stretch.length))
    try:
        data = _read_now(descriptor, stretch.length, stretch.position)
        if len(data) < stretch.length:
            if not wait:
                raise NotCachedError
            data = _read_all(descriptor, stretch.length, stretch.position)
        hole = _hole(descriptor, stretch) if b"\0" in data else None  # holes read as zeros
        if hole is not None:
            return _before_hole(descriptor, stretch, *hole)
    finally:
        os.close(descriptor)
    if len(data) < stretch.length:
        return Fetched(data, (stretch.offset + len(data), stretch.offset + stretch.length))
    return Fetched(data)


def _hole(descriptor: int, stretch: Stretch) -> tuple[int, int] | None:
    """The first hole that begins in the stretch, as file positions; the end of the file is none."""
    if _SEEK_HOLE is None:
        return None
    try:
        start = os.lseek(descriptor, stretch.position, _SEEK_HOLE)
    except OSError as error:
        if error.errno in (errno.ENXIO, errno.EINVAL):  # the position is past the end; the file system has no holes
            return None
        raise
    size = os.fstat(descriptor).st_size
    if start >= min(size, stretch.position + stretch.length):
        return None
    try:
        return start, os.lseek(descriptor, start, os.SEEK_DATA)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return start, size


def _before_hole(descriptor: int, stretch: Stretch, start: int, end: int) -> Fetched:
    """Holes come in whole blocks: the zeros beside one belong to what was lost."""
    block = max(_PAGE, os.fstat(descriptor).st_blksize)
    data = _read_all(descriptor, start - stretch.position, stretch.position)
    kept = data[:-block] + data[-block:].rstrip(b"\0")
    end += _zeros(descriptor, end, block)
    return Fetched(kept, (stretch.offset + len(kept), stretch.offset + end - stretch.position))


def zeros_at(path: str, position: int) -> int:
    """How many zero bytes (64 KiB at most) follow ``position`` of a file somebody has cut."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return 0
    try:
        return _zeros(descriptor, position, 64 * 1024)
    finally:
        os.close(descriptor)


def _zeros(descriptor: int, position: int, limit: int) -> int:
    data = os.pread(descriptor, limit, position)
    return len(data) - len(data.lstrip(b"\0"))


def _read_now(descriptor: int, length: int, position: int) -> bytes:
    """What is in the page cache already; everything, where the system cannot tell."""
    if not _NOWAIT:
        return os.pread(descriptor, length, position)
    buffer = bytearray(length)
    try:
        count = os.preadv(descriptor, [buffer], position, _NOWAIT)
    except BlockingIOError:
        return b""
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # tmpfs: it is in memory anyway
            raise
        return os.pread(descriptor, length, position)
    return bytes(buffer) if count == length else bytes(buffer[:count])


def _read_all(descriptor: int, length: int, position: int) -> bytes:
    parts: list[bytes] = []
    while length > 0:
        part = os.pread(descriptor, length, position)
        if not part:
            break
        parts.append(part)
        position += len(part)
        length -= len(part)
    return b"".join(parts)
