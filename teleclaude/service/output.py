"""Reading and following output: a stream's bytes together with the session's own news, on one cursor."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputItem, OutputState, OutputText
from teleclaude.clock import timestamp
from teleclaude.errors import InvalidError
from teleclaude.model import Chunk, Exited, Gap, HandedOff, Lost, Principal, Session
from teleclaude.service.lookup import Found, Lookup
from teleclaude.streams import Ended, Follower, Mode, StreamStore, TextDecoder, decode_page
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import FollowOutput, ReadOutput


class Outputs:
    def __init__(self, lookup: Lookup, streams: StreamStore) -> None:
        self._lookup = lookup
        self._streams = streams

    async def read(self, principal: Principal, command: ReadOutput) -> Chunk:
        """A bounded read; with ``wait_ms`` and nothing there yet, wait for the first new bytes."""
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        stream = found.stream
        bounds = stream.bounds()
        start = bounds.start if command.from_ is None else from_offset(command.from_, bounds.start, bounds.end)
        chunk = await stream.read(start, command.limit)
        if not chunk.data and command.wait_ms and start >= chunk.stream_end and not found.ended:
            await self._wait_for_bytes(found, start, command.wait_ms / 1000)
            chunk = await stream.read(start, command.limit)
        if command.format == "text":
            return _as_text(chunk)
        return chunk

    async def _wait_for_bytes(self, found: Found, start: int, seconds: float) -> None:
        async with self._follower(found, start, mode="lossless") as follower:
            await follower.next(seconds)

    @asynccontextmanager
    async def follow(self, principal: Principal, request: Command[Any]) -> AsyncIterator[OutputFollower]:
        if not isinstance(request, FollowOutput):
            raise InvalidError(f"{request.operation} does not follow a stream", operation=request.operation)
        found = await self._lookup.find(principal, request.id, operation=request.operation)
        bounds = found.stream.bounds()
        start = bounds.end if request.from_ is None else from_offset(request.from_, bounds.start, bounds.end)
        async with self._follower(found, start, mode=request.mode) as follower:
            yield _TextFollower(follower) if request.format == "text" else follower

    @asynccontextmanager
    async def _follower(self, found: Found, start: int, *, mode: Mode) -> AsyncIterator[SessionFollower]:
        async with self._streams.follow(found.stream, start, mode=mode) as stream:
            follower = SessionFollower(found, stream)
            try:
                yield follower
            finally:
                follower.close()


class SessionFollower:
    """Implements ``OutputFollower``: what the stream brings, then state changes, and the exit last of all."""

    def __init__(self, found: Found, stream: Follower) -> None:
        self._found = found
        self._stream = stream
        self._state = found.session.state.name
        self._over = False
        if found.live is None:
            stream.finish(found.stream.bounds().end)
        else:
            found.live.listeners.add(self._told)
            self._told()

    @property
    def offset(self) -> int:
        return self._stream.offset

    def close(self) -> None:
        if self._found.live is not None:
            self._found.live.listeners.discard(self._told)

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
                return _last_item(self._session)
            if item is not None:
                return item
            if self._changed_state(peek=True) is None and deadline is not None and loop.time() >= deadline:
                return None

    @property
    def _session(self) -> Session:
        live = self._found.live
        return live.session if live is not None else self._found.session

    def _changed_state(self, *, peek: bool = False) -> OutputState | None:
        state = self._session.state
        if state.name == self._state or isinstance(state, Exited | Lost | HandedOff):
            return None
        if not peek:
            self._state = state.name
        return OutputState(state.name)

    def _told(self) -> None:
        live = self._found.live
        if live is not None and live.ended.is_set():
            self._stream.finish(live.stream.bounds().end)
        else:
            self._stream.wake()


class _TextFollower:
    """The same items with bytes turned into text."""

    def __init__(self, inner: SessionFollower) -> None:
        self._inner = inner
        self._decoder = TextDecoder()

    @property
    def offset(self) -> int:
        return self._inner.offset

    async def next(self, timeout: float | None = None) -> OutputItem | None:
        item = await self._inner.next(timeout)
        if isinstance(item, Gap):
            self._decoder = TextDecoder()
        if isinstance(item, Chunk):
            return OutputText(item.start, item.end, self._decoder.feed(item.data))
        return item


def from_offset(asked: int, start: int, end: int) -> int:
    """``-N`` is the last N bytes, or all of them when there are fewer; other offsets stand for themselves."""
    return asked if asked >= 0 else max(start, end + asked)


def _as_text(chunk: Chunk) -> Chunk:
    text, taken = decode_page(chunk.data)
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
