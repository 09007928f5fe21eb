"""Sends one message, where it belongs."""

from __future__ import annotations

from telegram import Message, MessageEntity

from teleclaude_telegram import render
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Rows
from teleclaude_telegram.media import markup
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Job
from teleclaude_telegram.render import Text
from teleclaude_telegram.room import Room


class Sender:
    """Raises ``ApiError`` when the call was refused or did not arrive."""

    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox

    async def send(
        self, job: Job, place: Place | None, text: Text, *, keyboard: Rows | None = None, silent: bool = True
    ) -> Message:
        """Raises ``BadRequest`` as for a deleted topic when the server put it elsewhere."""
        if place is not None and not self._room.is_apart(place):
            text = render.bold(f"[{place.name}]\n") + text
        if job.doc.get("again"):
            text = Text(render.AGAIN) + text
        if render.units(text.body) > render.TEXT_UNITS:
            text = render.plain(text.body)
        thread = job.doc.get("thread") if place is None else place.thread
        await self._outbox.about_to_send(job)
        message = await self._room.api.bot.send_message(
            self._room.chat_id,
            text.body,
            entities=None if job.doc.get("bare") else entities(text),
            message_thread_id=thread,
            disable_notification=silent,
            reply_markup=markup(keyboard),
            disable_web_page_preview=True,
        )
        await self._room.expect_in(place, message)
        if place is not None and place.remade:
            place.remade = 0
            await self._room.keep(place)
        return message


def entities(text: Text) -> list[MessageEntity] | None:
    """As the library has them."""
    return [MessageEntity(**entity) for entity in text.entities] or None
