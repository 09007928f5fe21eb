"""The session's event loop: one for its whole life, and current in every cell."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class SessionLoop(asyncio.SelectorEventLoop):
    """It counts as running while a plain cell runs, so that ``asyncio.create_task`` works there, too; the tasks get
    their turn at the next ``await`` or after the cell. Code that wants to run a loop itself may do so all the same.
    """

    def close(self) -> None:
        """Not before the process ends, whatever a cell thinks."""

    def run_until_complete(self, future: Any) -> Any:
        with self.released():
            return super().run_until_complete(future)

    def run_forever(self) -> None:
        with self.released():
            super().run_forever()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Be the running loop for the code inside."""
        asyncio.set_event_loop(self)
        asyncio._set_running_loop(self)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Where we only count as running, a loop may be run inside."""
        counts = (
            threading.current_thread() is threading.main_thread()
            and asyncio._get_running_loop() is self
            and not self.is_running()
        )
        if not counts:
            yield
            return
        asyncio._set_running_loop(None)
        try:
            yield
        finally:
            asyncio.set_event_loop(self)
            asyncio._set_running_loop(self)

    def let_run(self) -> None:
        """Make ``asyncio.run`` and ``asyncio.Runner`` work in plain cells."""
        asyncio.run = self._releasing(asyncio.run)
        runner = getattr(asyncio, "Runner", None)
        if runner is not None:
            runner.run = self._releasing(runner.run)

    def _releasing(self, run: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(run)
        def released(*args: Any, **kwargs: Any) -> Any:
            with self.released():
                return run(*args, **kwargs)

        return released
