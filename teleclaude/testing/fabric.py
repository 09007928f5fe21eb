"""Computers joined without a network: every message is turned into bytes and back, and can be made to go wrong."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from secrets import token_hex
from typing import Any, TypeVar

from teleclaude.api import Hub, OutputFollower, Peer
from teleclaude.errors import (
    DeadlineError,
    IndeterminateError,
    NotFoundError,
    TeleclaudeError,
    UnavailableError,
)
from teleclaude.events import Event
from teleclaude.model import Principal, Role
from teleclaude.wire import remote as wire
from teleclaude.wire.base import Command

R = TypeVar("R")

Hook = Callable[[], Awaitable[None]]


class Fault(StrEnum):
    """What becomes of one message."""

    LOSE_REQUEST = "lose_request"
    LOSE_REPLY = "lose_reply"
    REPEAT = "repeat"
    """It arrives twice, as two messages; the second answer counts."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message that was to be sent."""

    sender: str
    to: str
    operation: str


@dataclass(slots=True)
class Network:
    """``said`` is everything that was sent, in order. ``cut`` holds pairs of computers that cannot reach each other."""

    said: list[Said] = field(default_factory=list)
    cut: set[frozenset[str]] = field(default_factory=set)
    _hubs: dict[str, tuple[Hub, Role]] = field(default_factory=dict)
    _faults: dict[str, list[Fault]] = field(default_factory=dict)
    _hooks: dict[str, Hook] = field(default_factory=dict)

    def join(self, name: str, hub: Hub, *, role: Role = Role.OPERATOR) -> Callable[[], None]:
        """Attach a link to ``hub``; the others have ``role`` there. Answers how to leave again."""
        self._hubs[name] = (hub, role)
        detach = hub.attach_fabric(MemoryFabric(self, name))

        def leave() -> None:
            detach()
            self._hubs.pop(name, None)

        return leave

    def fail(self, operation: str, *faults: Fault) -> None:
        """The next messages of ``operation`` go wrong like this, one after the other."""
        self._faults.setdefault(operation, []).extend(faults)

    def before(self, operation: str, hook: Hook) -> None:
        """Call ``hook`` when the next message of ``operation`` is on its way, before it arrives."""
        self._hooks[operation] = hook

    def reachable(self, sender: str, to: str) -> bool:
        return to in self._hubs and frozenset((sender, to)) not in self.cut

    def names(self) -> list[str]:
        return sorted(self._hubs)

    def hub(self, name: str) -> tuple[Hub, Role]:
        """With the role that the others have there."""
        return self._hubs[name]

    async def deliver(
        self,
        sender: str,
        to: str,
        principal: Principal,
        command: Command[Any],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> bytes:
        """The answer's bytes. Raises as ``Fabric.call`` does."""
        operation = command.operation
        self.said.append(Said(sender, to, operation))
        hook = self._hooks.pop(operation, None)
        if hook is not None:
            await hook()
        if not self.reachable(sender, to):
            raise UnavailableError(f"computer {to} cannot be reached", operation=operation)
        faults = self._faults.get(operation)
        fault = faults.pop(0) if faults else None
        if fault is Fault.LOSE_REQUEST:
            raise _unanswered(to, command)
        try:
            async with asyncio.timeout(timeout):
                answer = await self._run(sender, to, principal, command, key)
                if fault is Fault.REPEAT:
                    answer = await self._run(sender, to, principal, command, None)
        except TimeoutError:
            raise _unanswered(to, command) from None
        if fault is Fault.LOSE_REPLY or not self.reachable(sender, to):
            raise _unanswered(to, command)
        return answer

    async def _run(self, sender: str, to: str, principal: Principal, command: Command[Any], key: str | None) -> bytes:
        hub, role = self._hubs[to]
        arrived = wire.decode_command(wire.encode_command(command))
        node = Principal(f"node:{sender}", min(role, principal.role))
        try:
            reply = await hub.call(node, arrived, key=(key or token_hex(8)) if command.mutates else None)
        except TeleclaudeError as error:
            return wire.encode_error(error)
        except asyncio.CancelledError:
            asked = asyncio.current_task()
            if asked is not None and asked.cancelling():
                raise
            # The other computer ended before it could answer.
            raise _unanswered(to, command) from None
        return wire.encode_reply(reply)


class MemoryFabric:
    """Implements ``teleclaude.api.Fabric`` for one computer of a network."""

    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self._name = name

    def peers(self) -> Sequence[Peer]:
        return [
            Peer(
                name=name,
                role="",
                version="",
                is_online=self._network.reachable(self._name, name),
                last_seen=datetime.now(UTC),
                sessions=0,
            )
            for name in self._network.names()
            if name != self._name
        ]

    async def call(
        self,
        computer: str,
        principal: Principal,
        command: Command[R],
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> R:
        if computer not in self._network.names():
            raise NotFoundError(f"there is no computer {computer}", operation=command.operation)
        answer = await self._network.deliver(self._name, computer, principal, command, key=key, timeout=timeout)
        return wire.decode_reply(command, answer)

    @asynccontextmanager
    async def follow_events(self, computer: str, after: int | None) -> AsyncIterator[AsyncIterator[Event]]:
        if not self._network.reachable(self._name, computer):
            raise UnavailableError(f"computer {computer} cannot be reached", operation="events.subscribe")
        hub, role = self._network.hub(computer)
        async with hub.follow_events(Principal(f"node:{self._name}", role), after) as events:
            yield events

    @asynccontextmanager
    async def follow_output(
        self, computer: str, principal: Principal, request: Command[Any]
    ) -> AsyncIterator[OutputFollower]:
        if not self._network.reachable(self._name, computer):
            raise UnavailableError(f"computer {computer} cannot be reached", operation=request.operation)
        hub, role = self._network.hub(computer)
        node = Principal(f"node:{self._name}", min(role, principal.role))
        async with hub.follow_output(node, request) as follower:
            yield follower


def _unanswered(to: str, command: Command[Any]) -> TeleclaudeError:
    kind = IndeterminateError if command.mutates else DeadlineError
    return kind(f"computer {to} did not answer in time", operation=command.operation)
