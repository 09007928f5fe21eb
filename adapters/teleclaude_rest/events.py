"""All events as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from aiohttp import web
from pydantic import BaseModel, Field

from teleclaude.events import Event
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import Name
from teleclaude_rest import frames
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.sse import Send, event_stream

READ_AHEAD = 16
"""Events taken from the core before the client has them; the rest waits there."""


class EventOptions(BaseModel):
    model_config = Command.model_config

    after: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    computer: Name | None = None


async def follow(exchange: Exchange) -> web.StreamResponse:
    options = exchange.options(EventOptions)
    after = options.after
    resumed = exchange.last_event_id()
    if resumed is not None:
        after = resumed
    async with (
        exchange.surface.hub.follow_events(exchange.principal, after, computer=options.computer) as events,
        event_stream(exchange) as (response, send),
    ):
        await _relay(exchange, events, send)
    return response


async def _relay(exchange: Exchange, events: AsyncIterator[Event], send: Send) -> None:
    surface, owner = exchange.surface, f"rest.events.{exchange.id}"
    ahead: asyncio.Queue[Event | Exception | None] = asyncio.Queue(READ_AHEAD)

    async def take() -> None:
        # A task of its own, because a comment is due while the iterator waits and it may not survive being interrupted.
        try:
            async for event in events:
                await ahead.put(event)
        except Exception as error:  # handed over to the reply, which tells and logs it
            await ahead.put(error)
        else:
            await ahead.put(None)

    surface.context.tasks.spawn(take(), name="take", owner=owner)
    try:
        while True:
            try:
                async with asyncio.timeout(surface.timing.comment):
                    event = await ahead.get()
            except TimeoutError:
                await send(frames.COMMENT)
                continue
            if event is None:
                return
            if isinstance(event, Exception):
                raise event
            await send(surface.frames.get(event, frames.event_frame))
    finally:
        await surface.context.tasks.cancel_owner(owner, surface.timing.linger)
