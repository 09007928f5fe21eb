"""Topics: made, named, opened again, closed. One call that counts at a time."""

from __future__ import annotations

import structlog

from teleclaude.wire.sessions import GetSession
from teleclaude_telegram import looks, moves
from teleclaude_telegram.api import BadRequest, lacks_rights
from teleclaude_telegram.journal import Place
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Job, Rank
from teleclaude_telegram.room import PLAIN, SELF, TOPICS, Room

log = structlog.get_logger(__name__)

MAX_REMADE = 2
LIVE_STATES = ("starting", "running", "handing_off")


class Topics:
    """Every method raises ``ApiError`` when a call was refused or did not arrive."""

    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox

    async def open(self, place: Place) -> bool:
        """Make the topic; what was to be said in it comes next."""
        session = await self._room.hub.call(SELF, GetSession(id=place.session_id))
        look = looks.look(session, asks=bool(place.asked), icons=self._room.icons)
        await self._outbox.spend()
        try:
            topic = await self._room.api.bot.create_forum_topic(
                self._room.chat_id, look.name, icon_custom_emoji_id=look.icon or None
            )
        except BadRequest as error:
            if not lacks_rights(error):
                raise
            # It is said in the general topic then, rather than not at all.
            self._room.refuses_topics()
            log.warning("telegram_may_not_make_topics", hint="make the bot administrator with can_manage_topics")
            return False
        place.thread, place.closed = topic.message_thread_id, False
        place.title, place.icon, place.shows_question = look.name, look.icon, bool(place.asked)
        place.live = place.picture = None
        await self._room.keep(place)
        log.info("telegram_topic_made", session=place.session_id, thread=place.thread)
        await moves.tag(self._room, place)
        return False

    async def refused(self, job: Job, place: Place | None, error: BadRequest) -> bool:
        """What can be mended is mended; the rest is raised again."""
        text = str(error).lower()
        if _is_unchanged(error):
            return True
        if "chat is not a forum" in text:
            # Topics were switched off meanwhile: what the chat can do is asked for again.
            self._room.mode = None
            self._room.refuses_topics()
            return False
        if "document_invalid" in text and self._room.icons:
            log.warning("telegram_icons_refused")
            self._room.icons = {}
            return False
        if place is None:
            return _elsewhere(job, error)
        if "topic_closed" in text and place.thread is not None:
            await self.reopen(job, place)
            session = await self._room.hub.call(SELF, GetSession(id=place.session_id))
            if session.state not in LIVE_STATES and job.doc["do"] != "close":
                await self._outbox.say(
                    place.session_id, Rank.FINAL, {"do": "close"}, key=f"close:{job.topic}", last=True
                )
            return False
        if "thread not found" in text or "topic_deleted" in text or "topic_id_invalid" in text:
            return await self._lost(job, place)
        if "message to edit not found" in text or "message can't be edited" in text:
            place.live = place.picture = None
            await self._room.keep(place)
            return False
        raise error

    async def _lost(self, job: Job, place: Place) -> bool:
        """The topic was deleted: make it once more, and say nothing there when that does not help."""
        place.thread, place.live, place.picture = None, None, None
        place.remade += 1
        await self._room.keep(place)
        log.warning("telegram_topic_gone", session=place.session_id, times=place.remade)
        if job.doc["do"] in ("close", "title", "live"):
            return True
        return place.remade > MAX_REMADE

    async def title(self, job: Job, place: Place | None) -> bool:
        """Name and icon as they are to be, in one call; none when they are so already. A closed topic has them, too."""
        if place is None or place.thread is None or self._room.mode == PLAIN:
            return True
        session = await self._room.hub.call(SELF, GetSession(id=place.session_id))
        asks = bool(place.asked)
        look = looks.look(session, asks=asks, icons=self._room.icons)
        name = look.name if look.name != place.title else None
        icon = look.icon if look.icon != place.icon else None
        if name is not None or icon is not None:
            await self._outbox.spend()
            try:
                await self._room.api.bot.edit_forum_topic(
                    self._room.chat_id, place.thread, name=name, icon_custom_emoji_id=icon
                )
            except BadRequest as error:
                if not _is_unchanged(error):
                    raise
        place.name, place.title, place.icon, place.shows_question = session.name, look.name, look.icon, asks
        await self._room.keep(place)
        return True

    async def reopen(self, job: Job, place: Place | None) -> bool:
        """Somebody closed it, or it was closed with a session that goes on."""
        if place is None or place.thread is None:
            return True
        if self._room.mode == TOPICS and self._room.is_group:
            await self._outbox.spend()
            try:
                await self._room.api.bot.reopen_forum_topic(self._room.chat_id, place.thread)
            except BadRequest as error:
                if not _is_unchanged(error):
                    raise
        place.closed = False
        await self._room.keep(place)
        return True

    async def close(self, job: Job, place: Place | None) -> bool:
        """Close it, never delete it; of a session that is forgotten the thread is all that is left."""
        thread = job.doc.get("thread") if place is None else place.thread
        if thread is None or (place is not None and place.closed):
            return True
        if self._room.mode == TOPICS and self._room.is_group:
            await self._outbox.spend()
            try:
                await self._room.api.bot.close_forum_topic(self._room.chat_id, thread)
            except BadRequest as error:
                # It is closed or gone already, which is what was wanted.
                log.debug("telegram_topic_not_closed", thread=thread, error=str(error))
        if place is not None:
            place.closed = True
            await self._room.keep(place)
        return True


def _is_unchanged(error: BadRequest) -> bool:
    """Whether it is as it was to be: the other bot of the group has done it, or we did and never heard so."""
    return "not modified" in str(error).lower().replace("_", " ")


def _elsewhere(job: Job, error: BadRequest) -> bool:
    """The session is gone and its topic closed or deleted: what was still to be said there goes to the general one."""
    gone = any(sign in str(error).lower() for sign in ("topic_closed", "thread not found", "topic_deleted"))
    if not gone or job.doc.get("thread") is None or job.doc["do"] == "close":
        raise error
    job.doc["thread"] = None
    return False
