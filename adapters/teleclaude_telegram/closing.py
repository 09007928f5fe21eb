"""A topic that a person closed or opened."""

from __future__ import annotations

import structlog

from teleclaude.errors import NotFoundError, StoppingError, TeleclaudeError
from teleclaude.wire.sessions import CloseSession, GetSession
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.journal import Place
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.room import SELF, Room
from teleclaude_telegram.topics import LIVE_STATES

log = structlog.get_logger(__name__)


async def changed(ask: Ask, place: Place, *, closed: bool) -> None:
    """Closing it ends its session; where that cannot be, it is opened again."""
    room = ask.tools.room
    place.closed = closed or not await _lives(room, place)
    await room.keep(place)
    if closed:
        await _close(ask, place)


async def _lives(room: Room, place: Place) -> bool:
    try:
        return (await room.hub.call(SELF, GetSession(id=place.session_id))).state in LIVE_STATES
    except NotFoundError:
        return False


async def _close(ask: Ask, place: Place) -> None:
    room = ask.tools.room
    try:
        await ask.call(CloseSession(id=place.session_id))
    except StoppingError:
        raise
    except TeleclaudeError as error:
        log.warning("telegram_topic_closed_but_not_session", session=place.session_id, error=str(error))
        if await _lives(room, place):
            place.closed = False
            await room.keep(place)
            await ask.tools.outbox.say(place.session_id, Rank.REPLY, {"do": "reopen"})
            await ask.reply(f"⚠️ The topic was closed, and the session goes on: {error.detail}")
