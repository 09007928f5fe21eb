"""Following a stream of output as server-sent events."""

from __future__ import annotations

from aiohttp import web

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff
from teleclaude.wire.output import FollowOutput
from teleclaude_rest import frames
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.sse import Send, event_stream


async def follow(exchange: Exchange) -> web.StreamResponse:
    """Each client has a cursor of its own and waits only for itself."""
    request = await exchange.command(FollowOutput)
    resumed = exchange.last_event_id()
    if resumed is not None:
        request = request.model_copy(update={"from_": resumed})
    async with (
        exchange.surface.hub.follow_output(exchange.principal, request) as follower,
        event_stream(exchange) as (response, send),
    ):
        await _relay(exchange, follower, send)
    return response


async def _relay(exchange: Exchange, follower: OutputFollower, send: Send) -> None:
    surface = exchange.surface
    while True:
        item = await follower.next(surface.timing.comment)
        if item is None:
            await send(frames.COMMENT)
            continue
        await send(surface.frames.get(item, frames.output_frame))
        if isinstance(item, OutputExit | OutputHandedOff):
            return
