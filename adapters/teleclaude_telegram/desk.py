"""Works off what came in: who says what to which session. In each topic in the order in which it came."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import structlog

from teleclaude.errors import InvalidError, StoppingError, TeleclaudeError
from teleclaude.model import Kind, Principal
from teleclaude.wire.sessions import GetSession
from teleclaude_telegram import closing, intake, late
from teleclaude_telegram.ask import DEFECT, Ask, Tools
from teleclaude_telegram.commands import COMMANDS, running
from teleclaude_telegram.elsewhere import concerns, heard, left_behind, type_once
from teleclaude_telegram.gate import Gate
from teleclaude_telegram.keyboards import Button
from teleclaude_telegram.lanes import Lanes
from teleclaude_telegram.people import People
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.room import PLAIN, TOPICS
from teleclaude_telegram.taps import Deed, Taps
from teleclaude_telegram.updates import (
    Attachment,
    Ignored,
    Incoming,
    Moved,
    Said,
    Spoken,
    Standing,
    Tapped,
    TopicNews,
    read_command,
    read_update,
)

log = structlog.get_logger(__name__)

LATE_SECONDS = 300
IDLE_SECONDS = 60.0
START_SECONDS = 15.0
START_LOOK_SECONDS = 0.05
HINT_SECONDS = 600.0


class Desk:
    """``wake`` says that updates have come."""

    def __init__(self, tools: Tools, people: People, taps: Taps) -> None:
        self._tools = tools
        self._room = tools.room
        self._people = people
        self._gate = Gate(tools.room, people)
        self._taps = taps
        self._wake = asyncio.Event()
        self._lanes = Lanes(tools.room.context.tasks, self._one, self.wake)
        self._hint_at = 0.0

    @property
    def refused(self) -> int:
        """How many updates of strangers there were."""
        return self._gate.refused

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Work off the journal, for ever."""
        while True:
            self._wake.clear()
            fresh = await self._lanes.fresh(self._waiting)
            if fresh:
                await self._deal(fresh)
            else:
                await self._woken()

    async def _waiting(self) -> list[Incoming]:
        return [read_update(raw, update_id) for update_id, raw in await self._room.journal.waiting()]

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            await self._room.journal.expire(self._room.now())

    async def _deal(self, fresh: list[Incoming]) -> None:
        """Into the lanes; what is late is asked about together, once for each place."""
        doubtful: dict[tuple[int | None, int | None], list[Said]] = {}
        for incoming in fresh:
            if isinstance(incoming, Said) and self._is_asked_about(incoming):
                doubtful.setdefault((incoming.thread_id, incoming.user_id), []).append(incoming)
            else:
                lane = incoming.thread_id if isinstance(incoming, Said | Tapped | TopicNews) else None
                self._lanes.put(lane, incoming)
        for said in doubtful.values():
            await self._ask_first(said)
            for one in said:
                await self._room.journal.worked_off(one.update_id)

    async def _one(self, incoming: Incoming) -> None:
        await self._understood(incoming)
        await self._room.journal.worked_off(incoming.update_id)

    async def _understood(self, incoming: Incoming) -> None:
        try:
            match incoming:
                case Said():
                    await self._said(incoming)
                case Tapped():
                    await self._tapped(incoming)
                case TopicNews():
                    await self._topic(incoming)
                case Moved() if incoming.chat_id == self._room.chat_id:
                    await self._room.move(incoming.to)
                case Standing() if incoming.chat_id == self._room.chat_id:
                    self._room.doubt()
                case Ignored():
                    log.debug("telegram_update_ignored", reason=incoming.reason)
        except StoppingError:
            raise
        except Exception:
            # What one update does to us must not keep the next ones from being worked off.
            log.exception("telegram_update_failed", update_id=incoming.update_id)
            await self._confess(incoming)

    async def _confess(self, incoming: Incoming) -> None:
        """Who wrote or pressed something hears that it met a defect."""
        if not isinstance(incoming, Said | Tapped):
            return
        principal = self._people.principal(incoming.user_id)
        if principal is None or incoming.chat_id != self._room.chat_id:
            return
        try:
            await self._from(incoming, principal).reply(DEFECT, rank=Rank.URGENT, silent=False)
        except Exception:
            # A full disk, say, which is perhaps what the matter was in the first place.
            log.exception("telegram_defect_not_told", update_id=incoming.update_id)

    def _is_asked_about(self, said: Said) -> bool:
        """Whether it is ours, and old or perhaps not the sender's own words."""
        if not said.indirect and self._room.now() - said.date <= LATE_SECONDS:
            return False
        return concerns(self._room, said) and self._gate.principal(said) is not None

    async def _ask_first(self, said: list[Said]) -> None:
        """Old or not the sender's own words: run only when somebody says so."""
        principal = self._gate.principal(said[0])
        if principal is None:
            return
        ask = self._from(said[0], principal)
        for portion in late.portions(said):
            deed = {"do": "late", "yes": True, "said": [asdict(one) for one in portion]}
            rows = [[Button("Run", deed), Button("Discard", {"do": "late", "yes": False})]]
            await ask.reply(late.question(portion), rows=rows, silent=False)

    async def say_late(self, ask: Ask, deed: Deed) -> None:
        """Somebody said yes to it."""
        for number, doc in enumerate(deed["said"]):
            attachment = doc["attachment"]
            said = Said(**{**doc, "attachment": Attachment(**attachment) if attachment else None})
            await self._heard(replace(self._from(said, ask.principal), key=f"{ask.key}-{number}"), said)

    def _from(self, incoming: Said | Tapped, principal: Principal) -> Ask:
        thread = incoming.thread_id if self._room.mode == TOPICS else None
        return Ask(
            tools=self._tools,
            principal=principal,
            key=f"tg:{self._room.chat_id}:{incoming.update_id}",
            thread=thread,
            message_id=incoming.message_id if isinstance(incoming, Said) else None,
            place=self._room.at(incoming.thread_id),
        )

    def remembered(self, kept: Mapping[str, Any]) -> Ask | None:
        """What ``Ask.written`` has kept; None when its person is nobody any more."""
        user_id = kept["by"].removeprefix("tg:")
        principal = self._people.principal(int(user_id)) if user_id.isdecimal() else None
        if principal is None:
            return None
        place = self._room.place(kept["session"] or "")
        return Ask(self._tools, principal, kept["key"], kept["thread"], kept["message_id"], place)

    async def _said(self, said: Said) -> None:
        principal = self._gate.principal(said)
        if principal is not None and concerns(self._room, said):
            await self._heard(self._from(said, principal), said)

    async def _heard(self, ask: Ask, said: Said) -> None:
        try:
            await self._understand(await self._started(ask), said)
        except StoppingError:
            raise
        except TeleclaudeError as error:
            await ask.reply(f"⚠️ {error.detail}")

    async def _started(self, ask: Ask) -> Ask:
        """A topic may be there before its session takes input: only what is said in it waits. And the session may have
        gone to another computer just now, whose bot hears what is said, too.
        """
        if ask.place is None:
            return ask
        clock = self._room.context.clock
        deadline = clock.monotonic() + START_SECONDS
        while clock.monotonic() < deadline:
            session = await ask.call(GetSession(id=ask.place.session_id))
            if session.handed_off is not None:
                await self._tools.watcher.left(session.id, session.handed_off.computer)
                return ask.at(None)
            if session.state != "starting":
                break
            await clock.sleep(START_LOOK_SECONDS)
        return ask

    def _is_of_others(self, said: Said) -> bool:
        """Whether a topic that is no session's of ours may yet be somebody's."""
        room = self._room
        return room.is_group or room.left_from(said.thread_id) is not None or left_behind(room, said) is not None

    async def _understand(self, ask: Ask, said: Said) -> None:
        spoken = read_command(said.text)
        if ask.place is None and ask.thread is not None and self._is_of_others(said):
            await heard(ask, said)
        elif said.attachment is not None:
            await intake.take(ask, said.attachment, said.text)
        elif spoken is not None:
            await self._command(ask, spoken)
        else:
            await self._typed(ask, said.text.removeprefix("/") if said.text.startswith("//") else said.text)

    async def _command(self, ask: Ask, spoken: Spoken) -> None:
        if spoken.bot not in ("", self._room.username):
            return
        command = COMMANDS.get(spoken.name)
        if command is None:
            raise InvalidError(
                f"there is no /{spoken.name}; /help lists what there is, and //{spoken.name} types it",
                operation="telegram",
            )
        await command.run(replace(ask, args=spoken.args, name=command.name))

    async def _typed(self, ask: Ask, text: str) -> None:
        place = ask.place
        if place is None:
            await self._nowhere(ask)
            return
        session = await ask.call(GetSession(id=place.session_id))
        if session.kind is Kind.PYTHON:
            await running.cell(replace(ask, args=text, name="py"))
            return
        await ask.hide_secret()
        self._tools.watcher.touched(place.session_id)
        asked, place.asked = place.asked, ""
        try:
            await type_once(ask, place.session_id, text)
        except TeleclaudeError:
            # Nothing was answered, and nothing has to be asked again.
            place.asked = place.asked or asked
            raise
        await ask.served()

    async def _nowhere(self, ask: Ask) -> None:
        """Text that belongs to no session of ours. People may talk here: once in a while is enough."""
        now = self._room.context.clock.monotonic()
        if now < self._hint_at:
            return
        self._hint_at = now + HINT_SECONDS
        if ask.thread is not None and self._room.mode == TOPICS and not self._room.is_group:
            await ask.reply("This topic has no session. /new NAME begins one, and gives it a topic.")
        elif ask.thread is None:
            await ask.reply("/new NAME begins a session; /ls lists them; /help lists all commands.")

    async def _tapped(self, tapped: Tapped) -> None:
        principal = self._gate.principal(tapped)
        if principal is None:
            return
        ask = replace(self._from(tapped, principal), thread=None, place=None)
        deed = await self._room.journal.look_up(tapped.data, self._room.now())
        if deed is not None and deed.get("thread") is not None:
            ask = replace(ask, thread=deed["thread"])
        await self._taps.tap(ask, tapped)

    async def _topic(self, news: TopicNews) -> None:
        """Closing a topic ends its session; what a bot does is no news."""
        if news.user_id is None or self._room.mode == PLAIN:
            return
        principal = self._gate.principal(news)
        place = self._room.at(news.thread_id)
        if principal is None or place is None or news.change not in ("closed", "reopened"):
            return
        ask = Ask(self._tools, principal, f"tg:{self._room.chat_id}:{news.update_id}", news.thread_id, None, place)
        await closing.changed(ask, place, closed=news.change == "closed")
