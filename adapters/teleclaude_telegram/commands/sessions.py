"""Commands that begin, change and end sessions."""

from __future__ import annotations

import re
import shlex
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from teleclaude.errors import ForbiddenError, InvalidError
from teleclaude.model import Kind, Role
from teleclaude.wire.handoff import HandoffSession
from teleclaude.wire.places import ListAgents, ListDirectories
from teleclaude.wire.sessions import (
    CloseSession,
    CreateSession,
    GetSession,
    ListSessions,
    ResizeSession,
    RestartSession,
    SendInput,
    SessionView,
    UpdateSession,
)
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.keyboards import Button, columns
from teleclaude_telegram.room import PLAIN
from teleclaude_telegram.validation import checked

Run = Callable[[Ask], Awaitable[None]]

MAX_CHOICES = 24
MODES = ("fast", "med", "slow")
MAX_NAME = 63


async def new(ask: Ask) -> None:
    """With a name the default shell starts at once; else what and where is chosen."""
    if ask.args:
        await begin(ask, {"name": slug(ask.args)})
        return
    await ask.reply("What?", rows=columns(await _what(ask), 2))


async def _what(ask: Ask) -> list[Button]:
    agents = [agent for agent in (await ask.call(ListAgents())).agents if agent.installed]
    choices: list[tuple[str, dict[str, Any]]] = [("shell", {}), ("python", {"kind": "python"})]
    choices += [(agent.name, {"agent": agent.name}) for agent in agents[:MAX_CHOICES]]
    return [Button(label, {"do": "new_where", "thread": ask.thread, "fields": fields}) for label, fields in choices]


async def where(ask: Ask, fields: dict[str, Any]) -> None:
    """Choose a directory for the session; begin it at once when there is no choice."""
    found = [place for place in (await ask.call(ListDirectories())).directories if place.exists]
    if not found:
        await begin(ask, fields)
        return
    buttons = [
        Button(place.name or place.path, {"do": "new", "thread": ask.thread, "fields": {**fields, "cwd": place.path}})
        for place in found[:MAX_CHOICES]
    ]
    await ask.reply("Where?", rows=columns(buttons, 1))


async def begin(ask: Ask, fields: dict[str, Any]) -> SessionView:
    """Raises ``TeleclaudeError``."""
    if "cwd" not in fields and ask.principal.role < Role.OWNER:
        fields = {**fields, "cwd": await _somewhere(ask)}
    if "kind" in fields:
        fields = {**fields, "kind": Kind(fields["kind"])}
    session = await ask.call(checked(CreateSession, fields), "-new")
    room = ask.tools.room
    await ask.tools.watcher.watch(session)
    if room.mode == PLAIN:
        await room.turn_to(session.id)
        await ask.reply(f"🟢 {session.name} is the session that you talk to now.")
    return session


async def _somewhere(ask: Ask) -> str:
    found = [place for place in (await ask.call(ListDirectories())).directories if place.exists]
    if not found:
        raise ForbiddenError("there is no trusted directory; ask the owner for one", operation="session.create")
    return found[0].path


def agent(name: str) -> Run:
    async def run(ask: Ask) -> None:
        mode, prompt = await _mode(ask, name)
        fields: dict[str, Any] = {"agent": f"{name}:{mode}" if mode else name}
        if ask.place is not None:
            fields["cwd"] = (await ask.call(GetSession(id=ask.place.session_id))).cwd
        if prompt:
            fields["prompt"] = prompt
        await begin(ask, fields)

    return run


async def _mode(ask: Ask, name: str) -> tuple[str, str]:
    """The mode, "" for none, and the prompt. A word that means a mode is none of a prompt's, were it missing here."""
    word, _, rest = ask.args.partition(" ")
    profiles = (await ask.call(ListAgents())).agents
    modes = next((profile.modes for profile in profiles if profile.name == name), [])
    return (word, rest.strip()) if word in (*MODES, *modes) else ("", ask.args)


