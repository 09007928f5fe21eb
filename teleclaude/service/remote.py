"""Which commands are another computer's, and the way there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

from teleclaude.api import Fabric, OutputFollower, Peer
from teleclaude.errors import ConflictError, ForbiddenError, NotFoundError, UnavailableError
from teleclaude.model import Principal, is_name
from teleclaude.service.output import TextFollower
from teleclaude.wire import remote as wire
from teleclaude.wire.base import Command
from teleclaude.wire.executions import ListExecutions, StartExecution
from teleclaude.wire.sessions import CreateSession, FollowOutput, ListSessions

R = TypeVar("R")

NODE = "node:"
"""How the principals of other computers begin."""

_BY_COMPUTER = (CreateSession, ListSessions, StartExecution)


class Destination(NamedTuple):
    """``command`` is what to ask of ``computer``: its references are that computer's own."""

    computer: str
    command: Command[Any]


class Remote:
    """Commands addressed to other computers, by the one link that is attached."""

    def __init__(self, computer: str) -> None:
        self._computer = computer
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
        fabric = self._link(principal, destination)
        own = None if key is None else hashlib.sha256(f"{principal.name}\0{key}".encode()).hexdigest()
        return await fabric.call(destination.computer, principal, destination.command, key=own)

    @asynccontextmanager
    async def follow(
        self, principal: Principal, destination: Destination, request: FollowOutput
    ) -> AsyncIterator[OutputFollower]:
        """See ``Fabric.follow_output``; the text of ``format=text`` is made here."""
        fabric = self._link(principal, destination)
        async with fabric.follow_output(destination.computer, principal, destination.command) as follower:
            yield TextFollower(follower) if request.format == "text" else follower

    def _link(self, principal: Principal, destination: Destination) -> Fabric:
        operation, computer = destination.command.operation, destination.computer
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
