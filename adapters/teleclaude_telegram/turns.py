"""What sessions print, turn by turn: shown while it comes, said when it stops, and how it ended or where it went."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from teleclaude.api import OutputExit, OutputFollower, OutputHandedOff, OutputState, OutputText
from teleclaude.errors import GapError, NotFoundError, TeleclaudeError
from teleclaude.model import Chunk, Gap
from teleclaude.wire.output import FollowOutput
from teleclaude.wire.sessions import GetSession
from teleclaude_telegram import render
from teleclaude_telegram.journal import Place
from teleclaude_telegram.moves import Moves
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.questions import Questions
from teleclaude_telegram.room import SELF, Room
from teleclaude_telegram.topics import LIVE_STATES

log = structlog.get_logger(__name__)

QUIET_SECONDS = 1.2
"""How long no output comes before a turn counts as over."""
MAX_QUIET_SECONDS = 60.0
FIRST_LIVE_SECONDS = 2.0
"""Shorter turns have no live message, only what came of them."""
LONG_SECONDS = 30.0
"""The end of a turn that took longer notifies."""
ASKS_SHARE = 0.4
"""After what part of that a question is looked for."""
COALESCE_SECONDS = 0.2
LOOK_SECONDS = 1.5
FOREVER_SECONDS = 3600.0
AGAIN_SECONDS = 5.0


@dataclass(slots=True)
class Turn:
    """Output since somebody wrote, or since it was last quiet. ``quiet`` grows while a program goes on by itself, so
    that one which says a line every few seconds is not said line by line; for a question is looked sooner.
    """

    quiet: float
    began: float | None = None
    silence: float = 0.0
    """So long nothing has come, as far as that was waited for."""
    looked: float = 0.0
    end: int = 0
    screen: str = ""
    """What it showed when it was let go of, for another computer to take."""
    _looks: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        self._looks = (self.quiet * ASKS_SHARE, self.quiet)

    def goes_on(self, now: float, end: int) -> None:
        self.began = now if self.began is None else self.began
        self.end = max(self.end, end)
        self.silence = 0.0

    def patience(self) -> float:
        """Seconds until silence is worth a look."""
        if self.began is None:
            return FOREVER_SECONDS
        looks = (look for look in (*self._looks, self.quiet) if look > self.silence)
        return min(looks, default=self.silence) - self.silence

    def over(self) -> None:
        """It was said, or asks: what comes next is another."""
        self.began, self.silence = None, 0.0
        self.quiet = min(self.quiet * 2, MAX_QUIET_SECONDS)


class Turns:
    def __init__(self, room: Room, outbox: Outbox, questions: Questions, moves: Moves) -> None:
        self._room = room
        self._outbox = outbox
        self._questions = questions
        self._moves = moves

    async def follow(self, place: Place, turn: Turn) -> None:
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
            waited = turn.patience()
            item = await output.next(waited)
            match item:
                case None:
                    if turn.began is not None:
                        turn.silence += waited
                        await self._silent(place, turn)
                case Chunk() | OutputText():
                    await self._went_on(place, turn, item.end)
                    await clock.sleep(COALESCE_SECONDS)
                case Gap():
                    turn.goes_on(clock.monotonic(), item.end)
                case OutputExit():
                    await self._ended(place, turn)
                    return True
                case OutputState(state="handing_off"):
                    turn.screen = await self._room.last_screen(place)
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
            await self._questions.are_there(place)

    async def _silent(self, place: Place, turn: Turn) -> None:
        """No output for a while: a question, or the end of the turn."""
        if await self._questions.are_there(place):
            turn.over()
            self._outbox.plan.forget(f"live:{place.session_id}")
        elif turn.silence >= turn.quiet:
            await self._over(place, turn)

    async def _over(self, place: Place, turn: Turn) -> None:
        now = self._room.context.clock.monotonic()
        took = 0.0 if turn.began is None else now - turn.began - turn.quiet
        if turn.end > place.said:
            doc = {"do": "final", "end": turn.end, "silent": took < LONG_SECONDS}
            await self._outbox.say(place.session_id, Rank.FINAL, doc, key=f"final:{place.session_id}")
        self._outbox.plan.forget(f"live:{place.session_id}")
        turn.over()
        if place.picture is not None:
            self._outbox.show(place.session_id, {"do": "picture"}, key=f"picture:{place.session_id}")

    async def _ended(self, place: Place, turn: Turn) -> None:
        """All of its output was read: say the rest, how it ended, and close the topic."""
        await self._over(place, turn)
        session = await self._room.hub.call(SELF, GetSession(id=place.session_id))
        if session.state in LIVE_STATES:
            return
        end = f"{session.epoch} {session.state} {session.exit and session.exit.at}"
        if end != place.ended:
            text, failed = render.ended(session)
            doc = {"do": "say", "text": text.body, "silent": not failed, "ended": end}
            await self._outbox.say(place.session_id, Rank.FINAL, doc, key=f"ended:{place.session_id}")
        self._outbox.sign(place.session_id, delay=0)
        await self._outbox.say(
            place.session_id, Rank.FINAL, {"do": "close"}, key=f"close:{place.session_id}", last=True
        )

    async def _parted(self, place: Place, turn: Turn, end: int) -> None:
        took = 0.0 if turn.began is None else self._room.context.clock.monotonic() - turn.began
        await self._moves.part(place, end, silent=took < LONG_SECONDS, screen=turn.screen)
