"""Whether a stream is being recorded, and by whom."""

from __future__ import annotations

import asyncio

from teleclaude.streams.ledger import Ledger
from teleclaude.streams.recorder import RecorderProcess, end_of, is_alive, read_claim, this_boot

_POLL_SECONDS = 0.005


class Presence:
    """Answers about the newest generation's recorder; see the methods of ``Stream`` of like names."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger

    def process(self) -> RecorderProcess | None:
        """The newest recorder that was started, alive or not; None when nothing is written down about it."""
        for number in self._numbers():
            claim = read_claim(self._ledger.files.pid_file(number))
            if claim is not None and claim.process is not None:
                return claim.process if self._ledger.records[number].boot == this_boot() else None
        return None

    def alive(self) -> bool | None:
        """Whether the newest generation is being recorded; None when that is not known (it may just be starting)."""
        number = next(iter(self._numbers()), None)
        if number is None or self._ledger.records[number].boot != this_boot():
            return False
        claim = read_claim(self._ledger.files.pid_file(number))
        if claim is None:
            return None
        if claim.barred:
            return False
        return None if claim.process is None else is_alive(claim.process)

    def claimed(self) -> bool:
        """Whether the newest generation's recorder can still be found; False for files that somebody took away."""
        number = next(iter(self._numbers()), None)
        return number is not None and self._ledger.files.pid_file(number).exists()

    async def started(self, timeout: float) -> RecorderProcess | None:
        """The newest generation's recorder, once it has written down who it is; None after ``timeout`` seconds."""
        number = next(iter(self._numbers()), None)
        if number is None:
            return None
        deadline = asyncio.get_running_loop().time() + timeout
        while True:
            claim = read_claim(self._ledger.files.pid_file(number))
            if claim is not None and (claim.process is not None or claim.barred):
                return claim.process
            if asyncio.get_running_loop().time() >= deadline:
                return None
            await asyncio.sleep(_POLL_SECONDS)

    async def ended(self, timeout: float) -> bool:
        """Wait until the newest generation's recorder has ended; False after ``timeout`` seconds.

        One that has not started yet has not ended either.
        """
        if self.alive() is False:
            return True
        deadline = asyncio.get_running_loop().time() + timeout
        process = await self.started(timeout)
        if process is None:
            return self.alive() is False
        return await end_of(process, max(0.0, deadline - asyncio.get_running_loop().time()))

    def _numbers(self) -> list[int]:
        """Generations that may be recorded now, the newest first."""
        based = [generation.number for generation in self._ledger.generations[-1:]]
        return [*reversed(self._ledger.waiting), *based]
