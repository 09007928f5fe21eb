"""One daemon per state directory: an exclusive lock that dies with its holder."""

from __future__ import annotations

import fcntl
import os
import select
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PID_LOOKS = 20
PID_LOOK_SECONDS = 0.05


class AlreadyRunningError(Exception):
    """Another daemon holds the lock; ``pid`` is its process id, or None where that could not be read."""

    def __init__(self, path: Path, pid: int | None) -> None:
        who = f"process {pid}" if pid else "another process"
        super().__init__(f"a daemon is already running on this state: {who} holds {path}")
        self.pid = pid


@contextmanager
def single_instance(*paths: Path) -> Iterator[None]:
    """Hold the locks of ``paths`` for the block. The descriptors are close-on-exec: a lock inherited by a child would
    outlive a killed daemon.

    Raises ``AlreadyRunningError``.
    """
    held: list[int] = []
    try:
        for path in paths:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
            held.append(descriptor)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise AlreadyRunningError(path, _read_pid(descriptor)) from None
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        for descriptor in held:
            os.close(descriptor)


def _read_pid(descriptor: int) -> int | None:
    """Who holds it. A holder that has only just taken it needs a moment to write that down."""
    for _ in range(PID_LOOKS):
        text = os.pread(descriptor, 32, 0).decode(errors="replace").strip()
        if text.isdecimal():
            return int(text)
        select.select([], [], [], PID_LOOK_SECONDS)
    return None
