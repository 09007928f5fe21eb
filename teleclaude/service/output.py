"""Reading and following output: a stream's bytes together with the session's own news, on one cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputItem, OutputState
from teleclaude.clock import Clock, timestamp
from teleclaude.errors import InvalidError
from teleclaude.model import Chunk, Exited, HandedOff, Lost, Principal, Session
from teleclaude.service.lookup import Found, Lookup
from teleclaude.service.texts import SharedTexts, TextFollower
from teleclaude.streams import PTY, Ended, Follower, Mode, Stream, StreamStore, TextDecoder
from teleclaude.wire.base import Command
from teleclaude.wire.output import FollowOutput, ReadOutput

STDOUT = "stdout"

REACH_BYTES = 64 << 10
"""An escape sequence longer than this is no longer waited for to end."""


class Source(Protocol):
    """A stream together with the news of whoever writes it: a session, or an execution."""

    @property
    def stream(self) -> Stream: ...

    @property
    def ended(self) -> bool:
        """Whether the last byte is written."""
        ...

    @property
    def state(self) -> str | None:
        """Its state now; None for one that is not to be told."""
        ...

    def last_item(self) -> OutputItem:
        """What to say at the very end."""
        ...

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call back when its state changes; answers how to stop that."""
        ...


class Sources(Protocol):
    """Where streams come from that are not a session's."""

    def owns(self, reference: str) -> bool:
        """Whether the reference is one of theirs by its form."""
        ...

    async def source(self, principal: Principal, reference: str, stream: str, *, operation: str) -> Source:
        """Raises ``NotFoundError``."""
        ...


class Outputs:
    def __init__(self, lookup: Lookup, streams: StreamStore, others: Sources, clock: Clock) -> None:
        self._lookup = lookup
        self._streams = streams
        self._others = others
        self._clock = clock
        self._texts = SharedTexts()

    async def read(self, principal: Principal, command: ReadOutput) -> Chunk:
        """A bounded read; with ``wait_ms`` and nothing there yet, wait for the first new bytes."""
        source = await self._source(principal, command.id, command.stream, command.operation)
        bounds = source.stream.bounds()
        start = bounds.start if command.from_ is None else from_offset(command.from_, bounds.start, bounds.end)
        deadline = self._clock.monotonic() + command.wait_ms / 1000
        while True:
            page = await _page(source, start, command)
            nothing = page.chunk.end <= start and start + page.pending >= page.chunk.stream_end
            left = deadline - self._clock.monotonic()
            if not nothing or source.ended or left <= 0:
                return page.chunk
            await self._wait_for_bytes(source, start + page.pending, left)

    async def _source(self, principal: Principal, reference: str, stream: str | None, operation: str) -> Source:
        if self._others.owns(reference):
            name = stream or STDOUT
            if name == PTY:
                raise InvalidError("an execution has stdout and stderr", operation=operation)
            return await self._others.source(principal, reference, name, operation=operation)
        if stream not in (None, PTY):
            raise InvalidError(f"a session has no stream {stream}; leave it out", operation=operation)
        return _SessionSource(await self._lookup.find(principal, reference, operation=operation))

    async def _wait_for_bytes(self, source: Source, start: int, seconds: float) -> None:
        deadline = self._clock.monotonic() + seconds
        async with self._follower(source, start, mode="lossless") as follower:
            while (left := deadline - self._clock.monotonic()) > 0:
                if isinstance(await follower.next(left), Chunk | OutputExit | OutputHandedOff):
                    return

    @asynccontextmanager
    async def follow(self, principal: Principal, request: Command[Any]) -> AsyncIterator[OutputFollower]:
        if not isinstance(request, FollowOutput):
            raise InvalidError(f"{request.operation} does not follow a stream", operation=request.operation)
        source = await self._source(principal, request.id, request.stream, request.operation)
        bounds = source.stream.bounds()
        start = bounds.end if request.from_ is None else from_offset(request.from_, bounds.start, bounds.end)
        async with self._follower(source, start, mode=request.mode) as follower:
            yield TextFollower(follower, self._texts) if request.format == "text" else follower

    @asynccontextmanager
    async def _follower(self, source: Source, start: int, *, mode: Mode) -> AsyncIterator[SourceFollower]:
        async with self._streams.follow(source.stream, start, mode=mode) as stream:
            follower = SourceFollower(source, stream)
            try:
                yield follower
            finally:
                follower.close()


