"""A hub that keeps sessions in memory: enough of a core for the adapter to be spoken to over a real socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from teleclaude.api import Check, Fabric, FileContent, KeyUse, OutputExit, OutputItem, Readiness
from teleclaude.errors import (
    ConflictError,
    ExitedError,
    ForbiddenError,
    GapError,
    InvalidError,
    KeyReusedError,
    NotFoundError,
    UnauthenticatedError,
)
from teleclaude.events import Event
from teleclaude.model import Bounds, Chunk, Cursor, Principal, Running, Screen, Session, SessionSpec
from teleclaude.wire import sessions as wire
from teleclaude.wire.base import Command
from teleclaude.wire.files import FileView, GetFile, PutFile
from teleclaude.wire.output import FollowOutput, ReadOutput
from teleclaude.wire.screens import ReadScreen, RenderScreen
from teleclaude.wire.waits import WaitReply, WaitSession

MOMENT = datetime(2026, 1, 31, 9, 30, tzinfo=UTC)
MAX_CHUNK = 64 << 10
PNG = b"\x89PNG\r\n\x1a\nnothing more"


@dataclass
class MemoryStream:
    """Bytes from ``start`` on; ``pieces`` remembers chunks so that followers at one place are given one object."""

    start: int = 0
    data: bytearray = field(default_factory=bytearray)
    exit: dict[str, object] | None = None
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    pieces: dict[tuple[int, int], Chunk] = field(default_factory=dict)

    @property
    def end(self) -> int:
        return self.start + len(self.data)

    async def append(self, data: bytes) -> None:
        async with self.changed:
            self.data += data
            self.changed.notify_all()

    async def finish(self, **data: object) -> None:
        async with self.changed:
            self.exit = data
            self.changed.notify_all()

    def offset(self, asked: int | None, default: int) -> int:
        if asked is None:
            return default
        return max(self.start, self.end + asked) if asked < 0 else asked

    def read(self, offset: int, limit: int) -> Chunk:
        if offset < self.start:
            raise GapError("these bytes are gone", start=self.start)
        stop = min(self.end, offset + limit)
        if offset >= stop:
            return Chunk(min(offset, self.end), min(offset, self.end), self.end, b"")
        made = Chunk(offset, stop, self.end, bytes(self.data[offset - self.start : stop - self.start]))
        return self.pieces.setdefault((offset, stop), made)


class MemoryFollower:
    """Implements ``OutputFollower``."""

    def __init__(
        self, stream: MemoryStream, offset: int, items: list[OutputItem], failure: Exception | None = None
    ) -> None:
        self._stream = stream
        self._items = items
        self._failure = failure
        self.offset = offset

    async def next(self, timeout: float | None = None) -> OutputItem | None:
        if self._failure is not None:
            raise self._failure
        try:
            async with asyncio.timeout(timeout), self._stream.changed:
                await self._stream.changed.wait_for(self._ready)
        except TimeoutError:
            return None
        if self._items:
            return self._items.pop(0)
        if self.offset < self._stream.end:
            chunk = self._stream.read(self.offset, MAX_CHUNK)
            self.offset = chunk.end
            return chunk
        assert self._stream.exit is not None
        return OutputExit(self._stream.exit)

    def _ready(self) -> bool:
        return bool(self._items) or self.offset < self._stream.end or self._stream.exit is not None


@dataclass
class MemoryGrant:
    """Implements ``Grant``; ``end`` ends it."""

    principal: Principal
    callbacks: list[Callable[[], None]] = field(default_factory=list)

    def on_end(self, callback: Callable[[], None]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)

    def end(self) -> None:
        for callback in list(self.callbacks):
            callback()


@dataclass
class MemoryHub:
    """Implements ``Hub``. ``failures`` raise in place of a command, ``follow_failure`` in place of an item;
    ``extra_items`` come first in every follow.
    """

    max_sessions: int = 10
    failures: dict[type, Exception] = field(default_factory=dict)
    extra_items: list[OutputItem] = field(default_factory=list)
    sessions: dict[str, Session] = field(default_factory=dict)
    streams: dict[str, MemoryStream] = field(default_factory=dict)
    calls: list[Command[Any]] = field(default_factory=list)
    typed: bytearray = field(default_factory=bytearray)
    principals: list[Principal] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    happened: asyncio.Condition = field(default_factory=asyncio.Condition)
    follow_failure: Exception | None = None
    followers: int = 0
    waiting: int = 0
    checks: dict[str, Check] = field(default_factory=lambda: {"tmux": Check(True, "answers")})
    grants: dict[str, MemoryGrant] = field(default_factory=dict)
    _replies: dict[tuple[str, str], tuple[Command[Any], Any]] = field(default_factory=dict)

    def attach_fabric(self, fabric: Fabric) -> Callable[[], None]:
        raise NotImplementedError

    def note_refused(self, name: str, operation: str, result: str) -> None:
        raise NotImplementedError

    def authenticate(self, token: str) -> MemoryGrant:
        if token not in self.grants:
            raise UnauthenticatedError("unknown token")
        return self.grants[token]

    async def call(
        self, principal: Principal, command: Command[Any], *, key: str | None = None, use: KeyUse = KeyUse.LASTING
    ) -> Any:
        self.principals.append(principal)
        if principal.role < command.role:
            raise ForbiddenError(f"a {principal.role.label} may not do this", operation=command.operation)
        if type(command) in self.failures:
            raise self.failures[type(command)]
        if key is not None and (principal.name, key) in self._replies:
            first, reply = self._replies[principal.name, key]
            if first != command:
                raise KeyReusedError("the key came with another body", operation=command.operation)
            return reply
        self.calls.append(command)
        handler: Callable[[Any], Any] = getattr(self, f"_{command.operation.replace('.', '_')}")
        reply = await handler(command)
        if key is not None:
            self._replies[principal.name, key] = (command, reply)
        return reply

    async def put_file(self, principal: Principal, request: PutFile, body: AsyncIterator[bytes]) -> FileView:
        raise NotFoundError("there are no files here", operation=request.operation)

    @asynccontextmanager
    async def open_file(self, principal: Principal, request: GetFile) -> AsyncIterator[FileContent]:
        raise NotFoundError("there are no files here", operation=request.operation)
        yield

    @asynccontextmanager
    async def follow_output(self, principal: Principal, request: Command[Any]) -> AsyncIterator[MemoryFollower]:
        assert isinstance(request, FollowOutput)
        self.calls.append(request)
        stream = self.streams[self._find(request.id).id]
        offset = stream.offset(request.from_, stream.end)
        if offset < stream.start:
            raise GapError("these bytes are gone", start=stream.start, operation=request.operation)
        self.followers += 1
        try:
            yield MemoryFollower(stream, offset, list(self.extra_items), self.follow_failure)
        finally:
            self.followers -= 1

    @asynccontextmanager
    async def follow_events(
        self,
        principal: Principal,
        after: int | None = None,
        sessions: frozenset[str] | None = None,
        *,
        computer: str | None = None,
    ) -> AsyncIterator[AsyncIterator[Event]]:
        async def run(seen: int) -> AsyncIterator[Event]:
            while True:
                async with self.happened:
                    while len(self.events) <= seen:
                        await self.happened.wait()
                yield self.events[seen]
                seen += 1

        self.followers += 1
        iterator = run(len(self.events) if after is None else after)
        try:
            yield iterator
        finally:
            self.followers -= 1

    async def happen(self, type_: str, session_id: str | None = None, **data: object) -> None:
        async with self.happened:
            self.events.append(Event(len(self.events) + 1, MOMENT, type_, session_id, None, data))
            self.happened.notify_all()

    async def readiness(self) -> Readiness:
        return Readiness(self.checks)

    def admit(self, principal: Principal, operation: str, *, whole: bool = False) -> None:
        pass

    def metrics(self) -> bytes:
        return b"# TYPE teleclaude_up gauge\nteleclaude_up 1\n"

    def uptime_ms(self) -> int:
        return int(time.monotonic() * 1000)

    def _find(self, reference: str) -> Session:
        for session in self.sessions.values():
            if reference in (session.id, session.name, f"desk/{session.name}"):
                return session
        raise NotFoundError(f"there is no session {reference[:80]}")

    def _view(self, session: Session) -> wire.SessionView:
        stream = self.streams[session.id]
        return wire.SessionView.of(
            session, bounds=Bounds(stream.start, stream.end), last_activity_at="2026-01-31T09:30:00.000Z"
        )

    async def _session_create(self, command: wire.CreateSession) -> wire.SessionView:
        number = len(self.sessions) + 1
        name = command.name or f"session-{number}"
        if any(session.name == name for session in self.sessions.values()):
            raise ConflictError(f"{name} exists", operation=command.operation)
        words = tuple(command.command) if isinstance(command.command, list) else command.command
        spec = SessionSpec(words, command.cwd or "/", command.env, command.cols or 120, command.rows or 40)
        session = Session(
            f"S{number}", name, command.kind, "desk", spec, Running(None), MOMENT, "local", tuple(command.tags)
        )
        self.sessions[session.id] = session
        self.streams[session.id] = MemoryStream()
        return self._view(session)

    async def _session_adopt(self, command: wire.AdoptSession) -> wire.SessionView:
        return await self._session_create(wire.CreateSession(name=command.name or "adopted"))

    async def _session_list(self, command: wire.ListSessions) -> wire.SessionList:
        found = [s for s in self.sessions.values() if command.kind in (None, s.kind)]
        return wire.SessionList(sessions=[self._view(session) for session in found])

    async def _session_get(self, command: wire.GetSession) -> wire.SessionView:
        return self._view(self._find(command.id))

    async def _session_update(self, command: wire.UpdateSession) -> wire.SessionView:
        return self._view(self._find(command.id))

    async def _session_close(self, command: wire.CloseSession) -> wire.SessionView:
        return self._view(self._find(command.id))

    async def _session_input(self, command: wire.SendInput) -> wire.InputReply:
        stream = self.streams[self._find(command.id).id]
        offset = stream.end
        await stream.append(command.text.encode())
        return wire.InputReply(offset=offset)

    async def _session_keys(self, command: wire.SendKeys) -> wire.OffsetReply:
        return wire.OffsetReply(offset=self.streams[self._find(command.id).id].end)

    async def _session_tty(self, command: wire.SendBytes) -> wire.OffsetReply:
        stream = self.streams[self._find(command.id).id]
        if stream.exit is not None:
            raise ExitedError("it has ended", operation=command.operation)
        self.typed += command.data
        await stream.append(command.data)
        return wire.OffsetReply(offset=stream.end)

    async def _session_resize(self, command: wire.ResizeSession) -> wire.SessionView:
        return self._view(self._find(command.id))

    async def _session_screen(self, command: ReadScreen) -> Screen:
        end = self.streams[self._find(command.id).id].end
        return Screen(8, 2, Cursor(1, 0, True), False, "t", ("$ ls", "é"), ("\x1b[1m$\x1b[0m ls", "é"), end, True)

    async def _session_screen_png(self, command: RenderScreen) -> bytes:
        self._find(command.id)
        return PNG

    async def _output_read(self, command: ReadOutput) -> Chunk:
        stream = self.streams[self._find(command.id).id]
        offset = stream.offset(command.from_, stream.start)
        if command.wait_ms and offset >= stream.end:
            self.waiting += 1
            try:
                async with asyncio.timeout(command.wait_ms / 1000), stream.changed:
                    await stream.changed.wait_for(lambda: stream.end > offset)
            except TimeoutError:
                pass
            finally:
                self.waiting -= 1
        return stream.read(offset, command.limit)

    async def _session_wait(self, command: WaitSession) -> WaitReply:
        stream = self.streams[self._find(command.id).id]
        try:
            async with asyncio.timeout(command.timeout_ms / 1000), stream.changed:
                await stream.changed.wait_for(lambda: stream.exit is not None)
        except TimeoutError:
            return WaitReply(outcome="timeout", offset=stream.end)
        return WaitReply(outcome="exited", offset=stream.end)

    async def _session_signal(self, command: wire.SignalSession) -> wire.SessionView:
        if command.signal == "NOPE":
            raise InvalidError("no such signal", operation=command.operation)
        return self._view(self._find(command.id))

    async def _session_restart(self, command: wire.RestartSession) -> wire.SessionView:
        return self._view(self._find(command.id))
