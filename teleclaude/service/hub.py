"""The one entry for every adapter: authorise, route, make repeats harmless, run, account."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar, cast

import structlog

from teleclaude.api import Fabric, FileContent, Grant, KeyUse, OutputFollower, Readiness, TaskPolicy
from teleclaude.bus import Bus
from teleclaude.clock import Clock
from teleclaude.errors import (
    ForbiddenError,
    InternalError,
    InvalidError,
    StoppingError,
    TeleclaudeError,
    UnauthenticatedError,
    UnavailableError,
)
from teleclaude.events import Event
from teleclaude.model import Principal
from teleclaude.service.access import authorise, require_verb
from teleclaude.service.audit import Audit
from teleclaude.service.files import Files
from teleclaude.service.handoff.relay import Relay
from teleclaude.service.health import Health
from teleclaude.service.limits import Limits
from teleclaude.service.metrics import Metrics
from teleclaude.service.once import Journal
from teleclaude.service.output import Outputs
from teleclaude.service.remote import Destination, Remote
from teleclaude.service.tokens import Tokens
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.base import Command
from teleclaude.wire.files import FileView, GetFile, PutFile
from teleclaude.wire.output import FollowOutput

log = structlog.get_logger(__name__)

R = TypeVar("R")
Handler = Callable[[Principal, Any], Awaitable[Any]]

OWNER = "service"
FOLLOW_EVENTS = "events.subscribe"
APART = {FOLLOW_EVENTS, FollowOutput.operation, PutFile.operation, GetFile.operation}
"""Operations that are no calls with one answer."""
STOP_SECONDS = 3.0
_NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)


class Service:
    """Implements ``teleclaude.api.Hub`` over a table of handlers, one per command class."""

    def __init__(
        self,
        handlers: Mapping[type[Command[Any]], Handler],
        *,
        outputs: Outputs,
        remote: Remote,
        relay: Relay,
        bus: Bus,
        journal: Journal,
        health: Health,
        metrics: Metrics,
        tokens: Tokens,
        audit: Audit,
        limits: Limits,
        files: Files,
        tasks: TaskRegistry,
        clock: Clock,
    ) -> None:
        self._handlers = handlers
        self._outputs = outputs
        self._remote = remote
        self._relay = relay
        self._bus = bus
        self._journal = journal
        self._health = health
        self._metrics = metrics
        self._tokens = tokens
        self._audit = audit
        self._limits = limits
        self._files = files
        self._tasks = tasks
        self._clock = clock
        self._began = clock.monotonic()
        self._closed = False

    @property
    def operations(self) -> frozenset[str]:
        """Everything that may be asked for, by name."""
        return frozenset({command.operation for command in self._handlers} | APART)

    def authenticate(self, token: str) -> Grant:
        try:
            return self._tokens.authenticate(token)
        except UnauthenticatedError as error:
            self._audit.note_stranger(error.operation)
            raise

    async def call(
        self, principal: Principal, command: Command[R], *, key: str | None = None, use: KeyUse = KeyUse.LASTING
    ) -> R:
        """See ``Hub.call``. A command that changes something runs to its end even when the caller goes away, and is
        accounted for by that end.
        """
        if not command.mutates:
            return cast(R, await self._done(principal, command, key, use))
        return cast(R, await self._to_its_end(command.operation, lambda: self._done(principal, command, key, use)))

    async def _done(self, principal: Principal, command: Command[Any], key: str | None, use: KeyUse) -> Any:
        with self._accounted(principal, command):
            return await self._route(principal, command, key, use)

    @contextmanager
    def _accounted(self, principal: Principal, command: Command[Any]) -> Iterator[None]:
        """Around the work on one command: may it be done, and how did it end."""
        began = self._clock.monotonic()
        code = "ok"
        try:
            if self._closed:
                raise StoppingError("the daemon is stopping; try again once it is back")
            self._limits.admit(principal, command.operation)
            authorise(principal, command)
            yield
        except TeleclaudeError as error:
            code = error.code
            if not error.operation:
                error.operation = command.operation
            raise
        except (asyncio.CancelledError, GeneratorExit):
            code = "cancelled"
            raise
        except ConnectionError:
            # What a file's body raises when its sender goes away.
            code = "cancelled"
            raise
        except Exception as error:
            if isinstance(error, OSError) and error.errno in _NO_DESCRIPTORS:
                code = UnavailableError.code
                raise UnavailableError(
                    "the daemon is out of file descriptors; raise its limit (ulimit -n) or close connections",
                    operation=command.operation,
                ) from error
            code = "internal"
            log.exception("command_failed", operation=command.operation, principal=principal.name)
            raise InternalError(
                "the daemon met a defect of its own; its log has the trace", operation=command.operation
            ) from error
        finally:
            self._metrics.observe(command.operation, code, self._clock.monotonic() - began)
            self._audit.note(principal, command, code)

    async def _route(self, principal: Principal, command: Command[Any], key: str | None, use: KeyUse) -> Any:
        destination = self._remote.destination(command)
        if destination is None:
            destination = await self._relay.destination(principal, command)
        elif principal.sessions is not None:
            raise ForbiddenError(
                f"{principal.name} is for some sessions of this computer only", operation=command.operation
            )
        handler = self._handlers.get(type(command)) if destination is None else self._there(destination, key)
        if handler is None:
            raise InvalidError(f"{command.operation} is not offered by this daemon", operation=command.operation)
        if not command.mutates:
            return await handler(principal, command)

        async def effect() -> Any:
            return await handler(principal, command)

        if key is not None and command.secret:
            raise InvalidError(
                "this reply holds a secret, which is not stored; repeat it without Idempotency-Key",
                operation=command.operation,
            )
        if key is None:
            return await effect()
        return await self._journal.once(
            principal.name, key, command, effect, elsewhere=destination is not None, use=use
        )

    def _there(self, destination: Destination, key: str | None) -> Handler:
        async def ask(principal: Principal, _command: Command[Any]) -> Any:
            return await self._relay.call(principal, destination, key)

        return ask

    async def _to_its_end(self, operation: str, effect: Callable[[], Awaitable[Any]]) -> Any:
        outcome: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result = await effect()
            except asyncio.CancelledError:
                outcome.cancel()
                raise
            except BaseException as error:
                _settle(outcome, error=error)
            else:
                _settle(outcome, result=result)

        self._tasks.spawn(run(), name=operation, owner=OWNER, policy=TaskPolicy.REPORT)
        return await asyncio.shield(outcome)

    async def close_intake(self) -> None:
        """Refuse new commands and wait, for a bounded time, for those that change something."""
        self._closed = True
        stuck = await self._tasks.settle_owner(OWNER, STOP_SECONDS)
        if stuck:
            log.warning("commands_cut_short", commands=", ".join(stuck))

    async def put_file(self, principal: Principal, request: PutFile, body: AsyncIterator[bytes]) -> FileView:
        with self._accounted(principal, request):
            return await self._files.put(principal, request, body)

    @asynccontextmanager
    async def open_file(self, principal: Principal, request: GetFile) -> AsyncIterator[FileContent]:
        with self._accounted(principal, request), self._limits.stream(principal, request.operation):
            async with self._files.open(principal, request) as content:
                yield content

    @asynccontextmanager
    async def follow_output(self, principal: Principal, request: Command[Any]) -> AsyncIterator[OutputFollower]:
        self._limits.admit(principal, request.operation)
        try:
            authorise(principal, request)
        except ForbiddenError as error:
            self._audit.note(principal, request, error.code)
            raise
        with self._limits.stream(principal, request.operation):
            destination = self._remote.destination(request)
            if destination is not None and isinstance(request, FollowOutput):
                following = self._remote.follow(principal, destination, request)
            else:
                following = self._outputs.follow(principal, request)
            async with following as follower:
                yield follower

    @asynccontextmanager
    async def follow_events(
        self,
        principal: Principal,
        after: int | None = None,
        sessions: frozenset[str] | None = None,
        *,
        computer: str | None = None,
    ) -> AsyncIterator[AsyncIterator[Event]]:
        self._limits.admit(principal, FOLLOW_EVENTS)
        try:
            require_verb(principal, FOLLOW_EVENTS)
        except ForbiddenError as error:
            self._audit.note_denied(principal, FOLLOW_EVENTS, error.code)
            raise
        if principal.sessions is not None:
            sessions = principal.sessions if sessions is None else principal.sessions & sessions
        with self._limits.stream(principal, FOLLOW_EVENTS):
            following = self._remote.follow_events(principal, computer, after)
            if following is None:
                following = self._bus.subscribe(after=after, sessions=sessions)
            async with following as events:
                yield events

    def attach_fabric(self, fabric: Fabric) -> Callable[[], None]:
        return self._remote.attach(fabric)

    def note_refused(self, name: str, operation: str, result: str) -> None:
        self._audit.note_refused(name, operation, result)

    def admit(self, principal: Principal, operation: str, *, whole: bool = False) -> None:
        self._limits.admit(principal, operation)
        if whole and (principal.sessions is not None or principal.verbs is not None):
            self._audit.note_denied(principal, operation, ForbiddenError.code)
            raise ForbiddenError(
                f"{principal.name} is narrowed down, and {operation} shows the whole daemon", operation=operation
            )

    async def readiness(self) -> Readiness:
        return await self._health.readiness()

    def metrics(self) -> bytes:
        return self._metrics.render()

    def uptime_ms(self) -> int:
        return int((self._clock.monotonic() - self._began) * 1000)


def _settle(outcome: asyncio.Future[Any], *, result: Any = None, error: BaseException | None = None) -> None:
    if outcome.done():
        return
    if error is None:
        outcome.set_result(result)
    else:
        outcome.set_exception(error)
        # The caller may be gone; then nobody asks for the exception, and that is no defect.
        outcome.exception()
