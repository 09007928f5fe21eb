"""Sending a stream's kept bytes and a bundle to the computer that is to go on with them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from teleclaude.errors import GapError
from teleclaude.model import Gap
from teleclaude.streams import Stream
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import PART_BYTES, CarriedGap, SendPart, SkipPart

Ask = Callable[[Command[Any]], Awaitable[Any]]

NEAR_BYTES = 256 << 10
"""The source is held up only for the rest of the history, once that is no longer than this."""

ROUNDS = 16


class History:
    """What was sent of ``stream`` so far. ``ask`` asks the target."""

    def __init__(self, stream: Stream, handoff: str, ask: Ask) -> None:
        self._stream = stream
        self._handoff = handoff
        self._ask = ask
        self.start = stream.bounds().start
        self._position = self.start

    async def catch_up(self) -> None:
        """Send what there is while the program goes on writing, until little is left."""
        for _ in range(ROUNDS):
            end = self._stream.bounds().end
            if end - self._position <= NEAR_BYTES:
                return
            await self.send(end)

    async def send(self, end: int) -> None:
        """Send everything up to ``end``; holes are sent as holes."""
        while self._position < end:
            try:
                chunk = await self._stream.read(self._position, min(PART_BYTES, end - self._position))
            except GapError as gap:
                self._position = min(gap.start, end)
                await self._ask(SkipPart(handoff=self._handoff, end=self._position))
                continue
            if not chunk.data:
                # A hole ends the stream.
                self._position = end
                await self._ask(SkipPart(handoff=self._handoff, end=end))
                return
            await self._ask(
                SendPart(handoff=self._handoff, what="history", offset=self._position, data=bytes(chunk.data))
            )
            self._position = chunk.end

    def gaps(self) -> list[CarriedGap]:
        """All holes there are now, what retention took meanwhile included."""
        found = self._stream.gaps()
        start = self._stream.bounds().start
        if start > self.start:
            found = [Gap(self.start, start, start - self.start, "retention"), *found]
        return [CarriedGap(start=gap.start, end=gap.end, bytes=gap.bytes, reason=gap.reason) for gap in found]


async def send_file(path: Path, handoff: str, ask: Ask) -> int:
    """Send a bundle; answers its length."""
    offset = 0
    while data := await asyncio.to_thread(_read, path, offset):
        await ask(SendPart(handoff=handoff, what="bundle", offset=offset, data=data))
        offset += len(data)
    return offset


def _read(path: Path, offset: int) -> bytes:
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(PART_BYTES)
