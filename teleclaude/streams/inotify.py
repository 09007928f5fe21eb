"""One inotify instance on the event loop (Linux), by the C library: it needs no task, and reads many events at once."""

from __future__ import annotations

import asyncio
import ctypes
import errno
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

IN_MODIFY = 0x2
IN_MOVED_TO = 0x80
IN_CREATE = 0x100
IN_DELETE_SELF = 0x400
IN_Q_OVERFLOW = 0x4000
IN_IGNORED = 0x8000
IN_ONLYDIR = 0x1000000

_MASK = IN_MODIFY | IN_MOVED_TO | IN_CREATE | IN_DELETE_SELF | IN_ONLYDIR
_EVENT = struct.Struct("iIII")  # inotify(7): wd, mask, cookie, length of the name that follows
_READ_BYTES = 64 * 1024


class Inotify:
    """Calls ``changed`` with each watched directory's number when something in it was written, made or moved there.

    Events that came before it got to read them are one call. Raises ``OSError`` when the system has none to give.
    """

    def __init__(self, changed: Callable[[int], None], overflowed: Callable[[], None]) -> None:
        if not sys.platform.startswith("linux"):
            raise OSError(errno.ENOSYS, "inotify is a part of Linux")
        self._changed = changed
        self._overflowed = overflowed
        self._c = ctypes.CDLL(None, use_errno=True)
        self._descriptor = self._checked(self._c.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._read)

    def add(self, directory: Path) -> int:
        """Watch ``directory``; the answer is its number. Raises ``OSError`` (ENOSPC: the user has no watches left)."""
        return self._checked(self._c.inotify_add_watch(self._descriptor, os.fsencode(directory), _MASK))

    def remove(self, number: int) -> None:
        self._c.inotify_rm_watch(self._descriptor, number)

    def close(self) -> None:
        """Does nothing the second time."""
        if self._descriptor >= 0:
            self._loop.remove_reader(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = -1

    def _read(self) -> None:
        try:
            data = os.read(self._descriptor, _READ_BYTES)
        except BlockingIOError:
            return
        numbers: set[int] = set()
        position = 0
        while position < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, position)
            position += _EVENT.size + length
            if mask & IN_Q_OVERFLOW:
                self._overflowed()
            elif not mask & IN_IGNORED:
                numbers.add(number)
        for number in numbers:
            self._changed(number)

    @staticmethod
    def _checked(answer: int) -> int:
        if answer < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return answer
