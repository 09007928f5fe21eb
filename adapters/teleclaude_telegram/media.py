"""Pictures of terminals, figures and files."""

from __future__ import annotations

import asyncio
import hashlib
import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from telegram import InlineKeyboardMarkup, InputFile, InputMediaPhoto

from teleclaude.wire.screens import ReadScreen, RenderScreen
from teleclaude_telegram import render
from teleclaude_telegram.api import BadRequest, ToldToWaitError, retry_after
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Rows, mint, pad
from teleclaude_telegram.outbox import Outbox, Rest
from teleclaude_telegram.plan import Job, Rank
from teleclaude_telegram.room import SELF, Room

log = structlog.get_logger(__name__)

CAPTION_UNITS = 1000
MIN_ALBUM = 2
MAX_UPLOAD_BYTES = 50 << 20
GONE = "⚠️ %s is no longer what it was; /get it again."
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
            await room.api.bot.edit_message_media(
                InputMediaPhoto(png, caption=self._named(place).strip() or None, filename="screen.png"), **where
            )
        place.picture_hash = digest
        await room.keep(place)

    async def file(self, job: Job, place: Place | None) -> bool | Rest:
        """A file from the spool, or from where it lies. It may be large, so nothing waits for it."""
        doc = job.doc
        data = await asyncio.to_thread(_read, Path(doc["path"]), doc.get("identity"))
        if data is None:
            if not doc.get("spooled"):
                await self._outbox.say(job.topic, Rank.REPLY, _where(doc) | {"do": "say", "text": GONE % doc["name"]})
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
        caption = (render.AGAIN if doc.get("again") else "") + self._named(place) + doc.get("caption", "")
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

    def _named(self, place: Place | None) -> str:
        """Whose it is, where that is not plain from the topic."""
        return "" if place is None or self._room.is_apart(place) else f"[{place.name}] "

    async def album(self, job: Job, place: Place | None) -> bool | Rest:
        """Pictures from the spool in one message. When it cannot be one they come one by one."""
        room, doc = self._room, job.doc
        found = [(file, await asyncio.to_thread(_read, Path(file["path"]))) for file in doc["files"]]
        pictures = [InputMediaPhoto(data, filename=file["name"]) for file, data in found if data is not None]
        if len(pictures) < MIN_ALBUM:
            return await self._one_by_one(job)
        await self._outbox.about_to_send(job)

        async def upload() -> bool:
            caption = (render.AGAIN if doc.get("again") else "") + self._named(place)
            try:
                messages = await room.api.bot.send_media_group(
                    room.chat_id,
                    pictures,
                    caption=caption.strip() or None,
                    message_thread_id=doc.get("thread") if place is None else place.thread,
                    disable_notification=True,
                )
            except BadRequest as error:
                seconds = retry_after(error)
                if seconds is not None:
                    raise ToldToWaitError(seconds) from error
                if not _is_no_photo(error):
                    raise
                return await self._one_by_one(job)
            await room.expect_in(place, messages[0])
            return True

        return upload

    async def _one_by_one(self, job: Job) -> bool:
        for file in job.doc["files"]:
            doc = {"do": "file", "photo": True, "spooled": True, **file}
            await self._outbox.say(job.topic, job.rank, _where(job.doc) | doc)
        job.doc["files"] = []
        return True


def _where(doc: dict[str, Any]) -> dict[str, Any]:
    return {"thread": doc["thread"]} if "thread" in doc else {}


def _read(path: Path, identity: Sequence[int] | None = None) -> bytes | None:
    """None when it cannot be read, is larger than what may be sent, or is not the file of that device and inode: it may
    have become another since somebody looked whether it may be sent.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = os.fstat(file.fileno())
            other = identity is not None and tuple(identity) != (found.st_dev, found.st_ino)
            if other or not stat.S_ISREG(found.st_mode) or found.st_size > MAX_UPLOAD_BYTES:
                log.warning("telegram_file_changed", path=str(path))
                return None
            return file.read(MAX_UPLOAD_BYTES)
    except OSError as error:
        log.warning("telegram_file_gone", path=str(path), error=str(error))
        return None


def _is_no_photo(error: BadRequest) -> bool:
    """Whether the server would take it as a file."""
    return any(words in str(error).lower() for words in _NO_PHOTO)


def markup(rows: Rows | None) -> InlineKeyboardMarkup | None:
    """A keyboard as the library has it."""
    return InlineKeyboardMarkup.de_json({"inline_keyboard": rows}, None) if rows else None
