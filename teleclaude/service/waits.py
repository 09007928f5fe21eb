"""Wait for something to happen in a session. A time-out is an outcome, not an error."""

from __future__ import annotations

import asyncio

from teleclaude.api import OutputExit, OutputHandedOff
from teleclaude.clock import Clock
from teleclaude.errors import GapError
from teleclaude.model import Activity, Chunk, Principal
from teleclaude.service.lookup import Found, Lookup
from teleclaude.service.output import Outputs, from_offset
from teleclaude.service.screens import Screens
from teleclaude.service.views import Views
from teleclaude.streams import Match, make_matcher
from teleclaude.wire.output import FollowOutput
from teleclaude.wire.waits import MatchView, WaitReply, WaitSession

LOOK_SECONDS = 0.5
QUIET_SECONDS = 0.3
"""After this long without output the screen is worth a look: once, until something is written again."""


class Waits:
    def __init__(self, lookup: Lookup, outputs: Outputs, views: Views, screens: Screens, clock: Clock) -> None:
        self._lookup = lookup
        self._outputs = outputs
        self._views = views
        self._screens = screens
        self._clock = clock

    async def wait(self, principal: Principal, command: WaitSession) -> WaitReply:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        bounds = found.stream.bounds()
        start = _first_offset(command, found, bounds.start, bounds.end)
        waiting = _Waiting(start)
        try:
            async with asyncio.timeout(command.timeout_ms / 1000):
                return await self._until(principal, command, found, waiting)
        except TimeoutError:
            return WaitReply(outcome="timeout", offset=waiting.offset)

    async def _until(self, principal: Principal, command: WaitSession, found: Found, waiting: _Waiting) -> WaitReply:
        until = command.until
        if until.text is not None or until.regex is not None:
            return await self._match(principal, command, waiting)
        if until.idle_ms is not None:
            return await self._idle(principal, command, found, waiting, until.idle_ms / 1000)
        if until.activity is not None:
            return await self._activity(found, until.activity, waiting)
        waiting.offset = found.stream.bounds().end
        return await self._exit(found)

    async def _match(self, principal: Principal, command: WaitSession, waiting: _Waiting) -> WaitReply:
        matcher = make_matcher(text=command.until.text, regex=command.until.regex, start=waiting.offset)
        request = FollowOutput(id=command.id, from_=waiting.offset)
        async with self._outputs.follow(principal, request) as follower:
            while True:
                item = await follower.next()
                waiting.offset = follower.offset
                if isinstance(item, Chunk):
                    match = matcher.feed(item)
                    if match is not None:
                        return _matched(match)
                elif isinstance(item, OutputExit | OutputHandedOff):
                    match = matcher.finish()
                    if match is not None:
                        return _matched(match)
                    return WaitReply(outcome="exited", offset=waiting.offset)

    async def _idle(
        self, principal: Principal, command: WaitSession, found: Found, waiting: _Waiting, seconds: float
    ) -> WaitReply:
        """Matched once nothing was written for ``seconds``, silence from before the call counted in."""
        request = FollowOutput(id=command.id)
        async with self._outputs.follow(principal, request) as follower:
            last = self._views.last_activity(found.session, found.stream)
            quiet = max(0.0, (self._clock.now() - last).total_seconds())
            while True:
                item = await follower.next(max(0.0, seconds - quiet))
                waiting.offset = follower.offset
                if item is None:
                    return WaitReply(outcome="matched", offset=waiting.offset)
                if isinstance(item, OutputExit | OutputHandedOff):
                    return WaitReply(outcome="exited", offset=waiting.offset)
                quiet = 0.0

    async def _activity(self, found: Found, wanted: Activity, waiting: _Waiting) -> WaitReply:
        while not found.ended:
            waiting.offset = found.stream.bounds().end
            session = found.live.session if found.live else found.session
            last = self._views.last_activity(session, found.stream)
            if found.live is not None and (self._clock.now() - last).total_seconds() >= QUIET_SECONDS:
                await self._screens.look(found.live)
            if self._views.activity(session, last) is wanted:
                return WaitReply(outcome="matched", offset=waiting.offset)
            await self._clock.sleep(LOOK_SECONDS)
        return WaitReply(outcome="exited", offset=found.stream.bounds().end)

    async def _exit(self, found: Found) -> WaitReply:
        if found.live is not None:
            await found.live.ended.wait()
        return WaitReply(outcome="exited", offset=found.stream.bounds().end)


def _matched(match: Match) -> WaitReply:
    view = MatchView(text=match.text, groups=list(match.groups))
    return WaitReply(outcome="matched", offset=match.offset, match=view)


class _Waiting:
    """How far a wait has read, for the answer when its time is up."""

    def __init__(self, offset: int) -> None:
        self.offset = offset


def _first_offset(command: WaitSession, found: Found, start: int, end: int) -> int:
    if command.from_ is not None:
        first = from_offset(command.from_, start, end)
        if first < start and (command.until.text is not None or command.until.regex is not None):
            raise GapError(
                f"output before offset {start} is no longer kept; wait from there on",
                start=start,
                operation=command.operation,
            )
        return first
    latest = found.session.input_offset
    return start if latest is None else max(start, latest)
