"""From a reference to the session it means: live ones from memory, ended ones from the store."""

from __future__ import annotations

from dataclasses import dataclass

from teleclaude.errors import NotFoundError
from teleclaude.model import Principal, Session, is_name
from teleclaude.service.access import covers, local_reference
from teleclaude.service.records import Records
from teleclaude.service.table import Live, SessionTable
from teleclaude.streams import Stream, StreamStore


@dataclass(frozen=True, slots=True)
class Found:
    """``live`` is None for a session that has ended."""

    session: Session
    stream: Stream
    live: Live | None

    @property
    def ended(self) -> bool:
        return self.live is None or self.live.ended.is_set()


class Lookup:
    def __init__(self, table: SessionTable, records: Records, streams: StreamStore, computer: str) -> None:
        self._table = table
        self._records = records
        self._streams = streams
        self._computer = computer

    async def find(self, principal: Principal, reference: str, *, operation: str) -> Found:
        """Raises ``NotFoundError``, also for a session outside the principal's scope, and ``UnavailableError`` for a
        session of another computer.
        """
        found = await self._find(reference, operation)
        if found is None or not covers(principal, found.session.id):
            raise NotFoundError(f"there is no session {reference}", operation=operation)
        return found

    async def _find(self, reference: str, operation: str) -> Found | None:
        wanted = local_reference(reference, self._computer, operation=operation)
        live = self._table.find(wanted)
        if live is not None:
            return Found(live.session, live.stream, live)
        session = (
            await self._records.find(self._computer, wanted) if is_name(wanted) else await self._records.get(wanted)
        )
        if session is None:
            return None
        # It may have come alive while the store was read.
        live = self._table.find(session.id)
        if live is not None:
            return Found(live.session, live.stream, live)
        return Found(session, self._streams.get(session.id), None)
