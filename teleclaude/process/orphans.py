"""Adopting what executions leave behind, so that it can be found, ended and reaped (PR_SET_CHILD_SUBREAPER)."""

from __future__ import annotations

import asyncio
import ctypes
import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache

import structlog

from teleclaude.clock import Clock
from teleclaude.process.proctable import ProcessStat, child_lister, read_stat

log = structlog.get_logger(__name__)

SWEEP_SECONDS = 10.0

_PR_SET_CHILD_SUBREAPER = 36
_PR_GET_CHILD_SUBREAPER = 37


def become_subreaper(adopt: bool = True) -> bool:
    """Make this process the parent of its orphaned descendants, or stop that; False where the system cannot.

    For the whole process and for its life, so the daemon decides it once, at its start.
    """
    done = _prctl(_PR_SET_CHILD_SUBREAPER, int(adopt))
    is_subreaper.cache_clear()
    return done and is_subreaper() == adopt


@cache
def is_subreaper() -> bool:
    """Asked of the system once: nobody else in this process changes it, and every command's end asks."""
    answer = ctypes.c_int(0)
    return _prctl(_PR_GET_CHILD_SUBREAPER, ctypes.addressof(answer)) and answer.value == 1


def reap(pid: int) -> bool:
    """Take a zombie child out of the process table; False when it is not one."""
    with suppress(ChildProcessError):
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    return False


class OrphanReaper:
    """Reaps adopted children that have ended, and never one that somebody here started and waits for.

    A child of ours leads its own session or is in the daemon's. So a zombie in another session was adopted. One that
    led its own session may be either: whoever started it reaps it within moments, so it is taken only when two sweeps
    in a row saw it and ``is_awaited``, which is called in a thread, does not know it.
    """

    def __init__(self, clock: Clock, is_awaited: Callable[[int], bool]) -> None:
        self._clock = clock
        self._is_awaited = is_awaited
        self._seen: frozenset[tuple[int, int]] = frozenset()

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await self._clock.sleep(SWEEP_SECONDS)
            await asyncio.to_thread(self.sweep)

    def sweep(self) -> int:
        """One look at our own children; answers how many were reaped. Reads /proc: call it in a thread."""
        children = map(read_stat, child_lister()(os.getpid()))
        zombies = {(child.pid, child.start_time): child for child in children if child and child.state == "Z"}
        adopted = [child for key, child in zombies.items() if self._is_adopted(child, key in self._seen)]
        self._seen = frozenset(zombies)
        reaped = sum(reap(child.pid) for child in adopted)
        if reaped:
            log.debug("orphans_reaped", count=reaped)
        return reaped

    def _is_adopted(self, zombie: ProcessStat, seen_before: bool) -> bool:
        if zombie.session not in (zombie.pid, os.getsid(0)):
            return True
        return seen_before and not self._is_awaited(zombie.pid)


def _prctl(option: int, argument: int) -> bool:
    try:
        return bool(_libc().prctl(option, ctypes.c_ulong(argument), 0, 0, 0) == 0)
    except (OSError, AttributeError):
        return False


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
