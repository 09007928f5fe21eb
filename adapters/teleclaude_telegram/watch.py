"""Follows sessions: when output comes it is shown, when it stops it is said, when they end that is said, too."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import structlog

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputState, OutputText, TaskPolicy
from teleclaude.errors import GapError, NotFoundError, TeleclaudeError
from teleclaude.events import Event
from teleclaude.model import Chunk, Gap
from teleclaude.wire.sessions import FollowOutput, GetSession, ListSessions, ReadScreen, SessionView
from teleclaude_telegram import moves, render
from teleclaude_telegram.deliver import Deliverer
from teleclaude_telegram.journal import Place
from teleclaude_telegram.moves import Moves
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.room import PLAIN, SELF, Room
from teleclaude_telegram.topics import LIVE_STATES

log = structlog.get_logger(__name__)

OWNER = "telegram-sessions"
QUIET_SECONDS = 1.2
"""How long no output comes before a turn counts as over."""
MAX_QUIET_SECONDS = 60.0
FIRST_LIVE_SECONDS = 2.0
"""Shorter turns have no live message, only what came of them."""
LONG_SECONDS = 30.0
"""The end of a turn that took longer notifies."""
COALESCE_SECONDS = 0.2
LOOK_SECONDS = 1.5
FOREVER_SECONDS = 3600.0
MAX_PLACES = 1000
AGAIN_SECONDS = 5.0
_RUNS = ("starting", "running")


@dataclass(slots=True)
class Turn:
    """Output since somebody wrote, or since it was last quiet. ``quiet`` grows while a program goes on by itself, so
    that one which says a line every few seconds is not said line by line.
    """

    quiet: float
    began: float | None = None
    looked: float = 0.0
    end: int = 0
    screen: str = ""
    """What it showed when it was let go of, for another computer to take."""
    again: bool = False
    """It has come back meanwhile: follow it once more."""

    def goes_on(self, now: float, end: int) -> None:
        self.began = now if self.began is None else self.began
        self.end = max(self.end, end)


class Watcher:
    """All sessions of this computer."""

    def __init__(self, room: Room, outbox: Outbox, deliverer: Deliverer, quiet: float = QUIET_SECONDS) -> None:
        self._room = room
        self._outbox = outbox
        self._deliverer = deliverer
        self._quiet = quiet
        self._watched: dict[str, Turn] = {}
        self._moves = Moves(room, outbox)
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
        room = self._room
        place = room.place(session.id)
        if place is None:
            if session.state not in LIVE_STATES or not await self._has_room():
                return
            place = await self._moves.place(session, offset)
            if room.mode == PLAIN and room.current is None:
                await room.turn_to(session.id)
            if place.thread is None:
                await self._outbox.say(session.id, Rank.REPLY, {"do": "topic"}, key=f"topic:{session.id}")
        elif place.left and session.state in _RUNS:
            await self._moves.back(place, session, offset)
            if session.id in self._watched:
                self._watched[session.id].again = True
        self.retitle(session.id)
        if session.id not in self._watched and (not place.closed or session.state in LIVE_STATES):
            self._follow_output(place)

    def _follow_output(self, place: Place) -> None:
        turn = self._watched[place.session_id] = Turn(quiet=self._quiet)

        async def follow() -> None:
            try:
                await self._session(place, turn)
            finally:
                self._watched.pop(place.session_id, None)
            if turn.again:
                self._follow_output(place)

        tasks = self._room.context.tasks
        tasks.spawn(follow(), name=f"telegram {place.name}", owner=OWNER, policy=TaskPolicy.REPORT)

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
            self._outbox.show(session_id, {"do": "title"}, key=f"title:{session_id}", delay=2.0)

    def touched(self, session_id: str) -> None:
        """Somebody wrote or pressed a key: what comes now is the answer."""
        turn = self._watched.get(session_id)
        if turn is not None:
            turn.quiet = self._quiet

    async def _session(self, place: Place, turn: Turn) -> None:
        """Follow one session to its end."""
        hub, start = self._room.hub, place.said
        while True:
            try:
                request = FollowOutput.model_validate({"id": place.session_id, "from": start, "mode": "latest"})
                async with hub.follow_output(SELF, request) as output:
                    if await self._turns(place, turn, output):
                        return
                    start = output.offset
            except GapError as error:
                start = error.start
            except NotFoundError:
                return
            except TeleclaudeError as error:
                log.warning("telegram_cannot_follow", session=place.session_id, error=str(error))
                await self._room.context.clock.sleep(AGAIN_SECONDS)
            except Exception:
                # A full disk, say: the session goes on, and so does the watch over it.
                log.exception("telegram_follow_failed", session=place.session_id)
                await self._room.context.clock.sleep(AGAIN_SECONDS)

    async def _turns(self, place: Place, turn: Turn, output: OutputFollower) -> bool:
        """Whether it is over."""
        clock = self._room.context.clock
        while True:
            item = await output.next(FOREVER_SECONDS if turn.began is None else turn.quiet)
            match item:
                case None:
                    if turn.began is not None:
                        await self._settled(place, turn)
                case Chunk() | OutputText():
                    await self._went_on(place, turn, item.end)
                    await clock.sleep(COALESCE_SECONDS)
                case Gap():
                    turn.goes_on(clock.monotonic(), item.end)
                case OutputExit():
                    await self._ended(place, turn)
                    return True
                case OutputState(state="handing_off"):
                    turn.screen = await self._last_screen(place)
                case OutputHandedOff():
                    await self._moves.leave(place, item.computer)
                    await self._parted(place, turn, output.offset)
                    return True

    async def _went_on(self, place: Place, turn: Turn, end: int) -> None:
        """More output: shown as far as there is room, and looked at now and then for a question amid the noise."""
        now = self._room.context.clock.monotonic()
        turn.goes_on(now, end)
        name = f"live:{place.session_id}"
        self._outbox.show(place.session_id, {"do": "live"}, key=name, delay=FIRST_LIVE_SECONDS)
        if now - turn.looked >= LOOK_SECONDS and now - (turn.began or now) >= LOOK_SECONDS:
            turn.looked = now
            await self._asks(place)

    async def _asks(self, place: Place) -> bool:
        """Whether the screen holds a question, which is then passed on."""
        if place.left:
            return False
        try:
            screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        except TeleclaudeError as error:
            log.debug("telegram_no_screen", session=place.session_id, error=str(error))
            return False
        return await self._deliverer.ask(place, screen)

    async def _last_screen(self, place: Place) -> str:
        try:
            screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        except TeleclaudeError as error:
            log.debug("telegram_no_screen", session=place.session_id, error=str(error))
            return ""
        return render.screen_text(screen.lines, render.FINAL_LINES)

    async def _settled(self, place: Place, turn: Turn) -> None:
        """No output for a while: a question, or the end of the turn."""
        if not await self._asks(place):
            await self._over(place, turn)
            return
        turn.quiet = min(turn.quiet * 2, MAX_QUIET_SECONDS)
        turn.began = None
        self._outbox.plan.forget(f"live:{place.session_id}")

    async def _over(self, place: Place, turn: Turn) -> None:
        now = self._room.context.clock.monotonic()
        took = 0.0 if turn.began is None else now - turn.began - turn.quiet
        if turn.end > place.said:
            doc = {"do": "final", "end": turn.end, "silent": took < LONG_SECONDS}
            await self._outbox.say(place.session_id, Rank.FINAL, doc, key=f"final:{place.session_id}")
        self._outbox.plan.forget(f"live:{place.session_id}")
        turn.began = None
        turn.quiet = min(turn.quiet * 2, MAX_QUIET_SECONDS)
        if place.picture is not None:
            self._outbox.show(place.session_id, {"do": "picture"}, key=f"picture:{place.session_id}")

    async def _ended(self, place: Place, turn: Turn) -> None:
        """All of its output was read: say the rest, how it ended, and close the topic."""
        await self._over(place, turn)
        session = await self._room.hub.call(SELF, GetSession(id=place.session_id))
        if session.state in LIVE_STATES:
            return
        text, failed = render.ended(session)
        doc = {"do": "say", "text": text.body, "silent": not failed}
        await self._outbox.say(place.session_id, Rank.FINAL, doc, key=f"ended:{place.session_id}")
        await self._outbox.say(place.session_id, Rank.FINAL, {"do": "title"}, key=f"sign:{place.session_id}")
        await self._outbox.say(
            place.session_id, Rank.FINAL, {"do": "close"}, key=f"close:{place.session_id}", last=True
        )

    async def left(self, session_id: str, computer: str) -> None:
        """It is another computer's, and so is its topic. What it said here is still ours to say."""
        place = self._room.place(session_id)
        if place is None:
            return
        await self._moves.leave(place, computer)
        if not place.closed and session_id not in self._watched:
            self._follow_output(place)

    async def _parted(self, place: Place, turn: Turn, end: int) -> None:
        took = 0.0 if turn.began is None else self._room.context.clock.monotonic() - turn.began
        await self._moves.part(place, end, silent=took < LONG_SECONDS, screen=turn.screen)
