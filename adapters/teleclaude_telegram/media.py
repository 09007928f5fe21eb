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
from teleclaude_telegram.api import BadRequest
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Rows, mint, pad
from teleclaude_telegram.outbox import Outbox, Rest
from teleclaude_telegram.plan import Job
from teleclaude_telegram.room import SELF, Room

log = structlog.get_logger(__name__)

CAPTION_UNITS = 1000
_NO_PHOTO = ("photo_invalid_dimensions", "too big for a photo", "image_process_failed")


class Media:
    """Raises as ``Deliverer.step`` does. What the server does not take as a photo goes as a file."""

    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox

    async def picture(self, job: Job, place: Place | None) -> bool:
        """The terminal as an image, in the message that shows it; with ``as_file`` it is not compressed."""
        assert place is not None
        hub = self._room.hub
        # Before the picture is made: a question that comes between the two is then none that somebody has seen.
        prompt = (await hub.call(SELF, ReadScreen(id=place.session_id))).prompt
        png = await hub.call(SELF, RenderScreen(id=place.session_id))
        if job.doc.get("as_file"):
            await self._outbox.about_to_send(job)
            await self._send(job, place, InputFile(png, filename=f"{place.name}.png"))
            return True
        try:
            await self._show(job, place, png, "" if prompt is None else prompt.fingerprint)
        except BadRequest as error:
            if not _is_no_photo(error):
                raise
            await self._room.tidy([place.picture] if place.picture else [])
            place.picture = None
            await self._room.keep(place)
            job.doc["as_file"] = True
            return False
        return True

    async def _show(self, job: Job, place: Place, png: bytes, asked: str) -> None:
        room, doc = self._room, job.doc
        digest = hashlib.sha256(png).hexdigest()
        same = place.picture is not None and digest == place.picture_hash and not doc.get("fresh")
        if same and not doc.get("keys"):
            return
        name = f"pad:{place.session_id}"
        keyboard = markup(await mint(room.journal, pad(place.session_id, asked), now=room.now(), keyboard=name))
        where: dict[str, Any] = {"chat_id": room.chat_id, "message_id": place.picture, "reply_markup": keyboard}
        if place.picture is None or doc.get("fresh"):
            await self._outbox.about_to_send(job)
            old, file = place.picture, InputFile(png, filename="screen.png")
            place.picture = await self._send(job, place, file, photo=True, keyboard=keyboard)
            await room.tidy([old] if old else [])
        elif same:
            await self._outbox.spend()
            await room.api.bot.edit_message_reply_markup(**where)
        else:
            await self._outbox.spend()
            await room.api.bot.edit_message_media(InputMediaPhoto(png, filename="screen.png"), **where)
        place.picture_hash = digest
        await room.keep(place)

    async def file(self, job: Job, place: Place | None) -> bool | Rest:
        """A file from the spool, or from where it lies. It may be large, so nothing waits for it."""
        doc = job.doc
        path = Path(doc["path"])
        try:
            data = await asyncio.to_thread(path.read_bytes)
        except OSError as error:
            log.warning("telegram_file_gone", path=str(path), error=str(error))
            return True
        await self._outbox.about_to_send(job)

        async def upload() -> bool:
            file, photo = InputFile(data, filename=doc["name"]), bool(doc.get("photo"))
            try:
                await self._send(job, place, file, photo=photo, silent=doc.get("silent", True))
            except BadRequest as error:
                if not photo or not _is_no_photo(error):
                    raise
                doc["photo"] = False
                doc.pop("sent", None)
                return False
            return True

        return upload

    async def _send(
        self,
        job: Job,
        place: Place | None,
        file: InputFile,
        *,
        photo: bool = False,
        silent: bool = True,
        keyboard: InlineKeyboardMarkup | None = None,
    ) -> int:
        """Answers the message's id."""
        bot, doc = self._room.api.bot, job.doc
        caption = (render.AGAIN if doc.get("again") else "") + doc.get("caption", "")
        send: Any = bot.send_photo if photo else bot.send_document
        message = await send(
            self._room.chat_id,
            file,
            caption=render.head(caption, CAPTION_UNITS).strip() or None,
            message_thread_id=doc.get("thread") if place is None else place.thread,
            disable_notification=silent,
            reply_markup=keyboard,
        )
        await self._room.expect_in(place, message)
        return int(message.message_id)


def _is_no_photo(error: BadRequest) -> bool:
    """Whether the server would take it as a file."""
    return any(words in str(error).lower() for words in _NO_PHOTO)


def markup(rows: Rows | None) -> InlineKeyboardMarkup | None:
    """A keyboard as the library has it."""
    return InlineKeyboardMarkup.de_json({"inline_keyboard": rows}, None) if rows else None
