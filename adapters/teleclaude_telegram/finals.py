"""The message that a turn ends with: what came since the last one."""

from __future__ import annotations

from typing import Literal

from teleclaude.errors import GapError
from teleclaude.wire.output import ReadOutput
from teleclaude_telegram import moves, render
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Button, mint
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Job
from teleclaude_telegram.room import SELF, Room
from teleclaude_telegram.sender import Sender

FINAL_BYTES = 64 << 10
FINAL_UNITS = 3400


class Finals:
    """Raises as ``Deliverer.step`` does."""

    def __init__(self, room: Room, outbox: Outbox, sender: Sender) -> None:
        self._room = room
        self._outbox = outbox
        self._sender = sender

    async def deliver(self, job: Job, place: Place | None) -> bool:
        """What came since the last one; then the messages that have served go."""
        assert place is not None
        start, end = job.doc.get("start", place.said), job.doc["end"]
        text, whole = await self._output(place, start, end, job.doc.get("screen", ""))
        if render.worth_saying(text):
            keyboard = None
            if not whole:
                deed = {"do": "log_file", "session": place.session_id, "start": start, "end": end}
                keyboard = await mint(
                    self._room.journal, [[Button("all of it, as a file", deed)]], now=self._room.now()
                )
            await self._sender.send(
                job, place, render.pre(text, FINAL_UNITS), keyboard=keyboard, silent=job.doc["silent"]
            )
        place.said = max(place.said, end)
        served = place.served()
        await self._room.keep(place)
        self._outbox.plan.forget(f"live:{place.session_id}")
        await self._room.tidy(served)
        return True

    async def _output(self, place: Place, start: int, end: int, screen: str) -> tuple[str, bool]:
        """The end of what came in a range of the stream as a person saw it, and whether that is all."""
        whole = end - start <= FINAL_BYTES
        start = max(start, end - FINAL_BYTES)
        if render.draws(await self._read(place, start, end, "raw")):
            shown = screen or await self._room.last_screen(place)
            if shown:
                return shown, True
        text = render.clean((await self._read(place, start, end, "text")).decode(errors="replace")).rstrip()
        shown, fits = render.tail(text, FINAL_UNITS)
        return shown, whole and fits

    async def _read(self, place: Place, start: int, end: int, form: Literal["raw", "text"]) -> bytes:
        if end <= start:
            return b""
        try:
            if place.left:
                return await moves.read_here(self._room, place.session_id, start, end, form)
            request = {"id": place.session_id, "from": start, "limit": end - start, "format": form}
            return (await self._room.hub.call(SELF, ReadOutput.model_validate(request))).data
        except GapError as error:
            return b"" if error.start <= start else await self._read(place, error.start, end, form)
