"""One request of a person: who, where, and how to answer it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import structlog

from teleclaude.errors import InvalidError
from teleclaude.model import Principal, PromptKind
from teleclaude.wire.base import Command
from teleclaude.wire.sessions import SessionView
from teleclaude_telegram import render
from teleclaude_telegram.api import ApiError, explain
from teleclaude_telegram.journal import Place
from teleclaude_telegram.keyboards import Button, mint
from teleclaude_telegram.outbox import Outbox
from teleclaude_telegram.plan import Rank
from teleclaude_telegram.render import Text
from teleclaude_telegram.room import Room
from teleclaude_telegram.watch import Watcher

log = structlog.get_logger(__name__)

R = TypeVar("R")
VANISH_SECONDS = 2.0
DEFECT = "⚠️ This met a defect of the daemon, whose log has the trace. Look at the session before you try again."


class Besides(Protocol):
    """See ``teleclaude_telegram.beside.Beside``."""

    async def begin(self, ask: Ask, kind: str, name: str, doc: dict[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class Tools:
    """What answering takes."""

    room: Room
    outbox: Outbox
    watcher: Watcher
    besides: Besides


@dataclass(frozen=True, slots=True)
class Ask:
    """``key`` is the same when the same update is worked off again, so that it has its effect once."""

    tools: Tools
    principal: Principal
    key: str
    thread: int | None
    message_id: int | None
    place: Place | None
    args: str = ""
    name: str = ""
    there: SessionView | None = None
    """The session of another computer in whose topic it was asked."""

    def session(self) -> Place:
        """Raises ``InvalidError`` outside of a session's topic."""
        if self.place is None:
            raise InvalidError("write this in a session's topic; /ls lists the sessions", operation="telegram")
        return self.place

    def words(self, most: int) -> list[str]:
        return self.args.split(maxsplit=most - 1) if self.args else []

    def number(self, default: int = 1, most: int = 1000) -> int:
        """The argument as a count. Raises ``InvalidError``."""
        if not self.args:
            return default
        if not (self.args.isascii() and self.args.isdigit() and 1 <= int(self.args[:6]) <= most):
            raise InvalidError(f"write a number from 1 to {most} behind /{self.name}", operation="telegram")
        return int(self.args)

    async def call(self, command: Command[R], part: str = "") -> R:
        """Raises ``TeleclaudeError``."""
        key = f"{self.key}{part}" if command.mutates else None
        return await self.tools.room.hub.call(self.principal, command, key=key)

    async def reply(
        self,
        text: Text | str,
        *,
        rows: Sequence[Sequence[Button]] = (),
        rank: Rank = Rank.REPLY,
        silent: bool = True,
        tidy: bool = True,
        key: str | None = None,
        also: Mapping[str, Any] | None = None,
        delay: float = 0.0,
    ) -> None:
        """Say it where it was asked; with ``tidy`` it goes once the session has said something else.

        What has buttons waits for a tap of the person who asked, and goes with that. One that waits under ``key``
        becomes this one; ``also`` is written beside it.
        """
        room = self.tools.room
        shown = render.plain(text) if isinstance(text, str) else text
        doc = {"do": "say", "text": shown.body, "entities": list(shown.entities), "silent": silent}
        doc["tidy"] = tidy and not rows
        if rows:
            own = [[replace(button, deed={**button.deed, "by": self.principal.name}) for button in row] for row in rows]
            doc["keyboard"] = await mint(room.journal, own, now=room.now())
        doc |= also or {}
        await self.say(doc, rank, key=key, delay=delay)

    async def say(self, doc: dict[str, Any], rank: Rank, *, key: str | None = None, delay: float = 0.0) -> None:
        """Queue it for where it was asked: its session's place, or what is left of that once the session is gone."""
        topic, place = "", self.place
        if place is None:
            doc["thread"] = self.thread
        elif self.tools.room.place(place.session_id) is place:
            topic = place.session_id
        else:
            doc["thread"] = place.thread
        await self.tools.outbox.say(topic, rank, doc, key=key, delay=delay)

    async def beside(self, kind: str, name: str, **doc: Any) -> None:
        """Do what takes long beside everything else, and after a restart again; what goes wrong is said."""
        await self.tools.besides.begin(self, kind, name, doc)

    def written(self) -> dict[str, Any]:
        """As much of it as is needed to answer later."""
        return {
            "by": self.principal.name,
            "key": self.key,
            "thread": self.thread,
            "message_id": self.message_id,
            "session": None if self.place is None else self.place.session_id,
        }

    async def served(self) -> None:
        """The message has done its work and goes, at once or with the end of the turn."""
        place = self.place
        if place is None or place.left or self.message_id is None:
            return
        place.tidy_later(self.message_id)
        await self.tools.room.keep(place)

    async def hide_secret(self) -> None:
        """A password that a program asks for goes from the chat now, whatever else waits, or else soon."""
        room = self.tools.room
        if self.place is None or self.message_id is None or not self.place.asked:
            return
        screen = await room.screen(self.place)
        if screen is None or screen.prompt is None or screen.prompt.kind is not PromptKind.SECRET:
            return
        try:
            async with asyncio.timeout(VANISH_SECONDS):
                await room.api.bot.delete_message(room.chat_id, self.message_id)
        except (ApiError, TimeoutError) as error:
            log.debug("telegram_not_removed", error=explain(error))
            doc = {"do": "remove", "message": self.message_id}
            await self.tools.outbox.say(self.place.session_id, Rank.URGENT, doc)

    def at(self, place: Place | None) -> Ask:
        return replace(self, place=place)
