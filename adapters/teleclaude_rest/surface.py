"""What all requests share, and the deadlines they live under."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from teleclaude.api import AdapterContext, Hub
from teleclaude_rest.errors import StoppingError
from teleclaude_rest.frames import FrameCache
from teleclaude_rest.openapi import Description


@dataclass(frozen=True, slots=True)
class Timing:
    """Deadlines in seconds."""

    head: float = 30
    """To send a whole request head; also how long an idle connection is kept."""
    body: float = 60
    auth: float = 5
    """To show a token on a WebSocket that was opened without."""
    comment: float = 15
    """Between comments on a silent event stream."""
    stall: float = 60
    """How long a client may leave its reply unread before it is cut off."""
    heartbeat: float = 60
    """Between WebSocket pings."""
    linger: float = 2
    """To let a client that is still sending read why it was refused."""
    stop: float = 2
    """For replies to end by themselves at stop."""


class Scopes:
    """Blocks of waiting that end together. Each is cut short, wherever it waits, when ``end`` is called."""

    def __init__(self) -> None:
        self.ended = False
        self._open: set[asyncio.Timeout] = set()

    def add(self, scope: asyncio.Timeout) -> None:
        self._open.add(scope)
        if self.ended:
            _cut(scope)

    def discard(self, scope: asyncio.Timeout) -> None:
        self._open.discard(scope)

    def end(self) -> None:
        self.ended = True
        for scope in self._open:
            _cut(scope)


def _cut(scope: asyncio.Timeout) -> None:
    if not scope.expired():
        scope.reschedule(asyncio.get_running_loop().time())


@asynccontextmanager
async def until_ended(stop: Scopes, client: Scopes) -> AsyncIterator[None]:
    """Whatever the block waits for, raises ``StoppingError`` when the adapter stops and ``ConnectionResetError`` when
    the client is gone.
    """
    try:
        async with asyncio.timeout(None) as scope:
            stop.add(scope)
            client.add(scope)
            try:
                yield
            finally:
                stop.discard(scope)
                client.discard(scope)
    except TimeoutError:
        if client.ended:
            raise ConnectionResetError("the client went away") from None
        if stop.ended:
            raise StoppingError("the daemon is stopping; ask again once it is back") from None
        raise


@dataclass(frozen=True, slots=True)
class Surface:
    """The core behind this adapter and what replies share."""

    context: AdapterContext
    timing: Timing
    description: Description
    stop: Scopes = field(default_factory=Scopes)
    frames: FrameCache = field(default_factory=FrameCache)

    @property
    def hub(self) -> Hub:
        return self.context.hub
