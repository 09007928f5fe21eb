"""Says one thing: makes its text at the last moment and does with the chat what that needs, one call at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Literal

import structlog
from telegram import Message, MessageEntity

from teleclaude.errors import GapError, TeleclaudeError
from teleclaude.model import Prompt, Screen
from teleclaude.wire.sessions import ReadOutput, ReadScreen
from teleclaude_telegram import moves, render
from teleclaude_telegram.api import BadRequest
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Button, Rows, columns, mint
from teleclaude_telegram.media import Media, markup
from teleclaude_telegram.outbox import Outbox, Rest
from teleclaude_telegram.plan import Detail, Job, Rank
from teleclaude_telegram.render import Text
from teleclaude_telegram.room import SELF, Room
from teleclaude_telegram.topics import Topics

log = structlog.get_logger(__name__)

FINAL_BYTES = 64 << 10
FINAL_UNITS = 3400
QUESTION_TTL = 24 * 3600.0
FORGOTTEN_SECONDS = 60.0
MAX_AGAIN_SECONDS = 20.0

_OF_ITS_OWNER = ("live", "question", "title", "topic", "close")
"""What only the bot of the computer that has a session does."""

Handler = Callable[[Job, Place | None], Awaitable[bool | Rest]]


class Deliverer:
    """``step`` is what the outbox calls."""

    def __init__(self, room: Room, outbox: Outbox) -> None:
        self._room = room
        self._outbox = outbox
        self._shown: dict[str, str] = {}
        self._topics = topics = Topics(room, outbox)
        media = Media(room, outbox)
        self._handlers: dict[str, Handler] = {
            "say": self._say,
            "final": self._final,
            "live": self._live,
            "question": self._question,
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
        message = await self._send(job, place, text, keyboard=doc.get("keyboard"), silent=doc.get("silent", True))
        if place is not None and doc.get("tidy"):
            place.tidy_later(message.message_id)
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

    async def _send(
        self, job: Job, place: Place | None, text: Text, *, keyboard: Rows | None = None, silent: bool = True
    ) -> Message:
        """Raises ``BadRequest`` as for a deleted topic when the server put it elsewhere."""
        if place is not None and not self._room.is_apart(place):
            text = render.bold(f"[{place.name}]\n") + text
        if job.doc.get("again"):
            text = Text(render.AGAIN) + text
        if render.units(text.body) > render.TEXT_UNITS:
            text = render.plain(text.body)
        thread = job.doc.get("thread") if place is None else place.thread
        await self._outbox.about_to_send(job)
        message = await self._room.api.bot.send_message(
            self._room.chat_id,
            text.body,
            entities=None if job.doc.get("bare") else _entities(text),
            message_thread_id=thread,
            disable_notification=silent,
            reply_markup=markup(keyboard),
            disable_web_page_preview=True,
        )
        await self._room.expect_in(place, message)
        if place is not None and place.remade:
            place.remade = 0
            await self._room.keep(place)
        return message

    async def _left(self, job: Job, place: Place | None) -> bool:
        """Everything else is said: where it went."""
        assert place is not None
        if not place.left:
            return True
        await self._send(job, place, Text(f"➡️ It lives on {place.left} now."))
        place.asked, place.closed = "", True
        served = place.served()
        await self._room.keep(place)
        await self._room.tidy(served)
        return True

    async def _final(self, job: Job, place: Place | None) -> bool:
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
            await self._send(job, place, render.pre(text, FINAL_UNITS), keyboard=keyboard, silent=job.doc["silent"])
        place.said = max(place.said, end)
        served = place.served()
        await self._room.keep(place)
        self._shown.pop(place.session_id, None)
        self._outbox.plan.forget(f"live:{place.session_id}")
        await self._room.tidy(served)
        return True

    async def _output(self, place: Place, start: int, end: int, screen: str) -> tuple[str, bool]:
        """The end of what came in a range of the stream as a person saw it, and whether that is all."""
        whole = end - start <= FINAL_BYTES
        start = max(start, end - FINAL_BYTES)
        if render.draws(await self._read(place, start, end, "raw")):
            shown = screen or await self._screen(place)
            if shown:
                return shown, True
        text = render.clean((await self._read(place, start, end, "text")).decode(errors="replace")).rstrip()
        shown, fits = render.tail(text, FINAL_UNITS)
        return shown, whole and fits

    async def _screen(self, place: Place) -> str:
        """What it looks like now; empty where that cannot be known."""
        if place.left:
            return ""
        try:
            screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        except TeleclaudeError as error:
            log.debug("telegram_no_screen", session=place.session_id, error=str(error))
            return ""
        return render.screen_text(screen.lines, render.FINAL_LINES)

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

    async def _live(self, job: Job, place: Place | None) -> bool:
        """The terminal as it is, in the one message that is edited; nothing when it looks the same."""
        assert place is not None
        now = self._room.context.clock.monotonic()
        detail = self._outbox.plan.detail(now)
        if detail is Detail.SILENT:
            return True
        screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        if await self.ask(place, screen):
            return True
        lines = render.DIGEST_LINES if detail is Detail.DIGEST else render.SCREEN_LINES
        text = render.pre(render.screen_text(screen.lines, lines))
        digest = _digest(text.body)
        if not text.body or (place.live is not None and self._shown.get(place.session_id) == digest):
            return True
        self._shown[place.session_id] = digest
        if len(self._shown) > len(self._room.places):
            self._shown = {known: shown for known, shown in self._shown.items() if known in self._room.places}
        if place.live is None:
            message = await self._send(job, place, text)
            place.live = message.message_id
            await self._room.keep(place)
            return True
        if not self._room.is_apart(place):
            text = render.bold(f"[{place.name}]\n") + text
        await self._outbox.spend()
        await self._room.api.bot.edit_message_text(
            text.body, chat_id=self._room.chat_id, message_id=place.live, entities=_entities(text)
        )
        return True

    async def ask(self, place: Place, screen: Screen) -> bool:
        """Whether the screen asks something; when it is new, it is queued to be passed on."""
        prompt = screen.prompt
        if prompt is None:
            if place.asked or place.shows_question:
                place.asked = ""
                await self._room.keep(place)
                self._outbox.sign(place.session_id)
            return False
        if prompt.fingerprint != place.asked:
            name = f"question:{place.session_id}"
            wait = self._asked_just_now(place, prompt)
            if wait > 0:
                if self._outbox.plan.find(name) is None:
                    self._outbox.show(place.session_id, {"do": "question"}, key=name, delay=wait, rank=Rank.URGENT)
                return True
            place.asked = prompt.fingerprint
            await self._room.keep(place)
            await self._outbox.say(
                place.session_id,
                Rank.URGENT,
                {"do": "question", "fingerprint": prompt.fingerprint},
                key=name,
            )
            self._outbox.sign(place.session_id)
        return True

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

    async def _question(self, job: Job, place: Place | None) -> bool:
        """The question as it stands now, with a button for each answer; nothing when it was answered meanwhile."""
        assert place is not None
        screen = await self._room.hub.call(SELF, ReadScreen(id=place.session_id))
        prompt = screen.prompt
        if prompt is None:
            return True
        if job.id is None:
            # It was put off; by now it may have been passed on, or be another.
            if prompt.fingerprint != place.asked:
                await self.ask(place, screen)
            return True
        place.asked = prompt.fingerprint
        buttons = [
            Button(
                option.label,
                {
                    "do": "answer",
                    "session": place.session_id,
                    "fingerprint": prompt.fingerprint,
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
        message = await self._send(job, place, text, keyboard=keyboard or None, silent=False)
        if place.question is not None:
            place.tidy_later(place.question)
        place.question = message.message_id
        await self._room.keep(place)
        return True


def _entities(text: Text) -> list[MessageEntity] | None:
    return [MessageEntity(**entity) for entity in text.entities] or None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
