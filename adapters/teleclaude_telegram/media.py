"""Pictures of terminals, figures and files."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any

import structlog
from telegram import InlineKeyboardMarkup, InputFile, InputMediaPhoto

from teleclaude.wire.sessions import ReadScreen, RenderScreen
from teleclaude_telegram import render
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Rows, mint, pad
from teleclaude_telegram.outbox import Outbox, Rest
from teleclaude_telegram.plan import Job
from teleclaude_telegram.room import SELF, Room

log = structlog.get_logger(__name__)


class Media:
    """Raises as ``Deliverer.step`` does."""

    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox

    async def picture(self, job: Job, place: Place | None) -> bool:
        """The terminal as an image, in the message that shows it; with ``as_file`` it is not compressed."""
        assert place is not None
        room, doc = self._room, job.doc
        # Before the picture is made: a question that comes between the two is then none that somebody has seen.
        prompt = (await room.hub.call(SELF, ReadScreen(id=place.session_id))).prompt
        png = await room.hub.call(SELF, RenderScreen(id=place.session_id))
        digest = hashlib.sha256(png).hexdigest()
        if doc.get("as_file"):
            await self._outbox.spend()
            await room.api.bot.send_document(
                room.chat_id,
                InputFile(png, filename=f"{place.name}.png"),
                message_thread_id=place.thread,
                disable_notification=True,
            )
            return True
        same = place.picture is not None and digest == place.picture_hash and not doc.get("fresh")
        if same and not doc.get("keys"):
            return True
        name = f"pad:{place.session_id}"
        keys = pad(place.session_id, "" if prompt is None else prompt.fingerprint)
        keyboard = await mint(room.journal, keys, now=room.now(), keyboard=name)
        await self._outbox.spend()
        if place.picture is None or doc.get("fresh"):
            message = await room.api.bot.send_photo(
                room.chat_id,
                InputFile(png, filename="screen.png"),
                message_thread_id=place.thread,
                disable_notification=True,
                reply_markup=markup(keyboard),
            )
            old, place.picture = place.picture, message.message_id
            await room.tidy([old] if old else [])
        elif same:
            await room.api.bot.edit_message_reply_markup(
                chat_id=room.chat_id, message_id=place.picture, reply_markup=markup(keyboard)
            )
        else:
            await room.api.bot.edit_message_media(
                InputMediaPhoto(png, filename="screen.png"),
                chat_id=room.chat_id,
                message_id=place.picture,
                reply_markup=markup(keyboard),
            )
        place.picture_hash = digest
        await room.keep(place)
        return True

    async def file(self, job: Job, place: Place | None) -> bool | Rest:
        """A file from the spool, which then goes, or from where it lies. It may be large, so nothing waits for it."""
        room, doc = self._room, job.doc
        path = Path(doc["path"])
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            log.warning("telegram_file_gone", path=str(path), error=str(error))
            return True
        thread = doc.get("thread") if place is None else place.thread
        await self._outbox.spend()
        send: Any = room.api.bot.send_photo if doc.get("photo") else room.api.bot.send_document

        async def upload() -> bool:
            await send(
                room.chat_id,
                InputFile(data, filename=doc["name"]),
                caption=render.head(doc.get("caption", ""), 1000) or None,
                message_thread_id=thread,
                disable_notification=doc.get("silent", True),
            )
            if doc.get("spooled"):
                await asyncio.to_thread(path.unlink, missing_ok=True)
            return True

        return upload


def markup(rows: Rows | None) -> InlineKeyboardMarkup | None:
    """A keyboard as the library has it."""
    return InlineKeyboardMarkup.de_json({"inline_keyboard": rows}, None) if rows else None
