"""Interrupts: a KeyboardInterrupt in the user's code, a cancelled await, and nothing at all anywhere else.

SIGINT goes to the whole process group, as from a terminal, so that children that the code waits for end, too.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

T = TypeVar("T")


class Interrupts:
    """``request`` belongs to the reading thread, everything else to the main one.

    ``task`` is the cell's own while it awaits at its top level.
    """

    def __init__(self) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.cancelled = False
        self._open: str | None = None
        self._requested: str | None = None
        self._shields = 0
        self._late = False

    def install(self) -> None:
        """Also between cells: code may have put its own handler there."""
        if signal.getsignal(signal.SIGINT) != self._handle:
            signal.signal(signal.SIGINT, self._handle)

    def request(self, work: str) -> None:
        """Interrupt ``work``: now, or as soon as it begins."""
        self._requested = work
        if self._open != work:
            return
        if os.getpgrp() == os.getpid():
            os.killpg(os.getpgrp(), signal.SIGINT)
        else:
            os.kill(os.getpid(), signal.SIGINT)

    def run(self, work: str, function: Callable[[], T]) -> T:
        """Call ``function``, the only place where a signal has an effect. Afterwards call ``close``, come what may."""
        self.cancelled = False
        self._open = work
        self._raise_requested(work)
        value = function()
        # C code may have eaten the signal: system(3) leaves it to the child.
        self._raise_requested(work)
        self._open = None
        return value

    def close(self) -> None:
        self._open = None
        self.task = None
        self._late = False

    @contextmanager
    def shielded(self) -> Iterator[None]:
        """For what must not be cut in two on the main thread: an interrupt waits until it is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._shields += 1
        try:
            yield
        finally:
            self._shields -= 1
        if self._late and not self._shields:
            self._late = False
            if self._open is not None:
                raise KeyboardInterrupt

    def _raise_requested(self, work: str) -> None:
        if self._requested == work:
            self._requested = None
            raise KeyboardInterrupt

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if self._open is None:
            return
        self._requested = None
        if self._shields:
            self._late = True
            return
        task = self.task
        if task is not None and not self.cancelled and asyncio.current_task(task.get_loop()) is not task:
            # The loop is waiting, or runs somebody else's step: an exception here would hit that one.
            self.cancelled = True
            task.cancel()
            task.get_loop().call_soon_threadsafe(_nothing)
            return
        raise KeyboardInterrupt


def _nothing() -> None:
    """Wakes the loop from its wait."""
