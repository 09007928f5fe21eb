"""Watching and signalling a process that may not be our child, without ever meeting a stranger with its number."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Self

POLL_SECONDS = 0.05
_PROC = Path("/proc")
_STAT_BYTES = 4096
_HAS_PROC = (_PROC / "self/stat").exists()


def process_start_time(pid: int) -> int | None:
    """When ``pid`` started, in clock ticks since boot; None when no such process runs (a zombie has ended).

    Together with the pid it names a process for good: field 22 of proc_pid_stat(5). Where there is no /proc the answer
    is 0 for every process that exists.
    """
    if not _HAS_PROC:
        return 0 if _exists(pid) else None
    try:
        descriptor = os.open(f"{_PROC}/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        try:
            stat = os.read(descriptor, _STAT_BYTES)
        finally:
            os.close(descriptor)
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, also spaces and parentheses: fields count from the last one.
    fields = stat[stat.rindex(b")") + 2 :].split()
    state, start_time = fields[0], int(fields[19])
    return None if state in (b"Z", b"X", b"x") else start_time


def send_signal(pid: int, start_time: int | None, sig: signal.Signals) -> bool:
    """Signal exactly that process; False when it has ended or its number belongs to another one by now.

    ``start_time`` None skips the second check. Raises ``ValueError`` for a pid below 2 and ``PermissionError``.
    """
    _refuse_special(pid)
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except (OSError, AttributeError):
        return _is_same(pid, start_time) and _kill(pid, sig)
    try:
        if not _is_same(pid, start_time):
            return False
        signal.pidfd_send_signal(fd, sig)
    except ProcessLookupError:
        return False
    finally:
        os.close(fd)
    return True


def watch_process(pid: int, start_time: int | None = None) -> ProcessWatch:
    """Watch ``pid`` from now on. The watch is an async context manager and needs the running loop.

    When the process has already ended, or is not the one that started at ``start_time``, the watch has ended at once.
    Raises ``ValueError`` for a pid below 2.
    """
    _refuse_special(pid)
    return ProcessWatch(pid, start_time if start_time is not None else process_start_time(pid))


def watch_child(pid: int, start_time: int) -> ProcessWatch:
    """As ``watch_process``, for a child that is not reaped yet: until then its number cannot pass to another one."""
    _refuse_special(pid)
    return ProcessWatch(pid, start_time, is_child=True)


class ProcessWatch:
    """Tells once that a process has ended (not how: only its parent can know). Made by ``watch_process``."""

    def __init__(self, pid: int, start_time: int | None, *, is_child: bool = False) -> None:
        self.pid = pid
        self.start_time = start_time
        self._is_child = is_child
        self._loop = asyncio.get_running_loop()
        self._ended = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []
        self._fd: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._open()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self.close()

    async def aclose(self) -> None:
        self.close()

    @property
    def ended(self) -> bool:
        return self._ended.is_set()

    def on_exit(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` on the loop, once, when the process has ended; soon, if it already has.

        One that raises keeps later ones from hearing of it.
        """
        if self.ended:
            self._loop.call_soon(callback)
        else:
            self._callbacks.append(callback)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until it has ended; False after ``timeout`` seconds."""
        try:
            async with asyncio.timeout(timeout):
                await self._ended.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Stop watching; callbacks not yet called are forgotten. Does nothing the second time."""
        self._callbacks.clear()
        self._release()

    def _open(self) -> None:
        if self.start_time is None:
            self._ended.set()
            return
        try:
            self._fd = os.pidfd_open(self.pid)
        except ProcessLookupError:
            self._ended.set()
            return
        except (OSError, AttributeError):
            self._poll()
            return
        # Only now the number cannot change hands any more: look whether it did before.
        if not self._is_child and not _is_same(self.pid, self.start_time):
            self._finish()
            return
        self._loop.add_reader(self._fd, self._finish)

    def _poll(self) -> None:
        if _is_same(self.pid, self.start_time):
            self._timer = self._loop.call_later(POLL_SECONDS, self._poll)
        else:
            self._finish()

    def _finish(self) -> None:
        self._release()
        self._ended.set()
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._fd is not None:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = None


def _refuse_special(pid: int) -> None:
    if pid <= 1:
        raise ValueError(f"{pid} names no single process that may be watched or signalled")


def _is_same(pid: int, start_time: int | None) -> bool:
    now = process_start_time(pid)
    return now is not None and (start_time is None or now == start_time)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _kill(pid: int, sig: signal.Signals) -> bool:
    try:
        os.kill(pid, sig)
    except ProcessLookupError:
        return False
    return True
