"""Taps on buttons: each looked up, used up, and held against what is on the screen now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog

from teleclaude.errors import ConflictError, InvalidError, NotFoundError, StoppingError, TeleclaudeError
from teleclaude.model import Role
from teleclaude.wire.screens import ReadScreen
from teleclaude.wire.sessions import GetSession, SendInput, SendKeys
from teleclaude_telegram.api import ApiError, explain
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.commands import sessions, showing
from teleclaude_telegram.journal import Place
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.questions import Questions
from teleclaude_telegram.updates import Tapped
from teleclaude_telegram.validation import checked

log = structlog.get_logger(__name__)

ANSWER_CHARS = 190
EXPIRED = "This button has expired or was used already. Nothing was done."
CHANGED = "The screen has changed since. Nothing was pressed."
PERHAPS = "The daemon was restarted while it pressed this. The screen has changed: look whether it was pressed."
NOT_YOURS = "This is not yours: only who was asked can press it."
FOR_OPERATORS = "This is for operators. Nothing was done."

Deed = dict[str, Any]
Do = Callable[[Ask, Deed], Awaitable[str]]

_ALONE = ("key",)
"""Deeds whose button goes by itself; of all other keyboards one tap uses up all buttons."""

_STAYS = ("key", "log_file", "picture_file")
"""Deeds that leave their message where it is."""

_LOOKS = ("log_file", "picture_file")
"""Deeds that change nothing, so that whoever may look may do them."""


class Taps:
    def __init__(self, questions: Questions, say_late: Callable[[Ask, Deed], Awaitable[None]]) -> None:
        self._questions = questions
        self._say_late = say_late
        self._deeds: Mapping[str, Do] = {
            "answer": self._answer,
            "key": self._key,
            "type": _type,
            "dismiss": _dismiss,
            "late": self._late,
            "log_file": _log_file,
            "picture_file": _picture_file,
            "new_where": _new_where,
            "new": _new,
            "use": _use,
        }

    async def tap(self, ask: Ask, tapped: Tapped) -> None:
        """Do what the button stands for, and tell the person in a line."""
        journal = ask.tools.room.journal
        begun = await journal.begun(tapped.update_id)
        deed = begun or await journal.look_up(tapped.data, ask.tools.room.now())
        refusal = None if deed is None else _refusal(ask, deed)
        if refusal is not None:
            # Nothing is used up: it is still there for those who may.
            await self._tell(ask, tapped, refusal)
            return
        if deed is None or not (
            begun or await journal.burn(tapped.data, keyboard=deed["do"] not in _ALONE, by=tapped.update_id)
        ):
            await self._tell(ask, tapped, EXPIRED)
            return
        try:
            told = await self._do(ask, deed)
        except StoppingError:
            raise
        except TeleclaudeError as error:
            told = f"⚠️ {error.detail}"
        if told == CHANGED and begun:
            told = PERHAPS
        if not await self._tell(ask, tapped, told) and told:
            await ask.at(ask.tools.room.place(deed.get("session", ""))).reply(told)
        if deed["do"] not in _STAYS and tapped.message_id is not None:
            await ask.tools.room.tidy([tapped.message_id])

    async def _do(self, ask: Ask, deed: Deed) -> str:
        room = ask.tools.room
        if "session" in deed and deed["do"] != "use":
            place = room.place(deed["session"])
            if place is None:
                raise NotFoundError("the session is gone", operation="telegram.tap")
            if place.left and deed["do"] not in ("log_file", "dismiss"):
                raise ConflictError(f"it lives on {place.left} now; nothing was done", operation="telegram.tap")
            ask = ask.at(place)
        return await self._deeds[deed["do"]](ask, deed)

    async def _tell(self, ask: Ask, tapped: Tapped, text: str) -> bool:
        """Whether it could be told."""
        try:
            await ask.tools.room.api.bot.answer_callback_query(tapped.tap_id, text=text[:ANSWER_CHARS] or None)
        except ApiError as error:
            log.debug("telegram_tap_not_answered", error=explain(error))
            return False
        return True

    async def _answer(self, ask: Ask, deed: Deed) -> str:
        """Only while the very question is on the screen. What could not be answered is asked again."""
        place = ask.session()
        try:
            screen = await ask.call(ReadScreen(id=place.session_id))
            same = screen.prompt is not None and screen.prompt.fingerprint == deed["fingerprint"]
            if not same or await self._questions.is_another(place, screen, deed.get("end")):
                place.asked = ""
                await self._questions.ask(place, screen)
                return CHANGED
            ask.tools.watcher.touched(place.session_id)
            await ask.call(SendKeys(id=place.session_id, keys=deed["keys"]))
        except StoppingError:
            raise
        except TeleclaudeError:
            await self._questions.ask_again(place)
            raise
        place.asked = ""
        await ask.tools.room.keep(place)
        return ""

    async def _key(self, ask: Ask, deed: Deed) -> str:
        """A key, unless something is asked that the picture above it does not show."""
        place = ask.session()
        told = ""
        if not deed["keys"]:
            await ask.call(GetSession(id=place.session_id))
        elif await _asks_else(ask, place, deed.get("asked", "")):
            told = CHANGED
        else:
            ask.tools.watcher.touched(place.session_id)
            await ask.call(SendKeys(id=place.session_id, keys=deed["keys"]))
        doc = {"do": "picture", "keys": True}
        name = f"picture:{place.session_id}"
        ask.tools.outbox.show(place.session_id, doc, key=name, delay=0.3, rank=Rank.REPLY)
        return told

    async def _late(self, ask: Ask, deed: Deed) -> str:
        if deed["yes"]:
            await self._say_late(ask, deed)
        return ""


def _refusal(ask: Ask, deed: Deed) -> str | None:
    """Why this person cannot press it; None when nothing is in the way. What may come of one's own the core decides."""
    by = deed.get("by")
    if by is not None:
        return None if by == ask.principal.name else NOT_YOURS
    looks = deed["do"] in _LOOKS or (deed["do"] == "key" and not deed["keys"])
    return None if looks or ask.principal.role >= Role.OPERATOR else FOR_OPERATORS


