"""Which commands are another computer's, and the way there."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any, NamedTuple, TypeVar

import structlog

from teleclaude.api import Connection, Fabric, OutputFollower, Peer, Tasks, current_connection
from teleclaude.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.events import Event
from teleclaude.model import Lifetime, Principal, is_name
from teleclaude.service.texts import TextFollower
from teleclaude.wire import remote as wire
from teleclaude.wire.base import Command
from teleclaude.wire.executions import CancelExecution, GetExecution, ListExecutions, StartExecution
from teleclaude.wire.output import FollowOutput
from teleclaude.wire.sessions import CreateSession, ListSessions, SessionList, SessionView

log = structlog.get_logger(__name__)

R = TypeVar("R")

OWNER = "remote"
LOOK_MS = 5000
NODE = "node:"
"""How the principals of other computers begin."""

_BY_COMPUTER = (CreateSession, ListSessions, StartExecution)


class Destination(NamedTuple):
    """``command`` is what to ask of ``computer``: its references are that computer's own."""

    computer: str
    command: Command[Any]


class Remote:
    """Commands addressed to other computers, by the one link that is attached."""

    def __init__(self, computer: str, tasks: Tasks) -> None:
        self._computer = computer
        self._tasks = tasks
        self._fabric: Fabric | None = None

    def attach(self, fabric: Fabric) -> Callable[[], None]:
        """Raises ``ConflictError`` when there is a link already."""
        if self._fabric is not None:
            raise ConflictError("there is a link to other computers already", operation="fabric.attach")
        self._fabric = fabric

        def detach() -> None:
            if self._fabric is fabric:
                self._fabric = None

        return detach

    @property
    def fabric(self) -> Fabric | None:
        """The link, where there is one."""
        return self._fabric

    def peers(self) -> Sequence[Peer]:
        return self._fabric.peers() if self._fabric is not None else ()

    def destination(self, command: Command[Any]) -> Destination | None:
        """Where else the command is meant to happen; None for here. Raises ``NotFoundError`` for what cannot be a
        computer.
        """
        if command.operation not in wire.COMMANDS:
            return None
        if isinstance(command, _BY_COMPUTER):
            return self._elsewhere(command.computer, command, {"computer": None})
        field = "session" if isinstance(command, ListExecutions) else "id"
        computer, slash, rest = (getattr(command, field, None) or "").partition("/")
        if not slash:
            return None
        if not is_name(computer):
            raise NotFoundError(
                f"there is no computer {computer[:64]!r}, and nothing on it", operation=command.operation
            )
        if not rest:
            raise NotFoundError(f"name a session of {computer} after the slash", operation=command.operation)
        return self._elsewhere(computer, command, {field: rest})

    def _elsewhere(self, computer: str | None, command: Command[Any], own: dict[str, Any]) -> Destination | None:
        if computer is None or computer == self._computer:
            return None
        return Destination(computer, command.model_copy(update=own))

    async def call(self, principal: Principal, destination: Destination, key: str | None) -> Any:
        """See ``Fabric.call``; ``key`` is the client's own."""
        fabric = self._link(principal, destination.computer, destination.command.operation)
        own = None if key is None else hashlib.sha256(f"{principal.name}\0{key}".encode()).hexdigest()
        command = destination.command
        connection = current_connection()
        is_bound = isinstance(command, StartExecution) and command.lifetime is Lifetime.CONNECTION
        if is_bound:
            if connection is None:
                raise InvalidError(
                    "nothing here can be bound to a connection; use detached", operation=command.operation
                )
            command = command.model_copy(update={"lifetime": Lifetime.DETACHED})
        reply = await fabric.call(destination.computer, principal, command, key=own)
        if is_bound and connection is not None:
            bound = _bound(fabric, destination.computer, principal, reply.id, connection)
            self._tasks.spawn(bound, name=f"bound {reply.id}", owner=OWNER)
        return _from_afar(reply)

    @asynccontextmanager
    async def follow(
        self, principal: Principal, destination: Destination, request: FollowOutput
    ) -> AsyncIterator[OutputFollower]:
        """See ``Fabric.follow_output``; the text of ``format=text`` is made here."""
        fabric = self._link(principal, destination.computer, request.operation)
        async with fabric.follow_output(destination.computer, principal, destination.command) as follower:
            yield TextFollower(follower) if request.format == "text" else follower

    def follow_events(
        self, principal: Principal, computer: str | None, after: int | None
    ) -> AbstractAsyncContextManager[AsyncIterator[Event]] | None:
        """See ``Fabric.follow_events``; None for this computer's own."""
        if computer is None or computer == self._computer:
            return None
        if principal.sessions is not None:
            raise ForbiddenError(
                f"{principal.name} is for some sessions of {self._computer} only", operation="events.subscribe"
            )
        return self._link(principal, computer, "events.subscribe").follow_events(computer, after)

    def _link(self, principal: Principal, computer: str, operation: str) -> Fabric:
        if principal.name.startswith(NODE):
            raise ForbiddenError(
                f"{self._computer} passes nothing on to {computer}; ask {computer} itself", operation=operation
            )
        if self._fabric is None:
            raise UnavailableError(
                f"computer {computer} cannot be reached: this daemon ({self._computer}) has no link to other "
                "computers; enable the redis section of the config on both",
                operation=operation,
            )
        return self._fabric


def _from_afar(reply: Any) -> Any:
    """What only means something on the other computer is left out."""
    if isinstance(reply, SessionView):
        return reply.model_copy(update={"attach": None})
    if isinstance(reply, SessionList):
        return SessionList(sessions=[_from_afar(session) for session in reply.sessions])
    return reply


async def _bound(fabric: Fabric, computer: str, principal: Principal, execution: str, connection: Connection) -> None:
    """End an execution over there once the connection that it is bound to is lost."""
    lost = asyncio.Event()
    forget = connection.on_lost(lost.set)
    try:
        while not lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_MS / 1000):
                    await lost.wait()
            if not lost.is_set():
                found = await fabric.call(computer, principal, GetExecution(id=execution))
                if found.completed_at is not None:
                    return
        await fabric.call(computer, principal, CancelExecution(id=execution))
    except TeleclaudeError as error:
        log.warning("bound_execution_out_of_reach", computer=computer, execution_id=execution, error=str(error))
    finally:
        forget()
