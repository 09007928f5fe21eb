"""Sessions that go to other computers and come from there: the topic goes along, and only the owner's bot serves it.

Each bot says what was printed while its computer had the session: the old one up to where it left, the new one from
where it arrived.
"""

from __future__ import annotations

from typing import Literal

import structlog

from teleclaude.api import OutputText
from teleclaude.errors import TeleclaudeError
from teleclaude.model import Chunk, Gap
from teleclaude.wire.output import FollowOutput
from teleclaude.wire.sessions import GetSession, SessionView, UpdateSession
from teleclaude_telegram.journal import Place
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.room import PLAIN, SELF, Room

log = structlog.get_logger(__name__)

FIRST_TOPIC = 2
"""Topic 1 is the general one, which is no session's."""

MAX_TAGS = 32
READ_SECONDS = 5.0


def tag_of(room: Room, thread: int) -> str:
    """What a session carries so that its next owner's bot finds the topic."""
    return f"telegram:{-room.chat_id}:{thread}"


async def tag(room: Room, place: Place) -> None:
    """Write the topic beside the session. One that has left is its new owner's to write to."""
    if not room.is_group or place.thread is None or place.left:
        return
    mark = tag_of(room, place.thread)
    try:
        session = await room.hub.call(SELF, GetSession(id=place.session_id))
        others = [one for one in session.tags if not one.startswith("telegram:")]
        if session.handed_off is None and mark not in session.tags and len(others) < MAX_TAGS:
            await room.hub.call(SELF, UpdateSession(id=place.session_id, tags=[*others, mark]))
    except TeleclaudeError as error:
        log.debug("telegram_topic_not_marked", session=place.session_id, error=str(error))


async def read_here(room: Room, session_id: str, start: int, end: int, form: Literal["raw", "text"]) -> bytes:
    """What a session that has left printed here; asked for in any other way it would be read at its new owner's."""
    request = FollowOutput.model_validate({"id": session_id, "from": start, "format": form})
    parts: list[bytes] = []
    async with room.hub.follow_output(SELF, request) as output:
        while output.offset < end:
            match await output.next(READ_SECONDS):
                case Chunk(data=data):
                    parts.append(data)
                case OutputText(text=text):
                    parts.append(text.encode())
                case Gap():
                    continue
                case _:
                    break
    return b"".join(parts)


class Moves:
    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox

    def thread_of(self, session: SessionView) -> int | None:
        """The topic that it brings along. One that was never elsewhere brings none, whatever its tags say, and none is
        taken from a session that lives in it.
        """
        if session.epoch < 2 or not self._room.is_group:
            return None
        prefix = f"telegram:{-self._room.chat_id}:"
        for one in session.tags:
            digits = one.removeprefix(prefix)
            if one.startswith(prefix) and digits.isascii() and digits.isdecimal() and int(digits) >= FIRST_TOPIC:
                holder = self._room.at(int(digits))
                return int(digits) if holder is None or holder.session_id == session.id else None
        return None

    async def place(self, session: SessionView, offset: int | None) -> Place:
        """A place for one that had none here. ``offset`` is where its output begins here, when that is known."""
        said = session.output.start
        if session.epoch > 1:
            said = session.output.end if offset is None else offset
        place = Place(session.id, session.name, thread=self.thread_of(session), said=said)
        await self._room.add(place)
        return place

    async def back(self, place: Place, session: SessionView, offset: int | None) -> None:
        """It was elsewhere and is here again. What is still to be said of the time before is said as it was meant."""
        await self._outbox.settle(f"final:{place.session_id}", {"start": place.said})
        place.left, place.left_at, place.closed = "", 0.0, False
        place.thread = self.thread_of(session) or place.thread
        place.title, place.live, place.picture = "", None, None
        place.said = session.output.end if offset is None else offset
        await self._room.keep(place)

    async def leave(self, place: Place, computer: str) -> None:
        """From now on what is written in its topic is for the other computer's bot."""
        if place.left:
            return
        place.left, place.left_at, place.asked = computer, self._room.now(), ""
        await self._room.keep(place)
        self._outbox.plan.forget(f"live:{place.session_id}")
        if self._room.mode == PLAIN and self._room.current == place.session_id:
            await self._room.turn_to(None)

    async def part(self, place: Place, end: int, *, silent: bool, screen: str) -> None:
        """All of its output here has been read: queue what of that was not said, and then where it went.

        ``screen`` is what it showed last, for programs that draw.
        """
        if end > place.said:
            final = {"do": "final", "end": end, "silent": silent, "screen": screen}
            await self._outbox.say(place.session_id, Rank.FINAL, final, key=f"final:{place.session_id}")
        await self._outbox.say(place.session_id, Rank.FINAL, {"do": "left"}, key=f"left:{place.session_id}", last=True)
