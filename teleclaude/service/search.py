"""Search a session's output: page by page, off the loop, for a bounded time a call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from teleclaude.clock import Clock
from teleclaude.errors import GapError
from teleclaude.model import Principal
from teleclaude.service.lookup import Lookup
from teleclaude.service.output import from_offset
from teleclaude.streams import find_lines, make_finder
from teleclaude.wire.base import Command
from teleclaude.wire.output import LineView, SearchOutput, SearchReply

PAGE_BYTES = 256 * 1024
SEARCH_SECONDS = 2.0
"""How long one call goes on; the next one goes on where it stopped."""
MAX_TEXT_CHARACTERS = 1024


class Searches:
    def __init__(self, lookup: Lookup, clock: Clock) -> None:
        self._lookup = lookup
        self._clock = clock

    def handlers(self) -> Mapping[type[Command[Any]], Callable[[Principal, Any], Awaitable[Any]]]:
        return {SearchOutput: self.search}

    async def search(self, principal: Principal, command: SearchOutput) -> SearchReply:
        """What retention has taken is passed over. Raises ``InvalidError`` for an expression that is none."""
        finder = make_finder(text=command.text, regex=command.regex)
        stream = (await self._lookup.find(principal, command.id, operation=command.operation)).stream
        bounds = stream.bounds()
        at = bounds.start if command.from_ is None else from_offset(command.from_, bounds.start, bounds.end)
        deadline = self._clock.monotonic() + SEARCH_SECONDS
        matches: list[LineView] = []
        while at < bounds.end:
            if len(matches) >= command.limit or self._clock.monotonic() >= deadline:
                return SearchReply(matches=matches, next=at)
            try:
                chunk = await stream.read(at, PAGE_BYTES)
            except GapError as error:
                at = error.start
                continue
            if not chunk.data:
                break
            # Before a hole as at the end, what there is of a line is all there will be.
            last = chunk.end >= bounds.end or len(chunk.data) < PAGE_BYTES
            lines, at = await asyncio.to_thread(
                find_lines, chunk.data, chunk.start, finder, limit=command.limit - len(matches), last=last
            )
            matches += [LineView(from_=line.start, to=line.end, text=line.text[:MAX_TEXT_CHARACTERS]) for line in lines]
        return SearchReply(matches=matches, next=None)
