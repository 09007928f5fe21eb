"""A reply that goes on as server-sent events, from its head to a last word."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from aiohttp import web

from teleclaude.errors import InternalError, TeleclaudeError
from teleclaude_rest import frames
from teleclaude_rest.errors import StoppingError
from teleclaude_rest.exchange import Exchange
from teleclaude_rest.route import EVENT_STREAM

log = structlog.get_logger(__name__)

MEDIA = EVENT_STREAM

Send = Callable[[bytes], Awaitable[None]]
"""Gives bytes to the client; waits while it reads slower than they come."""


@asynccontextmanager
async def event_stream(exchange: Exchange) -> AsyncIterator[tuple[web.StreamResponse, Send]]:
    """The begun reply. The block is left when it is done, the client goes or the adapter stops; an error inside it is
    told as event ``error``, since the status is long sent.
    """
    response = web.StreamResponse(headers=exchange.headers(Content_Type=MEDIA))
    await response.prepare(exchange.request)
    await response.write(frames.HELLO)
    try:
        async with exchange.until_ended():
            yield response, response.write
    except ConnectionError:
        raise
    except StoppingError:
        await _last_word(exchange, response, frames.FAREWELL)
    except TeleclaudeError as error:
        await _last_word(exchange, response, frames.error_frame(error))
    except Exception:
        log.exception("event_stream_failed", operation=exchange.operation)
        failure = InternalError(
            "the daemon met a defect of its own; its log has the trace", operation=exchange.operation
        )
        await _last_word(exchange, response, frames.error_frame(failure))


async def _last_word(exchange: Exchange, response: web.StreamResponse, frame: bytes) -> None:
    try:
        async with asyncio.timeout(exchange.surface.timing.linger):
            await response.write(frame)
    except TimeoutError:
        raise ConnectionResetError("the client does not read") from None