class SourceFollower:
    """Implements ``OutputFollower``: what the stream brings, then state changes, and the exit last of all."""

    def __init__(self, source: Source, stream: Follower) -> None:
        self._source = source
        self._stream = stream
        self._state = source.state
        self._over = False
        self._unlisten = source.listen(self._told)
        self._told()

    @property
    def offset(self) -> int:
        return self._stream.offset

    def close(self) -> None:
        self._unlisten()

    async def next(self, timeout: float | None = None) -> OutputItem | None:
        if self._over:
            return None
        loop = asyncio.get_running_loop()
        deadline = None if timeout is None else loop.time() + timeout
        while True:
            changed = self._changed_state()
            if changed is not None:
                return changed
            left = None if deadline is None else max(0.0, deadline - loop.time())
            item = await self._stream.next(left)
            if isinstance(item, Ended):
                self._over = True
                return self._source.last_item()
            if item is not None:
                return item
            if self._changed_state(peek=True) is None and deadline is not None and loop.time() >= deadline:
                return None

    def _changed_state(self, *, peek: bool = False) -> OutputState | None:
        state = self._source.state
        if state is None or state == self._state:
            return None
        if not peek:
            self._state = state
        return OutputState(state)

    def _told(self) -> None:
        if self._source.ended:
            self._stream.finish(self._source.stream.bounds().end)
        else:
            self._stream.wake()


class _SessionSource:
    """Implements ``Source`` for a terminal."""

    def __init__(self, found: Found) -> None:
        self._found = found

    @property
    def stream(self) -> Stream:
        return self._found.stream

    @property
    def ended(self) -> bool:
        return self._found.ended

    @property
    def state(self) -> str | None:
        state = self._session.state
        return None if isinstance(state, Exited | Lost | HandedOff) else state.name

    def last_item(self) -> OutputItem:
        return _last_item(self._session)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        live = self._found.live
        if live is None:
            return lambda: None
        live.listeners.add(listener)
        return lambda: live.listeners.discard(listener)

    @property
    def _session(self) -> Session:
        live = self._found.live
        return live.session if live is not None else self._found.session


def from_offset(asked: int, start: int, end: int) -> int:
    """``-N`` is the last N bytes, or all of them when there are fewer; other offsets stand for themselves."""
    return asked if asked >= 0 else max(start, end + asked)


@dataclass(frozen=True, slots=True)
class _Page:
    """``pending`` bytes behind the chunk are the beginning of a character or an escape sequence."""

    chunk: Chunk
    pending: int = 0


async def _page(source: Source, start: int, command: ReadOutput) -> _Page:
    """One read. A text that would be empty because ``limit`` cuts its first character or escape sequence reads on to
    the end of that, ``REACH_BYTES`` at most; only what is cut for good, by the end of the stream or as no sequence is
    that long, is given as a decoder would show it at the end.
    """
    if command.format == "raw":
        return _Page(await source.stream.read(start, command.limit))
    limit, ended = command.limit, source.ended
    while True:
        chunk = await source.stream.read(start, limit)
        decoder = TextDecoder()
        text = decoder.feed(chunk.data)
        taken = len(chunk.data) - decoder.pending
        if taken or not chunk.data:
            return _Page(_text_chunk(chunk, text, taken))
        whole = len(chunk.data) < limit
        if len(chunk.data) >= REACH_BYTES or (whole and (ended or chunk.end < chunk.stream_end)):
            return _Page(_text_chunk(chunk, text + decoder.finish(), len(chunk.data)))
        if whole:
            return _Page(_text_chunk(chunk, "", 0), pending=len(chunk.data))
        limit *= 2


def _text_chunk(chunk: Chunk, text: str, taken: int) -> Chunk:
    return Chunk(start=chunk.start, end=chunk.start + taken, stream_end=chunk.stream_end, data=text.encode())


def _last_item(session: Session) -> OutputItem:
    state = session.state
    if isinstance(state, HandedOff):
        return OutputHandedOff(computer=state.computer, session_id=state.session_id, epoch=state.epoch)
    exit_ = session.exit
    data: dict[str, object] = {"state": state.name}
    if exit_ is not None:
        at = timestamp(exit_.at) if exit_.at else None
        data |= {"code": exit_.code, "signal": exit_.signal, "at": at, "reason": exit_.reason}
    return OutputExit(data)
