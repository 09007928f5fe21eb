"""Commands that show something."""

from __future__ import annotations

import asyncio
import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from teleclaude.errors import ForbiddenError, InvalidError, NotFoundError, TeleclaudeError, TooLargeError
from teleclaude.model import Role
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.places import ListComputers, ListDirectories
from teleclaude.wire.sessions import GetSession, ListSessions, SessionView
from teleclaude_telegram import render
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.journal import Place
from teleclaude_telegram.media import MAX_UPLOAD_BYTES
from teleclaude_telegram.plan import MAX_AT_ONCE, Rank
from teleclaude_telegram.room import write_private
from teleclaude_telegram.validation import checked

LOG_LINES = 60
LOG_BYTES = 256 << 10
FILE_BYTES = 16 << 20
PIECE_BYTES = 1 << 20


async def listing(ask: Ask) -> None:
    found: list[SessionView] = []
    away: list[str] = []
    for computer in (await ask.call(ListComputers())).computers:
        here = computer.name == ask.tools.room.context.computer
        try:
            sessions = await ask.call(ListSessions() if here else ListSessions(computer=computer.name))
        except TeleclaudeError:
            away.append(computer.name)
            continue
        found += [one for one in sessions.sessions if one.state in ("starting", "running", "handing_off", "lost")]
    text = render.listing(found)
    await ask.reply(text + render.Text(f"\nnot reached: {', '.join(away)}") if away else text)


async def screen(ask: Ask) -> None:
    place = ask.session()
    await ask.call(GetSession(id=place.session_id))
    doc = {"do": "picture", "fresh": True}
    await ask.tools.outbox.say(place.session_id, Rank.REPLY, doc, key=f"fresh:{place.session_id}")
    await ask.served()


async def output(ask: Ask) -> None:
    """The last lines of the stream; the rest by a file when there is more."""
    place = ask.session()
    session = await ask.call(GetSession(id=place.session_id))
    lines = ask.number(LOG_LINES, most=5000)
    request = {"id": place.session_id, "from": -LOG_BYTES, "limit": LOG_BYTES, "format": "text"}
    chunk = await ask.call(checked(ReadOutput, request))
    text = render.clean(chunk.data.decode(errors="replace")).rstrip()
    wanted = "\n".join(text.split("\n")[-lines:])
    if render.units(wanted) <= render.TEXT_UNITS - 200:
        shown = render.pre(wanted)
        await ask.reply(shown if shown.body else "There is no output yet.", tidy=False)
        await ask.served()
        return
    await send_log(ask, place, session.output.start, session.output.end)


async def send_log(ask: Ask, place: Place, start: int, end: int) -> None:
    """The text of a range of the stream as a file."""
    start = max(start, end - FILE_BYTES)
    parts: list[bytes] = []
    while start < end:
        request = {"id": place.session_id, "from": start, "limit": min(PIECE_BYTES, end - start), "format": "text"}
        chunk = await ask.call(checked(ReadOutput, request))
        parts.append(chunk.data)
        if chunk.end <= start:
            break
        start = chunk.end
    await send_spooled(ask, b"".join(parts), f"{place.name}.txt")
    await ask.served()


async def send_album(ask: Ask, pictures: Sequence[tuple[str, bytes]]) -> None:
    """Pictures with their names, as many together as one message takes."""
    for start in range(0, len(pictures), MAX_AT_ONCE):
        part = pictures[start : start + MAX_AT_ONCE]
        if len(part) == 1:
            await send_spooled(ask, part[0][1], part[0][0], photo=True)
            continue
        files = [{"path": str(await _spool(ask, data)), "name": name} for name, data in part]
        await _send(ask, {"do": "album", "files": files})


async def _spool(ask: Ask, data: bytes) -> Path:
    path = ask.tools.room.folder / "spool" / secrets.token_hex(12)
    await asyncio.to_thread(write_private, path, data)
    return path


async def send_spooled(ask: Ask, data: bytes, name: str, *, photo: bool = False, caption: str = "") -> None:
    """A file that waits in a spool until it has gone."""
    doc = {
        "do": "file",
        "path": str(await _spool(ask, data)),
        "name": name,
        "spooled": True,
        "photo": photo,
        "caption": caption,
    }
    await _send(ask, doc)


async def _send(ask: Ask, doc: dict[str, object]) -> None:
    await ask.say(doc, Rank.REPLY)


async def get(ask: Ask) -> None:
    """A file from an allowed directory."""
    if ask.principal.role < Role.OPERATOR:
        raise ForbiddenError("files are for operators", operation="telegram.get")
    if not ask.args:
        raise InvalidError("write the file's path: /get PATH", operation="telegram.get")
    allowed = ask.tools.room.context.in_force.download_dirs
    if allowed is None:
        allowed = [place.path for place in (await ask.call(ListDirectories())).directories]
    base = "/" if ask.place is None else (await ask.call(GetSession(id=ask.place.session_id))).cwd
    path = await asyncio.to_thread(allowed_file, base, ask.args.strip(), [str(folder) for folder in allowed])
    found = await asyncio.to_thread(os.lstat, path)
    await _send(ask, {"do": "file", "path": str(path), "name": path.name, "identity": [found.st_dev, found.st_ino]})
    await ask.served()


def allowed_file(base: str, wanted: str, folders: list[str]) -> Path:
    """The real path of a regular file in one of ``folders``, links followed. Raises ``TeleclaudeError``."""
    if "\0" in wanted:
        raise InvalidError("a path has no NUL in it", operation="telegram.get")
    path = Path(base, Path(wanted).expanduser() if wanted.startswith("~") else wanted)
    try:
        real = path.resolve()
        found = real.stat() if real.exists() else None
    except (OSError, RuntimeError) as error:
        raise NotFoundError(f"{wanted} cannot be looked at", operation="telegram.get") from error
    if not any(real.is_relative_to(Path(folder).resolve()) for folder in folders):
        raise ForbiddenError(
            f"files come from these directories only: {', '.join(folders) or 'none'}", operation="telegram.get"
        )
    if found is None or not stat.S_ISREG(found.st_mode):
        raise NotFoundError(f"there is no file {wanted}", operation="telegram.get")
    if found.st_size > MAX_UPLOAD_BYTES:
        raise TooLargeError(
            f"{wanted} has {found.st_size} bytes; bots may send {MAX_UPLOAD_BYTES}", operation="telegram.get"
        )
    if found.st_size == 0:
        raise InvalidError(f"{wanted} is empty", operation="telegram.get")
    return real


async def who(ask: Ask) -> None:
    users = ask.tools.room.context.in_force.users
    lines = [f"{user_id}: {Role(role).label}" for user_id, role in sorted(users.items())]
    you = f"You are {ask.principal.name}, {ask.principal.role.label}."
    await ask.reply("\n".join([you, f"This is {ask.tools.room.context.computer}.", *lines]))