def slug(title: str) -> str:
    """A session's name out of what somebody wrote. Raises ``InvalidError`` when nothing is left of it."""
    name = re.sub(r"[^a-z0-9_]+", "-", title.lower()).strip("-_")[:MAX_NAME]
    if not name:
        raise InvalidError("a name has letters or digits: a-z, 0-9, _ and -", operation="session.create")
    return name


async def kill(ask: Ask) -> None:
    await ask.served()
    await ask.call(CloseSession(id=ask.session().session_id))


async def restart(ask: Ask) -> None:
    await ask.served()
    await ask.call(RestartSession(id=ask.session().session_id))


async def resume(ask: Ask) -> None:
    await ask.served()
    await ask.call(RestartSession(id=ask.session().session_id, resume=True))


async def rename(ask: Ask) -> None:
    place = ask.session()
    session = await ask.call(checked(UpdateSession, {"id": place.session_id, "name": slug(ask.args)}))
    place.name = session.name
    await ask.served()


async def resize(ask: Ask) -> None:
    words = ask.words(2)
    if len(words) != 2 or not all(word.isascii() and word.isdigit() and len(word) < 5 for word in words):
        raise InvalidError("write columns and rows: /resize 100 30", operation="session.resize")
    fields = {"id": ask.session().session_id, "cols": int(words[0]), "rows": int(words[1])}
    await ask.call(checked(ResizeSession, fields))
    await ask.served()


async def cd(ask: Ask) -> None:
    place = ask.session()
    if ask.args:
        ask.tools.watcher.touched(place.session_id)
        await ask.call(SendInput(id=place.session_id, text=f"cd {shlex.quote(ask.args)}"))
        await ask.served()
        return
    found = (await ask.call(ListDirectories())).directories
    if not found:
        raise InvalidError(
            "there are no trusted directories to choose from; write: /cd DIRECTORY", operation="telegram"
        )
    buttons = [
        Button(
            where.name or where.path,
            {"do": "type", "session": place.session_id, "text": f"cd {shlex.quote(where.path)}"},
        )
        for where in found[:MAX_CHOICES]
    ]
    await ask.reply("Where to?", rows=columns(buttons, 1))


async def handoff(ask: Ask) -> None:
    place = ask.session()
    if not ask.args:
        raise InvalidError("write the computer's name: /handoff COMPUTER", operation="session.handoff")
    command = checked(HandoffSession, {"id": place.session_id, "computer": ask.args.strip()})
    await ask.beside("handoff", f"handoff {place.session_id}", command=command.model_dump(mode="json"))


async def hand_over(ask: Ask, doc: Mapping[str, Any]) -> None:
    """Raises ``TeleclaudeError``."""
    await ask.call(checked(HandoffSession, doc["command"]))


async def use(ask: Ask) -> None:
    """In a chat without topics."""
    room = ask.tools.room
    if room.mode != PLAIN:
        raise InvalidError("here every session has a topic; write there", operation="telegram")
    if not ask.args:
        sessions = (await ask.call(ListSessions(state="running"))).sessions
        buttons = [Button(session.name, {"do": "use", "session": session.id}) for session in sessions[:MAX_CHOICES]]
        await ask.reply("Which one?" if buttons else "No session runs. /new NAME begins one.", rows=columns(buttons, 2))
        return
    session = await ask.call(checked(GetSession, {"id": ask.args.strip()}))
    await turn(ask, session)


async def turn(ask: Ask, session: SessionView) -> None:
    """Talk to this session from now on, everybody in the chat: so it takes who may talk at all."""
    if ask.principal.role < Role.OPERATOR:
        raise ForbiddenError("this is for operators", operation="telegram.use")
    await ask.tools.watcher.watch(session)
    if ask.tools.room.place(session.id) is None:
        raise InvalidError(f"{session.name} is not a session that runs here", operation="telegram")
    await ask.tools.room.turn_to(session.id)
    await ask.at(ask.tools.room.place(session.id)).reply("You talk to this session now.")