async def _asks_else(ask: Ask, place: Place, shown: str) -> bool:
    """Whether the screen holds another question than the one whose fingerprint is ``shown``."""
    prompt = (await ask.call(ReadScreen(id=place.session_id))).prompt
    return prompt is not None and prompt.fingerprint != shown


async def _type(ask: Ask, deed: Deed) -> str:
    place = ask.session()
    ask.tools.watcher.touched(place.session_id)
    fields = {"id": place.session_id, "text": deed["text"], "submit": deed.get("submit", True)}
    await ask.call(checked(SendInput, fields))
    return ""


async def _dismiss(ask: Ask, deed: Deed) -> str:
    return ""


async def _log_file(ask: Ask, deed: Deed) -> str:
    place: Place = ask.session()
    await ask.call(GetSession(id=place.session_id))
    await showing.send_log(ask, place, deed["start"], deed["end"])
    return "It is on its way."


async def _picture_file(ask: Ask, deed: Deed) -> str:
    place = ask.session()
    await ask.call(GetSession(id=place.session_id))
    await ask.tools.outbox.say(place.session_id, Rank.REPLY, {"do": "picture", "as_file": True})
    return "It is on its way."


async def _new_where(ask: Ask, deed: Deed) -> str:
    await sessions.where(ask, deed["fields"])
    return ""


async def _new(ask: Ask, deed: Deed) -> str:
    return f"{(await sessions.begin(ask, deed['fields'])).name} begins."


async def _use(ask: Ask, deed: Deed) -> str:
    session = await ask.call(GetSession(id=deed["session"]))
    if session.state != "running":
        raise InvalidError(f"{session.name} does not run", operation="telegram.tap")
    await sessions.turn(ask, session)
    return session.name
