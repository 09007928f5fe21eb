"""The ports between the core and everything outside it. The docstrings are the contract.

An adapter is called through ``Adapter`` and calls back through ``Hub``; it sees nothing else of the core.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, TypeVar

from teleclaude.clock import Clock
from teleclaude.events import Event
from teleclaude.model import Chunk, Gap, Principal
from teleclaude.wire.base import Command
from teleclaude.wire.files import FileView, GetFile, PutFile

R = TypeVar("R")


class TaskPolicy(StrEnum):
    """What happens when a task fails: the daemon stops, the task starts again with back-off, or the log says so."""

    FATAL = "fatal"
    RESTART = "restart"
    REPORT = "report"


class Tasks(Protocol):
    """The only door to a new task."""

    def spawn(
        self,
        work: Coroutine[Any, Any, None] | Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        owner: str,
        policy: TaskPolicy = TaskPolicy.REPORT,
    ) -> asyncio.Task[None]:
        """Start ``work``. ``RESTART`` needs a factory, since a coroutine runs only once."""
        ...

    async def cancel_owner(self, owner: str, timeout: float) -> list[str]:
        """Cancel all tasks of ``owner`` and wait ``timeout`` seconds; answers the names of those that did not end."""
        ...


@dataclass(frozen=True, slots=True)
class Check:
    """One line of readiness. ``ok`` False says that the part does not serve; ``detail`` says what is known."""

    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    checks: Mapping[str, Check]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks.values())


@dataclass(frozen=True, slots=True)
class OutputText:
    """A piece of ``format=text``: the decoded text of bytes ``[start, end)``."""

    start: int
    end: int
    text: str


@dataclass(frozen=True, slots=True)
class OutputState:
    """The followed session changed its state."""

    state: str


@dataclass(frozen=True, slots=True)
class OutputExit:
    """The last item of a followed session or execution, sent after all of its output."""

    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class OutputHandedOff:
    """The session lives on elsewhere; offsets continue there."""

    computer: str
    session_id: str
    epoch: int


OutputItem = Chunk | OutputText | Gap | OutputState | OutputExit | OutputHandedOff


class OutputFollower(Protocol):
    """A cursor on one stream. It reads at its caller's pace; a caller that stops asking costs nothing."""

    @property
    def offset(self) -> int:
        """Where the next byte will come from."""
        ...

    async def next(self, timeout: float | None = None) -> OutputItem | None:
        """The next item; None after ``timeout`` seconds without one. After ``OutputExit`` there is nothing more."""
        ...


