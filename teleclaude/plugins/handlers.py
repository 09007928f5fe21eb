"""Event handlers: functions of other packages that hear of everything that happens and can change none of it.

An entry point of group ``teleclaude.event_handlers`` names a function that takes one ``teleclaude.events.Event``. Each
has a thread and a bounded queue of its own, so a slow one misses events (counted) and delays nobody, and what one
raises is logged and ends there.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Self

import structlog

from teleclaude.api import Check, TaskPolicy
from teleclaude.bus import Bus
from teleclaude.errors import GapError
from teleclaude.events import Event
from teleclaude.tasks import TaskRegistry

log = structlog.get_logger(__name__)

GROUP = "teleclaude.event_handlers"
OWNER = "event-handlers"
MAX_QUEUED = 1000
STOP_SECONDS = 1.0

Handle = Callable[[Event], object]


class HandlerThread:
    """One handler at work. ``dropped`` counts the events it was too slow for, ``failed`` those it raised at."""

    def __init__(self, name: str, handle: Handle) -> None:
        self.name = name
        self.dropped = 0
        self.failed = 0
        self._handle = handle
        self._queue: queue.Queue[Event | None] = queue.Queue(MAX_QUEUED)
        self._thread = threading.Thread(target=self._run, name=f"handler-{name}", daemon=True)
        self._thread.start()

    def offer(self, event: Event) -> None:
        """Never waits."""
        try:
            self._queue.put_nowait(event)
        except queue.Full:
            if not self.dropped:
                log.warning("event_handler_falls_behind", handler=self.name, queued=MAX_QUEUED)
            self.dropped += 1

    def stop(self) -> None:
        """Ask it to end; what waits is dropped, and a handler that hangs ends with the process."""
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        self._queue.put_nowait(None)

    def join(self) -> bool:
        """Whether it ended in time. Blocks."""
        self._thread.join(STOP_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (event := self._queue.get()) is not None:
            try:
                self._handle(event)
            except BaseException:
                # Code of others: whatever it raises is its own affair, and the next event may suit it better.
                self.failed += 1
                log.exception("event_handler_failed", handler=self.name, type=event.type, seq=event.seq)


class EventHandlers:
    """An async context manager: inside, every handler hears of every new event."""

    def __init__(self, handlers: Mapping[str, Handle], *, bus: Bus, tasks: TaskRegistry) -> None:
        self._handlers = dict(handlers)
        self._bus = bus
        self._tasks = tasks
        self.threads: tuple[HandlerThread, ...] = ()

    async def __aenter__(self) -> Self:
        self.threads = tuple(HandlerThread(name, handle) for name, handle in self._handlers.items())
        if self.threads:
            after = self._bus.latest
            self._tasks.spawn(lambda: self._feed(after), name="feed", owner=OWNER, policy=TaskPolicy.RESTART)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._tasks.cancel_owner(OWNER, STOP_SECONDS)
        for thread in self.threads:
            thread.stop()

    def checks(self) -> dict[str, Check]:
        """One line of readiness for each handler; a slow or failing one does not make the daemon unready."""
        return {
            f"handler {thread.name}": Check(ok=True, detail=f"{thread.dropped} dropped, {thread.failed} failed")
            for thread in self.threads
        }

    async def _feed(self, after: int) -> None:
        while True:
            try:
                async with self._bus.subscribe(after=after) as events:
                    async for event in events:
                        after = event.seq
                        for thread in self.threads:
                            thread.offer(event)
            except GapError as gap:
                for thread in self.threads:
                    thread.dropped += gap.start - after - 1
                after = gap.start - 1


def load_handlers(found: Iterable[EntryPoint] | None = None) -> dict[str, Handle]:
    """The installed handlers by name; one that cannot be loaded is logged and left out."""
    loaded: dict[str, Handle] = {}
    for point in entry_points(group=GROUP) if found is None else found:
        try:
            loaded[point.name] = point.load()
        except Exception:
            # Code of others may fail in any way; the daemon goes on without it.
            log.exception("event_handler_not_loaded", handler=point.name)
    return loaded
