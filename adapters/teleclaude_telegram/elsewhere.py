"""What is said in a topic that is no session's of this computer. Every bot of a group hears it: one of them acts."""

from __future__ import annotations

from dataclasses import replace

from teleclaude.errors import BusyError, ConflictError, ForbiddenError, InvalidError, NotFoundError, TeleclaudeError
from teleclaude.wire.places import ListComputers
from teleclaude.wire.sessions import ListSessions, SendInput, SessionView
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.commands import COMMANDS
from teleclaude_telegram.journal import Place
from teleclaude_telegram.moves import tag_of
from teleclaude_telegram.room import PLAIN, Room
from teleclaude_telegram.topics import LIVE_STATES
from teleclaude_telegram.updates import Said, Spoken, read_command
from teleclaude_telegram.validation import checked

LEAVING_SECONDS = 30
"""For so long after a session has left, texts are passed on to it: its new owner's bot may not have known it yet."""

MOVING_SECONDS = 30.0
AGAIN_SECONDS = 0.3
CLIENTS = 16

_ANYWHERE = ("new", "new_session", "ls", "who", "help", "run", "py")
"""Commands that need no session of this computer."""

_THERE = ("run", "py")
"""Of these, those that act on the computer whose topic it is."""


def concerns(room: Room, said: Said) -> bool:
    """Whether this bot is to act on it, which only one bot of a group does."""
    if not room.is_group:
        return True
    spoken = None if said.attachment else read_command(said.text)
    if spoken is not None and spoken.bot:
        return spoken.bot == room.username
    if room.mode != PLAIN and said.thread_id is not None:
        return (
            room.at(said.thread_id) is not None
            or _is_leaving(room, said, spoken)
            or left_behind(room, said) is not None
        )
    return bool(room.context.settings.publish_commands)


def _is_leaving(room: Room, said: Said, spoken: Spoken | None) -> bool:
    """Whether it was said when the session was about to leave. A text may be passed on by two: it is typed once."""
    place = room.left_from(said.thread_id)
    typed = spoken is None and said.attachment is None
    return place is not None and said.date <= place.left_at + (LEAVING_SECONDS if typed else 0)


def left_behind(room: Room, said: Said) -> Place | None:
    """Whose topic this was to be: it was made, and the daemon ended, or the line broke, before it was known here."""
    if str(said.made_by) != room.bot_id or room.left_from(said.thread_id) is not None:
        return None
    mine = (place for place in room.places.values() if not place.left and place.thread not in (None, said.thread_id))
    return next((place for place in mine if said.made_as in (place.title, place.name)), None)


async def heard(ask: Ask, said: Said) -> None:
    """Raises ``TeleclaudeError``."""
    room = ask.tools.room
    spoken = None if said.attachment else read_command(said.text)
    if spoken is not None and spoken.bot:
        await _addressed(ask, spoken)
        return
    behind = left_behind(room, said)
    if behind is not None:
        raise ConflictError(
            f"nothing was done: this topic was left behind by a restart, and {behind.name} has another one",
            operation="telegram",
        )
    place = room.left_from(said.thread_id)
    if place is None or not room.is_group:
        where = "no session here" if place is None else f"a session that lives on {place.left} now"
        raise ConflictError(f"this topic is of {where}; nothing was done", operation="telegram")
    if spoken is not None or said.attachment is not None:
        raise ConflictError(
            f"{place.name} went to {place.left} while you wrote this; nothing was done with it here, write it again",
            operation="telegram",
        )
    try:
        await type_once(ask, place.session_id, said.text.removeprefix("/") if said.text[:2] == "//" else said.text)
    except ForbiddenError:
        return  # the bot over there says so


async def _addressed(ask: Ask, spoken: Spoken) -> None:
    """One bot was asked by name, in a topic of another one."""
    command = COMMANDS.get(spoken.name)
    if command is None or command.name not in _ANYWHERE:
        names = ", ".join(f"/{name}" for name in _ANYWHERE)
        raise InvalidError(f"this topic is another computer's; from here it takes {names}", operation="telegram")
    if command.name in _THERE:
        ask = replace(ask, there=await _whose(ask))
    await command.run(replace(ask, args=spoken.args, name=command.name))


async def _whose(ask: Ask) -> SessionView:
    """The session of another computer that lives in this topic. Raises ``NotFoundError``, and ``ConflictError`` when
    several carry its tag, which anybody may write who may begin sessions.
    """
    room = ask.tools.room
    away: list[str] = []
    live: list[SessionView] = []
    mark = tag_of(room, ask.thread or 0)
    for computer in (await ask.call(ListComputers())).computers:
        if computer.name == room.context.computer:
            continue
        if computer.state != "online":
            away.append(computer.name)
            continue
        try:
            found = (await ask.call(ListSessions(computer=computer.name, tag=mark))).sessions
        except TeleclaudeError:
            away.append(computer.name)
            continue
        live += [session for session in found if session.state in LIVE_STATES]
    if len(live) == 1:
        return live[0]
    if live:
        names = ", ".join(f"{session.computer}/{session.name}" for session in live)
        raise ConflictError(f"several sessions claim this topic ({names}); ask their own bot", operation="telegram")
    said = f"; not reached: {', '.join(away)}" if away else ""
    raise NotFoundError(f"no session of a computer that could be asked has this topic{said}", operation="telegram")


def numbered(room: Room, message_id: int) -> dict[str, object]:
    """How a message is known again. In a group all bots count alike, in private each counts for itself. The core keeps
    so many numbers of each client; a few clients take turns, so that one may come late.
    """
    number, client = divmod(message_id, CLIENTS)
    whose = "" if room.is_group else f"{room.bot_id}:"
    return {"client_id": f"tg:{whose}{room.chat_id}:{client}", "seq": number}


async def type_once(ask: Ask, session_id: str, text: str) -> None:
    """Submit a message's text. While a session moves, both computers' bots hear it, and both may come to type it: the
    receipts of input move along, so that it is typed once. Raises ``TeleclaudeError``.
    """
    fields: dict[str, object] = {"id": session_id, "text": text}
    if ask.message_id is not None:
        fields |= numbered(ask.tools.room, ask.message_id)
    command = checked(SendInput, fields)
    clock = ask.tools.room.context.clock
    deadline = clock.monotonic() + MOVING_SECONDS
    while True:
        try:
            await ask.call(command)
        except (BusyError, ConflictError) as error:
            # Starting, on its way, or somewhere else already, perhaps back here: a moment later it takes input.
            has_gone = isinstance(error, ConflictError) and "computer" in error.fields
            if not (has_gone or isinstance(error, BusyError)) or clock.monotonic() >= deadline:
                raise
        else:
            return
        await clock.sleep(AGAIN_SECONDS)
