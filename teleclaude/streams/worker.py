"""File work in a thread, finished before its caller goes on even when that one is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

FINISH_SECONDS = 5.0
"""How long a cancelled caller waits for work that a thread has begun."""


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like ``asyncio.to_thread``, but a cancelled caller holds its locks until the work is done (5 s at most)."""
    running = asyncio.get_running_loop().run_in_executor(None, lambda: work(*args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        done, _ = await asyncio.wait([running], timeout=FINISH_SECONDS)
        for finished in done:
            finished.exception()
        raise
