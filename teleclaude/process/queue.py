"""Slots for concurrent executions, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Self

from teleclaude.errors import LimitError

MAX_WAITING = 1000


class SlotQueue:
    """At most ``max_concurrent`` slots are granted at a time; who does not get one waits in order."""

    def __init__(self, max_concurrent: int, max_waiting: int = MAX_WAITING) -> None:
        if max_concurrent < 1:
            raise ValueError("max_concurrent must be at least 1")
        self._free = max_concurrent
        self._max_concurrent = max_concurrent
        self._max_waiting = max_waiting
        self._waiting: deque[Slot] = deque()

    def reserve(self, *, queue: bool = True) -> Slot:
        """Take a slot or a place in the queue, without awaiting, so that nobody comes between.

        Raises ``LimitError`` when no slot is free and ``queue`` is False, or the queue is full.
        """
        slot = Slot(self)
        if self._free > 0 and not self._waiting:
            self._free -= 1
            slot.grant()
            return slot
        if not queue:
            raise LimitError(
                f"all {self._max_concurrent} execution slots are taken; try again when one has ended, or let it queue",
                operation="execution.start",
            )
        if len(self._waiting) >= self._max_waiting:
            raise LimitError(
                f"{self._max_waiting} executions are waiting already; try again later", operation="execution.start"
            )
        self._waiting.append(slot)
        return slot

    def resize(self, max_concurrent: int) -> None:
        """Grant more, or let the next ones wait until fewer run; whoever has a slot keeps it."""
        self._free += max_concurrent - self._max_concurrent
        self._max_concurrent = max_concurrent
        while self._free > 0 and self._waiting:
            self._free -= 1
            self._waiting.popleft().grant()

    @property
    def running(self) -> int:
        return self._max_concurrent - self._free

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def give_back(self, slot: Slot) -> None:
        """Called by a slot, once."""
        if not slot.is_granted:
            self._waiting.remove(slot)
        elif self._waiting and self._free >= 0:
            self._waiting.popleft().grant()
        else:
            self._free += 1


class Slot:
    """One place among the running or the waiting. A context manager: leaving it gives the place back."""

    def __init__(self, queue: SlotQueue) -> None:
        self._queue = queue
        self._decided = asyncio.Event()
        self._granted = False
        self._released = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.release()

    @property
    def is_granted(self) -> bool:
        return self._granted

    @property
    def is_released(self) -> bool:
        return self._released

    def grant(self) -> None:
        """Called by the queue."""
        self._granted = True
        self._decided.set()

    async def wait(self) -> bool:
        """Wait for one's turn; False when the slot was released before it came, or before this could answer."""
        await self._decided.wait()
        return self._granted and not self._released

    def release(self) -> None:
        """Give the slot to the next one, or leave the queue. Does nothing the second time."""
        if not self._released:
            self._released = True
            self._decided.set()
            self._queue.give_back(self)
