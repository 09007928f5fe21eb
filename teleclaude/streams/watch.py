"""Learning that a stream has changed: by inotify, or by looking, which costs something only while somebody follows."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Self

import structlog

from teleclaude.api import Tasks
from teleclaude.streams.inotify import Inotify
from teleclaude.streams.stream import Stream

log = structlog.get_logger(__name__)

COALESCE_SECONDS = 0.002
"""Changes that go on and on are told together, once in this time."""

BURST = 50
"""So many changes after a quiet time are told each at once."""

FASTEST_LOOK_SECONDS = 0.005
SLOWEST_LOOK_SECONDS = 0.25

_OWNER = "streams"


class Watch:
    """One follower's eye on a stream. Changes between two calls of ``changed`` are one change, and never missed."""

    def __init__(self, watched: _Watched) -> None:
        self._watched = watched
        self._seen = watched.version
        self._poked = False

    async def changed(self, timeout: float | None = None) -> bool:
        """Wait for a change since the last call (or since the watch began); False after ``timeout`` seconds."""
        watched = self._watched
        if not self._poked and watched.version == self._seen:
            waiter: asyncio.Future[None] = watched.loop.create_future()
            watched.waiters[waiter] = self
            timer = None if timeout is None else watched.loop.call_later(timeout, _finish, waiter)
            try:
                await waiter
            finally:
                watched.waiters.pop(waiter, None)
                if timer is not None:
                    timer.cancel()
        was_told = self._poked or watched.version != self._seen
        self._poked = False
        self._seen = watched.version
        return was_told

    def poke(self) -> None:
        """Let this watch see a change, and no other one."""
        self._poked = True
        for waiter, watch in self._watched.waiters.items():
            if watch is self:
                _finish(waiter)


class _Watched:
    """One stream that somebody follows: what all its watches share."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        self.loop = asyncio.get_running_loop()
        self.version = 0
        self.watches = 0
        self.number: int | None = None
        self.waiters: dict[asyncio.Future[None], Watch] = {}
        self._paid_until = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def notice(self) -> None:
        """Something changed: tell it, now or together with what else happens in the next moment."""
        if self._timer is not None:
            return
        wait = self._paid_until - BURST * COALESCE_SECONDS - self.loop.time()
        if wait > 0:
            self._timer = self.loop.call_later(wait, self.tell)
        else:
            self.tell()

    def tell(self) -> None:
        self.forget_timer()
        self._paid_until = max(self._paid_until, self.loop.time()) + COALESCE_SECONDS
        self.version += 1
        for waiter in self.waiters:
            _finish(waiter)

    def forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class Watcher:
    """Watches every followed stream, each once. There is one ``Stream`` object for each directory."""

    def __init__(self, tasks: Tasks, *, polling: bool = False) -> None:
        self._tasks = tasks
        self._polling = polling
        self._inotify: Inotify | None = None
        self._watched: dict[Stream, _Watched] = {}
        self._by_number: dict[int, _Watched] = {}
        self._looked_at: set[_Watched] = set()
        self._look_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        if not self._polling:
            try:
                self._inotify = Inotify(self._changed, self._overflowed)
            except OSError as error:
                log.warning("streams_are_polled", error=str(error))
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End all watching; what still waits is told once more. Does nothing the second time."""
        for watched in list(self._watched.values()):
            watched.tell()
            self._stop(watched)
        if self._look_task is not None:
            self._look_task.cancel()
            with suppress(asyncio.CancelledError):
                await self._look_task
            self._look_task = None
        if self._inotify is not None:
            self._inotify.close()
            self._inotify = None

    @property
    def watched_streams(self) -> int:
        """How many streams cost something right now."""
        return len(self._watched)

    @contextmanager
    def watch(self, stream: Stream) -> Iterator[Watch]:
        """See changes of ``stream`` while inside."""
        watched = self._watched.get(stream)
        if watched is None:
            watched = self._start(stream)
        watched.watches += 1
        try:
            yield Watch(watched)
        finally:
            watched.watches -= 1
            if not watched.watches:
                self._stop(watched)

    def _start(self, stream: Stream) -> _Watched:
        watched = self._watched[stream] = _Watched(stream)
        stream.listeners.add(watched.notice)
        if stream.told:
            return watched
        if self._inotify is not None:
            try:
                watched.number = self._inotify.add(stream.path)
                self._by_number[watched.number] = watched
            except OSError as error:
                log.warning("stream_is_polled", stream=str(stream.path), error=str(error))
        if watched.number is None:
            self._looked_at.add(watched)
            if self._look_task is None or self._look_task.done():
                self._look_task = self._tasks.spawn(self._look(), name="look at streams", owner=_OWNER)
        return watched

    def _stop(self, watched: _Watched) -> None:
        if self._watched.get(watched.stream) is not watched:
            return
        del self._watched[watched.stream]
        self._looked_at.discard(watched)
        watched.stream.listeners.discard(watched.notice)
        watched.forget_timer()
        if watched.number is not None:
            self._by_number.pop(watched.number, None)
            if self._inotify is not None:
                self._inotify.remove(watched.number)

    def _changed(self, number: int) -> None:
        watched = self._by_number.get(number)
        if watched is not None:
            watched.notice()

    def _overflowed(self) -> None:
        for watched in self._watched.values():
            watched.notice()

    async def _look(self) -> None:
        """Look often at what changes and seldom at what does not; ends when there is nothing to look at."""
        ends: dict[_Watched, int] = {}
        pause = FASTEST_LOOK_SECONDS
        while self._looked_at:
            pause = min(2 * pause, SLOWEST_LOOK_SECONDS)
            for watched in tuple(self._looked_at):
                end = watched.stream.bounds().end
                if ends.get(watched, end) != end:
                    pause = FASTEST_LOOK_SECONDS
                    watched.notice()
                ends[watched] = end
            ends = {watched: end for watched, end in ends.items() if watched in self._looked_at}
            await asyncio.sleep(pause)


def make_watcher(tasks: Tasks, *, polling: bool = False) -> Watcher:
    """A watcher by inotify where there is one, else (or with ``polling``) by looking at the streams. Enter it."""
    return Watcher(tasks, polling=polling)


def _finish(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
