"""Who comes in: whom the config names, in the one chat that is served."""

from __future__ import annotations

from collections import OrderedDict

import structlog

from teleclaude.model import Principal
from teleclaude_telegram.people import People
from teleclaude_telegram.room import Room
from teleclaude_telegram.updates import Said, Tapped, TopicNews

log = structlog.get_logger(__name__)

MAX_STRANGERS = 1000
STRANGER_SECONDS = 3600.0


class Gate:
    """``refused`` counts what strangers sent."""

    def __init__(self, room: Room, people: People) -> None:
        self._room = room
        self._people = people
        self._strangers: OrderedDict[int | None, float] = OrderedDict()
        self.refused = 0

    def principal(self, incoming: Said | Tapped | TopicNews) -> Principal | None:
        """Who did this, None when it is nobody's business here."""
        if incoming.chat_id != self._room.chat_id:
            self._turned_away(incoming.user_id, "another chat")
            return None
        principal = self._people.principal(incoming.user_id)
        if principal is None:
            self._turned_away(incoming.user_id, "a stranger")
        return principal

    def _turned_away(self, user_id: int | None, why: str) -> None:
        """No answer; one line of the log for each stranger and hour, and one of the audit."""
        self.refused += 1
        now = self._room.context.clock.monotonic()
        last = self._strangers.get(user_id)
        if last is not None and now - last < STRANGER_SECONDS:
            return
        self._strangers[user_id] = now
        if len(self._strangers) > MAX_STRANGERS:
            self._strangers.popitem(last=False)
        log.warning("telegram_turned_away", user_id=user_id, why=why, so_far=self.refused)
        self._room.hub.note_refused(f"tg:{user_id}", "telegram.update", "forbidden")
