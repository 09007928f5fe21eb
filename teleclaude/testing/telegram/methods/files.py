"""Files to and from a chat."""

from __future__ import annotations

import secrets
import struct
from collections.abc import Callable
from typing import Any

from teleclaude.testing.telegram.limits import ALBUM, DOWNLOAD_BYTES, PHOTO_BYTES, PHOTO_RATIO, PHOTO_SIDES
from teleclaude.testing.telegram.methods.request import Request, caption_of, same
from teleclaude.testing.telegram.refusal import bad_request
from teleclaude.testing.telegram.world import File, World

Media = dict[str, Any]


def send_photo(request: Request) -> Any:
    return _send(request, photo_content(_file(request, request.params.text("photo"), "photo")))


def send_document(request: Request) -> Any:
    return _send(request, document_content(_file(request, request.params.text("document"), "document")))


def send_voice(request: Request) -> Any:
    file = _file(request, request.params.text("voice"), "voice")
    return _send(request, voice_content(file, request.params.number("duration") or 0))


def send_media_group(request: Request) -> Any:
    media = request.params.value("media", "media")
    if not isinstance(media, list) or not ALBUM[0] <= len(media) <= ALBUM[1]:
        raise bad_request("album must contain from 2 to 10 media")
    chat = request.chat()
    thread = request.thread(chat)
    kinds = {item.get("type") for item in media if isinstance(item, dict)}
    if "document" in kinds and len(kinds) > 1:
        raise bad_request("document can't be mixed with other media types")
    made, group = [], str(secrets.randbits(53))
    for item in media:
        content, caption, entities = _described(request, item)
        made.append((content | {"media_group_id": group}, caption, entities))
    date, silent = request.world.date(), request.params.flag("disable_notification")
    return [
        chat.add(
            request.bot.user, date, thread_id=thread, content=content, caption=caption, entities=entities, silent=silent
        ).view()
        for content, caption, entities in made
    ]


def edit_message_media(request: Request) -> Any:
    chat = request.chat()
    message = request.own_message(chat, "message to edit not found", "message can't be edited")
    if message.text is not None:
        raise bad_request("there is no media in the message to edit")
    media = request.params.value("media", "media")
    if not isinstance(media, dict):
        raise bad_request("media is not specified")
    content, caption, entities = _described(request, media)
    keyboard = request.keyboard(chat)
    if (content, caption, keyboard) == (message.content, message.caption, message.keyboard):
        raise same()
    message.content, message.caption, message.entities, message.keyboard = content, caption, entities, keyboard
    message.edit_date = request.world.date()
    message.edits += 1
    return message.view()


def get_file(request: Request) -> Any:
    file = request.world.files.get(request.params.text("file_id") or "")
    if file is None:
        raise bad_request("wrong file_id or the file is temporarily unavailable")
    if file.size > DOWNLOAD_BYTES:
        raise bad_request("file is too big")
    return {"file_id": file.id, "file_unique_id": file.unique_id, "file_size": file.size, "file_path": file.path}


def photo_content(file: File) -> Media:
    """Raises ``ApiError`` for what is no picture, or one too large or too long."""
    if file.size > PHOTO_BYTES:
        size = f"file of size {file.size} bytes is too big for a photo"
        raise bad_request(f"{size}; the maximum size is {PHOTO_BYTES} bytes")
    sides = picture_size(file.data)
    if sides is None:
        raise bad_request("IMAGE_PROCESS_FAILED")
    if sum(sides) > PHOTO_SIDES or max(sides) > PHOTO_RATIO * min(sides):
        raise bad_request("PHOTO_INVALID_DIMENSIONS")
    return {"photo": [_common(file) | {"width": sides[0], "height": sides[1]}]}


def document_content(file: File) -> Media:
    return {"document": _common(file) | {"file_name": file.name, "mime_type": file.mime}}


def voice_content(file: File, seconds: int) -> Media:
    return {"voice": _common(file) | {"duration": seconds, "mime_type": file.mime}}


def picture_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG or JPEG picture; None when it is neither."""
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
        return (width, height) if width and height else None
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        if data[at + 1] in {0xC0, 0xC1, 0xC2}:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _common(file: File) -> Media:
    return {"file_id": file.id, "file_unique_id": file.unique_id, "file_size": file.size}


def _send(request: Request, content: Media) -> Any:
    chat = request.chat()
    caption, entities = request.caption()
    message = chat.add(
        request.bot.user,
        request.world.date(),
        thread_id=request.thread(chat),
        content=content,
        caption=caption,
        entities=entities,
        keyboard=request.keyboard(chat),
        reply_to=request.reply_target(chat),
        silent=request.params.flag("disable_notification"),
    )
    return message.view()


_KINDS: dict[str, Callable[[File], Media]] = {"photo": photo_content, "document": document_content}


def _described(request: Request, item: Any) -> tuple[Media, str | None, list[dict[str, Any]]]:
    """One ``InputMedia``: its content, caption and entities."""
    kind = item.get("type") if isinstance(item, dict) else None
    if kind not in _KINDS:
        raise bad_request("can't parse InputMedia: type is not supported")
    content = _KINDS[kind](_file(request, item.get("media"), kind))
    caption, entities = caption_of(item.get("caption"), item.get("parse_mode"), item.get("caption_entities"))
    return content, caption, entities


def _file(request: Request, given: str | None, name: str) -> File:
    """An uploaded file, or one that the server has already."""
    upload = request.params.files.get((given or "").removeprefix("attach://") if given else name)
    if upload is None:
        return _known(request.world, given, name)
    if not upload.data:
        raise bad_request("file must be non-empty")
    return request.world.add_file(upload.data, upload.name, upload.mime)


def _known(world: World, given: str | None, name: str) -> File:
    if not given:
        raise bad_request(f"there is no {name} in the request")
    if given not in world.files:
        raise bad_request("wrong file identifier/HTTP URL specified")
    return world.files[given]
