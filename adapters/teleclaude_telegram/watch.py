"""Which sessions there are: each has a place in the chat, and is followed there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

from teleclaude.api import TaskPolicy
from teleclaude.errors import NotFoundError, TeleclaudeError
from teleclaude.events import Event
from teleclaude.wire.sessions import GetSession, ListSessions, SessionView
from teleclaude_telegram import moves
from teleclaude_telegram.journal import Place
from teleclaude_telegram.moves import Moves
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.questions import Questions
from teleclaude_telegram.room import PLAIN, SELF, Room
from teleclaude_telegram.topics import LIVE_STATES
from teleclaude_telegram.turns import QUIET_SECONDS, Turn, Turns

log = structlog.get_logger(__name__)

OWNER = "telegram-sessions"
MAX_PLACES = 1000
PART_SECONDS = 5.0
PART_LOOK_SECONDS = 0.02
_RUNS = ("starting", "running")


class Watcher:
    """All sessions of this computer."""

    def __init__(self, room: Room, outbox: Outbox, questions: Questions, quiet: float = QUIET_SECONDS) -> None:
        self._room = room
        self._outbox = outbox
        self._quiet = quiet
        self._watched: dict[str, Turn] = {}
        self._moves = Moves(room, outbox)
        self._turns = Turns(room, outbox, questions, self._moves)
        self.begun = asyncio.Event()
        """Set once every session has its place."""

    async def run(self) -> None:
        """Watch what there is and what comes, for ever."""
        async with self._room.hub.follow_events(SELF) as events:
            await self._begin()
            self.begun.set()
            await self._follow(events)

    async def _begin(self) -> None:
        sessions = (await self._room.hub.call(SELF, ListSessions())).sessions
        known = {session.id: session for session in sessions}
        for session in sessions:
            if session.handed_off is not None:
                await self.left(session.id, session.handed_off.computer)
            elif self._ours(session) and (session.state in LIVE_STATES or session.id in self._room.places):
                await self.watch(session)
        for place in list(self._room.places.values()):
            if place.session_id not in known:
                await self._forget(place.session_id)

    def _ours(self, session: SessionView) -> bool:
        return session.computer == self._room.context.computer

    async def _follow(self, events: AsyncIterator[Event]) -> None:
        async for event in events:
            try:
                await self._happened(event)
            except TeleclaudeError as error:
                log.warning("telegram_event_lost", event_type=event.type, error=str(error))

    async def _happened(self, event: Event) -> None:
        session_id = event.session_id
        if session_id is None:
            return
        match event.type:
            case "session.created" | "session.kept":
                await self._watch_by_id(session_id, is_new=event.type == "session.created")
            case "session.arrived":
                await self._watch_by_id(session_id, offset=int(str(event.data["offset"])))
            case "session.state" if event.data.get("state") == "running":
                await self._watch_by_id(session_id)
            case "session.changed":
                await self._changed(session_id, event.data.get("tags"))
            case "session.handed_off":
                await self.left(session_id, str(event.data.get("computer", "")))
            case "session.deleted":
                await self._forget(session_id)

    async def _forget(self, session_id: str) -> None:
        """Its record is gone, and with it what was still to be said; its topic is closed."""
        place = self._room.place(session_id)
        if place is None:
            return
        await self._room.drop(session_id)
        self._outbox.plan.drop(session_id)
        if not place.closed and not place.left and place.thread is not None:
            await self._outbox.say("", Rank.FINAL, {"do": "close", "thread": place.thread})

    async def _watch_by_id(self, session_id: str, *, offset: int | None = None, is_new: bool = False) -> None:
        try:
            session = await self._room.hub.call(SELF, GetSession(id=session_id))
        except NotFoundError:
            return
        if is_new and session.epoch > 1:
            return  # it arrives with the next event, which says where its output begins here
        if self._ours(session):
            await self.watch(session, offset)

    async def _changed(self, session_id: str, tags: object) -> None:
        """Its name or its tags are others now; the tag that leads to its topic stays, whoever changes them."""
        self.retitle(session_id)
        place = self._room.place(session_id)
        if place is None or place.thread is None:
            return
        if isinstance(tags, list | tuple) and moves.tag_of(self._room, place.thread) not in tags:
            await moves.tag(self._room, place)

    async def watch(self, session: SessionView, offset: int | None = None) -> None:
        """Give it a place, and follow it unless that is done already. ``offset``: it came from elsewhere just now, with
        so much output.
        """
        place = self._room.place(session.id)
        if place is None:
            if session.state not in LIVE_STATES or not await self._has_room():
                return
            place = await self._moves.place(session, offset)
            await self._show(place)
        elif place.left and session.state in _RUNS:
            await self._parted(session.id)
            await self._moves.back(place, session, offset)
            await self._show(place)
        elif place.closed and session.state in LIVE_STATES:
            await self._outbox.say(session.id, Rank.REPLY, {"do": "reopen"}, key=f"reopen:{session.id}")
        self.retitle(session.id)
        if session.id not in self._watched and (not place.closed or session.state in LIVE_STATES):
            self._follow_output(place)

    async def _parted(self, session_id: str) -> None:
        """Wait until what it said before it left has been read to its end."""
        clock = self._room.context.clock
        deadline = clock.monotonic() + PART_SECONDS
        while session_id in self._watched and clock.monotonic() < deadline:
            await clock.sleep(PART_LOOK_SECONDS)

    async def _show(self, place: Place) -> None:
        """Where people find it: its topic, or, without topics, as the session that they talk to when there is none."""
        if self._room.mode == PLAIN and self._room.current is None:
            await self._room.turn_to(place.session_id)
        if place.thread is None:
            await self._outbox.say(place.session_id, Rank.REPLY, {"do": "topic"}, key=f"topic:{place.session_id}")

    def _follow_output(self, place: Place) -> None:
        turn = self._watched[place.session_id] = Turn(quiet=self._quiet)

        async def follow() -> None:
            try:
                await self._turns.follow(place, turn)
            finally:
                self._watched.pop(place.session_id, None)
            await self._look_again(place)

        tasks = self._room.context.tasks
        tasks.spawn(follow(), name=f"telegram {place.name}", owner=OWNER, policy=TaskPolicy.REPORT)

    async def _look_again(self, place: Place) -> None:
        """It may have been started again, or have come back, before its end had been read."""
        try:
            session = await self._room.hub.call(SELF, GetSession(id=place.session_id))
        except TeleclaudeError as error:
            log.debug("telegram_followed_to_its_end", session=place.session_id, error=str(error))
            return
        if session.state in LIVE_STATES and self._ours(session):
            await self.watch(session)

    async def _has_room(self) -> bool:
        """Whether one more can be followed; the oldest that is over gives way."""
        places = self._room.places
        if len(places) < MAX_PLACES:
            return True
        for place in places.values():
            if place.closed and place.session_id not in self._watched:
                await self._room.drop(place.session_id)
                return True
        log.warning("telegram_full", sessions=len(places))
        return False

    def retitle(self, session_id: str) -> None:
        if self._room.place(session_id) is not None:
            self._outbox.sign(session_id)

    def touched(self, session_id: str) -> None:
        """Somebody wrote or pressed a key: what comes now is the answer."""
        turn = self._watched.get(session_id)
        if turn is not None:
            turn.quiet = self._quiet

    async def left(self, session_id: str, computer: str) -> None:
        """It is another computer's, and so is its topic. What it said here is still ours to say."""
        place = self._room.place(session_id)
        if place is None:
            return
        await self._moves.leave(place, computer)
        if not place.closed and session_id not in self._watched:
            self._follow_output(place)
