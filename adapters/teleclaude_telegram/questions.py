"""What programs ask: noticed on the screen, passed on with buttons, and not asked more often than it helps."""

from __future__ import annotations

import json

from teleclaude.errors import GapError
from teleclaude.model import Prompt, Screen
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.screens import ReadScreen
from teleclaude_telegram import render
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Button, columns, mint
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Job, Rank
from teleclaude_telegram.room import SELF, Room
from teleclaude_telegram.sender import Sender

QUESTION_TTL = 24 * 3600.0
FORGOTTEN_SECONDS = 60.0
MAX_AGAIN_SECONDS = 20.0
MAX_BETWEEN_BYTES = 16 << 10


class Questions:
    """``deliver`` is what the outbox asks for, by way of ``Deliverer``."""

    def __init__(self, room: Room, outbox: Outbox, sender: Sender) -> None:
        self._room = room
        self._outbox = outbox
        self._sender = sender

    async def are_there(self, place: Place) -> bool:
        """Whether the screen holds a question, which is then passed on."""
        screen = await self._room.screen(place)
        return screen is not None and await self.ask(place, screen)

    async def ask(self, place: Place, screen: Screen) -> bool:
        """Whether the screen asks something; when it is new, it is queued to be passed on."""
        prompt = screen.prompt
        if prompt is None:
            if place.asked or place.shows_question:
                place.asked = ""
                await self._room.keep(place)
                self._outbox.sign(place.session_id)
            return False
        if not self._is_passed_on(place, prompt) or await self.is_another(place, screen, place.asked_end):
            name = f"question:{place.session_id}"
            wait = self._asked_just_now(place, prompt)
            if wait > 0:
                if self._outbox.plan.find(name) is None:
                    self._outbox.show(place.session_id, {"do": "question"}, key=name, delay=wait, rank=Rank.URGENT)
                return True
            if place.question is not None:
                place.tidy_later(place.question)
            place.asked, place.asked_end, place.question = prompt.fingerprint, _end(screen), None
            await self._room.keep(place)
            await self._outbox.say(
                place.session_id,
                Rank.URGENT,
                {"do": "question", "fingerprint": prompt.fingerprint},
                key=name,
            )
            self._outbox.sign(place.session_id)
        return True

    def _is_passed_on(self, place: Place, prompt: Prompt) -> bool:
        """Whether this very question is in the chat or on its way. After a stop in between it is neither."""
        there = place.question is not None or self._outbox.holds(f"question:{place.session_id}")
        return there and prompt.fingerprint == place.asked

    async def is_another(self, place: Place, screen: Screen, end: int | None) -> bool:
        """Whether it is asked anew, in the same words as when the output ended there: the program went on to the next
        line since. One that draws says the same again without asking anew; of it nothing is known.
        """
        if end is None or not end < screen.offset <= end + MAX_BETWEEN_BYTES:
            return False
        request = {"id": place.session_id, "from": end, "limit": screen.offset - end, "format": "raw"}
        try:
            between = (await self._room.hub.call(SELF, ReadOutput.model_validate(request))).data
        except GapError:
            return True
        return b"\n" in between and not render.draws(between)

    def _asked_just_now(self, place: Place, prompt: Prompt) -> float:
        """Seconds to wait, because the same was asked just now and nobody has answered: only what stands above it is
        another, a counter, say, which must not be asked about with every step. The waits grow as it goes on.
        """
        words = json.dumps([prompt.question, [option.label for option in prompt.options]])
        since = self._room.now() - place.asked_at
        if place.asked and words == place.asks and 0 <= since < FORGOTTEN_SECONDS:
            wait = min(MAX_AGAIN_SECONDS, 2.0**place.repeats) - since
            if wait > 0:
                return wait
            place.repeats += 1
        else:
            place.repeats = 0
        place.asks, place.asked_at = words, self._room.now()
        return 0.0

    async def ask_again(self, place: Place) -> None:
        """The question could not be answered: it is passed on once more, if it is still there by then."""
        place.asked = ""
        await self._room.keep(place)
        await self._outbox.say(place.session_id, Rank.URGENT, {"do": "question"}, key=f"question:{place.session_id}")

    async def deliver(self, job: Job, place: Place | None) -> bool:
        """The question as it stands now, with a button for each answer; nothing when it was answered meanwhile."""
        assert place is not None
        screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        prompt = screen.prompt
        if prompt is None:
            return True
        if job.id is None:
            # It was put off; by now it may have been passed on, or be another.
            await self.ask(place, screen)
            return True
        place.asked, place.asked_end = prompt.fingerprint, _end(screen)
        buttons = [
            Button(
                option.label,
                {
                    "do": "answer",
                    "session": place.session_id,
                    "fingerprint": prompt.fingerprint,
                    "end": place.asked_end,
                    "keys": list(option.keys),
                },
            )
            for option in prompt.options
        ]
        keyboard = await mint(
            self._room.journal,
            columns(buttons, 1 if any(len(button.label) > 14 for button in buttons) else 3),
            now=self._room.now(),
            keyboard=f"question:{place.session_id}",
            ttl=QUESTION_TTL,
        )
        text = render.question(prompt, screen.lines)
        message = await self._sender.send(job, place, text, keyboard=keyboard or None, silent=False)
        if place.question is not None:
            place.tidy_later(place.question)
        place.question = message.message_id
        await self._room.keep(place)
        return True


def _end(screen: Screen) -> int | None:
    """Up to where the output is that it shows; None while more came as it was looked at."""
    return screen.offset if screen.exact else None
