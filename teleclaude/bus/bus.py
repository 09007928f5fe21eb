"""Tells followers that there is more. The stored log is the truth: nobody has a queue, so nobody can overflow one."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from teleclaude.errors import GapError
from teleclaude.events import Event

RING_EVENTS = 1024
PAGE_EVENTS = 256


@dataclass(frozen=True, slots=True)
class EventPage:
    """Events in order, having looked up to ``end``. ``oldest`` is the number of the oldest event still kept."""

    events: Sequence[Event]
    end: int
    oldest: int


class EventSource(Protocol):
    """The stored log, committed events only."""

    async def latest(self) -> int:
        """The number of the newest event there ever was; 0 before the first."""
        ...

    async def page(self, after: int, limit: int, sessions: frozenset[str] | None) -> EventPage:
        """Up to ``limit`` events above ``after``; with ``sessions`` only of those."""
        ...


class Bus:
    """Knows the newest event, keeps some in memory, and wakes who waits. ``start`` it before use."""

    def __init__(self, source: EventSource) -> None:
        self._source = source
        self._latest = 0
        self._ring: deque[Event] = deque(maxlen=RING_EVENTS)
        self._changed = asyncio.Event()
        self._subscribers = 0

    async def start(self) -> None:
        """Learn how far the log goes."""
        self._latest = max(self._latest, await self._source.latest())

    @property
    def latest(self) -> int:
        return self._latest

    @property
    def subscribers(self) -> int:
        return self._subscribers

    def publish(self, events: Sequence[Event]) -> None:
        """Announce events that are committed. Calls may come out of order: each number means that all lower ones are
        in the log too."""
        for event in events:
            if event.seq <= self._latest:
                continue
            if event.seq != self._latest + 1:
                self._ring.clear()
            self._ring.append(event)
            self._latest = event.seq
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def subscribe(self, after: int | None = None, sessions: frozenset[str] | None = None) -> Subscription:
        """Follow events above ``after``: None is from now on, 0 from the oldest kept; see ``Subscription``."""
        return Subscription(self, after, sessions)

    async def page(self, after: int, sessions: frozenset[str] | None) -> EventPage:
        """The next events above ``after``, from memory if they are there."""
        if self._ring and self._ring[0].seq <= after + 1:
            first = max(after + 1 - self._ring[0].seq, 0)
            found = [self._ring[index] for index in range(first, min(first + PAGE_EVENTS, len(self._ring)))]
            end = found[-1].seq if found else after
            wanted = [event for event in found if sessions is None or event.session_id in sessions]
            return EventPage(events=wanted, end=end, oldest=0)
        return await self._source.page(after, PAGE_EVENTS, sessions)

    async def wait_beyond(self, seq: int) -> None:
        """Return once there is an event above ``seq``."""
        while self._latest <= seq:
            await self._changed.wait()

    def _enter(self) -> None:
        self._subscribers += 1

    def _leave(self) -> None:
        self._subscribers -= 1


class Subscription:
    """A cursor in the log: enter it, then iterate; it ends only by being left.

    Raises ``GapError``, on entering and while iterating, when events it should give next are no longer kept. A number
    above the newest, from a log that was lost, counts as from now on.
    """

    def __init__(self, bus: Bus, after: int | None, sessions: frozenset[str] | None) -> None:
        self._bus = bus
        self._after = after
        self._sessions = sessions
        self._cursor = 0
        self._page: deque[Event] = deque()
        self._open = False

    async def __aenter__(self) -> Self:
        latest = self._bus.latest
        self._cursor = latest if self._after is None else min(self._after, latest)
        if self._after is not None and self._cursor < latest:
            await self._read()
        self._open = True
        self._bus._enter()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._open:
            self._open = False
            self._bus._leave()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while self._open:
            if self._page:
                return self._page.popleft()
            await self._bus.wait_beyond(self._cursor)
            await self._read()
        raise StopAsyncIteration

    async def _read(self) -> None:
        page = await self._bus.page(self._cursor, self._sessions)
        if 0 < self._cursor < page.oldest - 1:
            raise GapError(
                f"events up to {page.oldest - 1} are no longer kept; go on from {page.oldest}, and list what you"
                " followed to see its state now",
                start=page.oldest,
                operation="events.follow",
            )
        # Cursor and page move together, with no await between: a cancelled reader loses nothing.
        self._cursor = page.end
        self._page.extend(page.events)
