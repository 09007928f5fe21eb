"""Files, photos and voice notes that people send: kept first, used only after a confirmation."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Any

from teleclaude.errors import InvalidError, TooLargeError, UnavailableError
from teleclaude.model import Role
from teleclaude.wire.executions import ExecutionView, StartExecution
from teleclaude.wire.files import PutFile
from teleclaude.wire.output import ReadOutput
from teleclaude_telegram import render
from teleclaude_telegram.api import ApiError, explain
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Button
from teleclaude_telegram.room import SELF, write_private
from teleclaude_telegram.updates import Attachment
from teleclaude_telegram.validation import checked

ALBUM_SECONDS = 1.0
"""How long the next file of an album is waited for."""
MAX_DOWNLOAD_BYTES = 20 << 20
MAX_NAME_CHARS = 80
TRANSCRIBE_MS = 60_000
MAX_SPOKEN_BYTES = 16 << 10
MAX_SPOKEN_UNITS = 4000
"""What is typed has to have been seen."""


async def take(ask: Ask, attachment: Attachment, caption: str) -> None:
    """Raises ``TeleclaudeError``."""
    if attachment.kind == "other":
        if ask.place is not None:
            await ask.reply(f"⚠️ A {attachment.name.replace('_', ' ')} cannot be typed; send text or a file.")
        return
    if ask.principal.role < Role.OPERATOR:
        raise InvalidError("files are taken from operators only", operation="telegram.file")
    if attachment.kind == "voice":
        await ask.beside("voice", f"voice {ask.key}", attachment=asdict(attachment))
        return
    place = ask.session()
    data = await _download(ask, attachment)
    name = f"{secrets.token_hex(3)}-{safe_name(attachment.name)}"
    view = await ask.tools.room.hub.put_file(ask.principal, PutFile(id=place.session_id, name=name), _pieces(data))
    await _offer(ask, place, view.path, caption, attachment.album)
    await ask.served()


async def _offer(ask: Ask, place: Place, path: str, caption: str, album: str) -> None:
    """Files that were sent together are offered together, as long as they have not been offered yet."""
    key = f"album:{place.session_id}:{album}" if album else None
    waiting = None if key is None else ask.tools.outbox.plan.find(key)
    paths = [*(waiting.doc["paths"] if waiting else ()), path]
    caption = caption or (waiting.doc["caption"] if waiting else "")
    typed = shlex.join(paths) + (f" {caption}" if caption else " ")
    several = len(paths) > 1
    rows = [
        [
            Button(
                "Type their paths" if several else "Type its path",
                {"do": "type", "session": place.session_id, "text": typed, "submit": False},
            ),
            Button("Only keep them" if several else "Only keep it", {"do": "dismiss", "session": place.session_id}),
        ]
    ]
    text = "\n".join(f"📎 {path}" for path in paths)
    if key is None:
        await ask.reply(text, rows=rows)
    else:
        await ask.reply(text, rows=rows, key=key, also={"paths": paths, "caption": caption}, delay=ALBUM_SECONDS)


def safe_name(name: str) -> str:
    """A file's name in which nothing is left that any program could mean otherwise."""
    last = re.split(r"[/\\]", name)[-1]
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", last).lstrip(".-_")
    stem, dot, suffix = kept.rpartition(".")
    if dot and len(suffix) <= 10:
        return f"{(stem or 'file')[: MAX_NAME_CHARS - len(suffix) - 1]}.{suffix}" if suffix else stem[:MAX_NAME_CHARS]
    return kept[:MAX_NAME_CHARS] or "file"


async def _download(ask: Ask, attachment: Attachment) -> bytes:
    if attachment.size is not None and attachment.size > MAX_DOWNLOAD_BYTES:
        raise TooLargeError(
            f"bots may fetch {MAX_DOWNLOAD_BYTES >> 20} MB at most; send it another way", operation="telegram.file"
        )
    try:
        file = await ask.tools.room.api.bot.get_file(attachment.file_id)
        return bytes(await file.download_as_bytearray())
    except ApiError as error:
        raise UnavailableError(
            f"the file could not be fetched ({explain(error)}); send it again", operation="telegram.file"
        ) from error


async def _pieces(data: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(data), 1 << 16):
        yield data[start : start + (1 << 16)]


async def listen(ask: Ask, doc: Mapping[str, Any]) -> None:
    """What was spoken, as text to be confirmed. Raises ``TeleclaudeError``."""
    attachment = Attachment(**doc["attachment"])
    command = ask.tools.room.context.in_force.transcribe_command
    if not command:
        raise InvalidError(
            "voice notes are off; set telegram.transcribe_command to turn them on", operation="telegram.voice"
        )
    place = ask.session()
    data = await _download(ask, attachment)
    path = ask.tools.room.folder / "spool" / f"{secrets.token_hex(12)}.oga"
    await asyncio.to_thread(write_private, path, data)
    try:
        text = await _transcribed(ask, [*command, str(path)])
    finally:
        await asyncio.to_thread(path.unlink, missing_ok=True)
    text = render.clean(text)
    if render.units(text) > MAX_SPOKEN_UNITS:
        raise TooLargeError(
            f"more was understood than one message can show ({len(text)} characters); say it in parts",
            operation="telegram.voice",
        )
    rows = [
        [
            Button("Send", {"do": "type", "session": place.session_id, "text": text, "submit": True}),
            Button("Discard", {"do": "dismiss", "session": place.session_id}),
        ]
    ]
    await ask.reply(f"🎙 {text}", rows=rows)
    await ask.served()


async def _transcribed(ask: Ask, argv: list[str]) -> str:
    """The configured command runs as the daemon's own; who spoke has no say in it."""
    hub = ask.tools.room.hub
    fields = {"argv": argv, "timeout_ms": TRANSCRIBE_MS, "wait_ms": TRANSCRIBE_MS, "tags": ["telegram-voice"]}
    execution: ExecutionView = await hub.call(SELF, checked(StartExecution, fields))
    end = execution.streams.stdout.end
    if execution.status != "completed" or not end:
        raise UnavailableError(
            f"the transcription ended {execution.status}; see its output: {execution.id}", operation="telegram.voice"
        )
    request = {"id": execution.id, "stream": "stdout", "from": 0, "limit": MAX_SPOKEN_BYTES, "format": "text"}
    text = (await hub.call(SELF, checked(ReadOutput, request))).data.decode(errors="replace").strip()
    if not text:
        raise UnavailableError("nothing was understood; say it again", operation="telegram.voice")
    return text
