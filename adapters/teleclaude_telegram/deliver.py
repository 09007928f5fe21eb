"""Says one thing: makes its text at the last moment and does with the chat what that needs, one call at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from functools import partial

import structlog

from teleclaude.wire.screens import ReadScreen
from teleclaude_telegram import render
from teleclaude_telegram.api import BadRequest
from teleclaude_telegram.finals import Finals
from teleclaude_telegram.journal import Place
from teleclaude_telegram.media import Media
from teleclaude_telegram.outbox import Outbox, Rest
from teleclaude_telegram.plan import Detail, Job, Rank
from teleclaude_telegram.questions import Questions
from teleclaude_telegram.render import Text
from teleclaude_telegram.room import SELF, Room
from teleclaude_telegram.sender import Sender, entities
from teleclaude_telegram.topics import Topics

log = structlog.get_logger(__name__)


_OF_ITS_OWNER = ("live", "question", "title", "topic", "close")
"""What only the bot of the computer that has a session does."""

Handler = Callable[[Job, Place | None], Awaitable[bool | Rest]]


class Deliverer:
    """``step`` is what the outbox calls."""

    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox
        self._topics = topics = Topics(room, outbox)
        self._sender = sender = Sender(room, outbox)
        self.questions = questions = Questions(room, outbox, sender)
        media = Media(room, outbox)
        self._handlers: dict[str, Handler] = {
            "say": self._say,
            "final": Finals(room, outbox, sender).deliver,
            "live": self._live,
            "question": questions.deliver,
            "picture": media.picture,
            "file": media.file,
            "album": media.album,
            "title": topics.title,
            "left": self._left,
            "close": topics.close,
            "reopen": topics.reopen,
            "topic": self._topic,
            "remove": self._remove,
        }

    async def step(self, job: Job) -> bool | Rest:
        """Raises ``ApiError`` when the call was refused or did not arrive, ``TeleclaudeError`` when nothing can be
        shown.
        """
        room = self._room
        if room.mode is None or not room.is_sure:
            await self._outbox.spend()
            await room.learn()
            return False
        place = room.place(job.topic) if job.topic else None
        if job.topic and place is None:
            return True
        if place is not None and place.left and job.doc["do"] in _OF_ITS_OWNER:
            return True
        if (
            place is not None
            and place.thread is None
            and room.may_make_topics
            and not place.left
            and job.doc["do"] not in ("close", "title")
        ):
            return await self._mended(job, place, lambda: self._topics.open(place))
        done = await self._mended(job, place, lambda: self._handlers[job.doc["do"]](job, place))
        return done if isinstance(done, bool) else partial(self._rest, job, place, done)

    async def _mended(self, job: Job, place: Place | None, work: Callable[[], Awaitable[bool | Rest]]) -> bool | Rest:
        try:
            return await work()
        except BadRequest as error:
            return await self._topics.refused(job, place, error)

    async def _rest(self, job: Job, place: Place | None, rest: Rest) -> bool:
        return await self._mended(job, place, rest) is True

    async def _topic(self, job: Job, place: Place | None) -> bool:
        """There is one now; ``step`` has made it."""
        return True

    async def _say(self, job: Job, place: Place | None) -> bool:
        doc = job.doc
        text = Text(doc["text"], tuple(doc.get("entities", ())))
        message = await self._sender.send(
            job, place, text, keyboard=doc.get("keyboard"), silent=doc.get("silent", True)
        )
        if place is not None and doc.get("tidy"):
            place.tidy_later(message.message_id)
            await self._room.keep(place)
        if place is not None and "ended" in doc:
            place.ended = doc["ended"]
            await self._room.keep(place)
        return True

    async def _remove(self, job: Job, place: Place | None) -> bool:
        """Delete a message that must not stay; one that cannot be deleted is left to the person."""
        try:
            await self._room.api.bot.delete_message(self._room.chat_id, job.doc["message"])
        except BadRequest as error:
            if "not found" not in str(error).lower():
                text = f"⚠️ Remove what you wrote yourself: it is a secret, and the bot may not ({error})."
                await self._outbox.say(job.topic, Rank.URGENT, {"do": "say", "text": text, "silent": False})
        return True

    async def _left(self, job: Job, place: Place | None) -> bool:
        """Everything else is said: where it went."""
        assert place is not None
        if not place.left:
            return True
        await self._sender.send(job, place, Text(f"➡️ It lives on {place.left} now."))
        place.asked, place.closed = "", True
        served = place.served()
        await self._room.keep(place)
        await self._room.tidy(served)
        return True

    async def _live(self, job: Job, place: Place | None) -> bool:
        """The terminal as it is, in the one message that is edited; nothing when it looks the same."""
        assert place is not None
        now = self._room.context.clock.monotonic()
        detail = self._outbox.plan.detail(now)
        if detail is Detail.SILENT:
            return True
        screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        if await self.questions.ask(place, screen):
            return True
        lines = render.DIGEST_LINES if detail is Detail.DIGEST else render.SCREEN_LINES
        text = render.pre(render.screen_text(screen.lines, lines))
        digest = hashlib.sha256(text.body.encode()).hexdigest()
        if not text.body or (place.live is not None and place.live_hash == digest):
            return True
        if place.live is None:
            message = await self._sender.send(job, place, text)
            place.live, place.live_hash = message.message_id, digest
            await self._room.keep(place)
            return True
        if not self._room.is_apart(place):
            text = render.bold(f"[{place.name}]\n") + text
        await self._outbox.spend()
        await self._room.api.bot.edit_message_text(
            text.body, chat_id=self._room.chat_id, message_id=place.live, entities=entities(text)
        )
        place.live_hash = digest
        return True