class Grant(Protocol):
    """What a token stands for, as long as it holds."""

    @property
    def principal(self) -> Principal: ...

    def on_end(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the token expires or is revoked. Answers how to stop that; the caller has to, once."""
        ...


class Connection:
    """One client connection, for work that lives no longer than it. Its adapter runs every call of the client inside
    ``current`` and calls ``lose`` when the client is gone.
    """

    def __init__(self) -> None:
        self.is_lost = False
        self._callbacks: dict[object, Callable[[], None]] = {}

    def on_lost(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when it is lost, at once if it is. Answers how to stop that; the caller has to."""
        if self.is_lost:
            callback()
            return lambda: None
        key = object()
        self._callbacks[key] = callback

        def forget() -> None:
            self._callbacks.pop(key, None)

        return forget

    def lose(self) -> None:
        """Does nothing the second time."""
        self.is_lost = True
        callbacks, self._callbacks = self._callbacks, {}
        for callback in callbacks.values():
            callback()

    @contextmanager
    def current(self) -> Iterator[None]:
        """Inside, calls of the hub come from this connection."""
        token = _CONNECTION.set(self)
        try:
            yield
        finally:
            _CONNECTION.reset(token)


_CONNECTION: ContextVar[Connection | None] = ContextVar("teleclaude_connection", default=None)


def current_connection() -> Connection | None:
    """The connection that the call at hand came by; None for surfaces without connections."""
    return _CONNECTION.get()


class FileContent(Protocol):
    """A file while it is read: ``size`` bytes in pieces."""

    size: int

    async def read(self) -> bytes:
        """The next piece; empty at the end, also when the file has become shorter meanwhile."""
        ...


@dataclass(frozen=True, slots=True)
class Peer:
    """Another computer as last heard of. ``role`` is its own word for what it is for, ``sessions`` counts its live ones
    and ``problem`` says why it cannot be asked although it is online (another version of the protocol, say).
    """

    name: str
    role: str
    version: str
    is_online: bool
    last_seen: datetime
    sessions: int
    problem: str | None = None


class Fabric(Protocol):
    """The link to other computers: what an adapter gives to ``Hub.attach_fabric``.

    ``computer`` is never this one, and references inside commands are those of the other computer, without its name.
    What comes in over the link, its adapter passes to ``Hub.call`` with a principal ``node:<computer>``, the role that
    this computer grants that one (never more than the sender's own), and the message's id as idempotency key.
    """

    def peers(self) -> Sequence[Peer]:
        """All computers that can be named but this one, by name. From memory: no I/O."""
        ...

    async def call(
        self,
        computer: str,
        principal: Principal,
        command: Command[R],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        """Have ``computer`` run ``command`` (of ``teleclaude.wire.remote``) and answer its reply, or raise its error.

        ``key`` makes a repeat harmless: it gets the reply of the first call, also after a time-out. ``timeout`` (in
        seconds, default: what the command may take) is also the time after which the other side begins it no more.
        Raises ``NotFoundError`` for a computer nobody heard of, ``UnavailableError`` when nothing was done because it
        or the link is away, ``IndeterminateError`` when a change may or may not have happened, ``DeadlineError`` when
        something that only reads was not answered in time.
        """
        ...

    def follow_output(
        self, computer: str, principal: Principal, request: Command[Any]
    ) -> AbstractAsyncContextManager[OutputFollower]:
        """Follow a stream over there (``FollowOutput``), raw bytes whatever its ``format`` says.

        Raises as ``call`` does, on entering and from ``next``: the offset then says where to go on.
        """
        ...

    def follow_events(self, computer: str, after: int | None) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """Its events after ``after`` (None: from now on). Raises as ``call`` does, on entering and while iterating, and
        ``GapError`` when events above ``after`` are not there any more.
        """
        ...


class KeyUse(StrEnum):
    """What is known of the idempotency key of a call.

    ``LASTING``: a client's own; on record whatever happens, a power failure included. The others are for adapters whose
    messages come more than once, and outlive a death of the daemon only. ``FRESH``: certainly new; nobody waits until
    it is on record. ``SEEN``: this daemon may have seen it. ``OLD``: an earlier daemon may have seen it, too; without a
    record of it the outcome is ``indeterminate``, since it may have been lost with that daemon.
    """

    LASTING = "lasting"
    FRESH = "fresh"
    SEEN = "seen"
    OLD = "old"


class Hub(Protocol):
    """What adapters may ask of the core. Every call is authorised, limited, routed and audited here."""

    def authenticate(self, token: str) -> Grant:
        """Who shows this token; raises ``UnauthenticatedError``."""
        ...

    async def call(
        self, principal: Principal, command: Command[R], *, key: str | None = None, use: KeyUse = KeyUse.LASTING
    ) -> R:
        """Run ``command`` as ``principal``. ``key`` is an idempotency key: a repeat gets the first reply, one still in
        flight waits for it.

        Raises ``TeleclaudeError`` only; each has a code.
        """
        ...

    async def put_file(self, principal: Principal, request: PutFile, body: AsyncIterator[bytes]) -> FileView:
        """Store a file of a session; what ``body`` raises is raised here and leaves nothing."""
        ...

    def open_file(self, principal: Principal, request: GetFile) -> AbstractAsyncContextManager[FileContent]:
        """Read a file of a session. Raises as ``call`` does, on entering."""
        ...

    def follow_output(self, principal: Principal, request: Command[Any]) -> AbstractAsyncContextManager[OutputFollower]:
        """Follow a stream from an offset (``FollowOutput``). Raises as ``call`` does, on entering."""
        ...

    def follow_events(
        self,
        principal: Principal,
        after: int | None = None,
        sessions: frozenset[str] | None = None,
        *,
        computer: str | None = None,
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]]:
        """All events after ``after`` (None: from now on), in order, at the caller's pace; of another ``computer`` those
        that its link still has.
        """
        ...

    def attach_fabric(self, fabric: Fabric) -> Callable[[], None]:
        """From now on commands addressed ``computer/name`` go by this link. Answers how to detach it again."""
        ...

    def note_refused(self, name: str, operation: str, result: str) -> None:
        """Somebody was turned away by an adapter's own check: one line of the audit, bounded in number."""
        ...

    def admit(self, principal: Principal, operation: str, *, whole: bool = False) -> None:
        """Count what is asked without a command. ``whole``: it shows more than single sessions.

        Raises ``LimitError``, and ``ForbiddenError`` where the principal is narrowed down to some of it.
        """
        ...

    async def readiness(self) -> Readiness:
        """Every part's check, answered within 2 s whatever hangs."""
        ...

    def metrics(self) -> bytes:
        """Prometheus text exposition format 0.0.4."""
        ...

    def uptime_ms(self) -> int: ...


@dataclass(frozen=True, slots=True)
class AdapterContext:
    """What an adapter is given at start. ``settings`` is its own config section, already validated."""

    hub: Hub
    tasks: Tasks
    clock: Clock
    computer: str
    settings: Any
    state_dir: Path
    runtime_dir: Path
    extra: Mapping[str, Any] = field(default_factory=dict)
    reloaded: Callable[[], Any] | None = None
    """Answers the section as the last reload left it; None where nothing reloads."""

    @property
    def in_force(self) -> Any:
        """The section as it holds now, for what a reload may change while the adapter runs."""
        return self.settings if self.reloaded is None else self.reloaded()


class Adapter(Protocol):
    """Translates one outside protocol; an async context manager, entered once every core part is up.

    An exception on entering leaves the daemon running and shows in readiness.
    """

    name: str

    async def __aenter__(self) -> Adapter: ...

    async def __aexit__(self, *exc_info: object) -> None:
        """Release everything; called once, under a deadline."""
        ...

    async def check(self) -> Check:
        """Whether it serves right now; cheap, and bounded by the caller."""
        ...


AdapterFactory = Callable[[AdapterContext], Adapter]
"""What an entry point of group ``teleclaude.adapters`` names."""
