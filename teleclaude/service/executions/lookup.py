"""From an execution's id to what is known of it: live ones from memory, ended ones from the store."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from teleclaude.api import OutputExit, OutputItem
from teleclaude.clock import timestamp
from teleclaude.errors import NotFoundError
from teleclaude.model import OUTCOMES, Execution, FailedState, Principal
from teleclaude.service.access import covers, local_reference
from teleclaude.service.executions.live import ExecutionTable, LiveExecution
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.service.output import Source
from teleclaude.streams import Stream, StreamStore

_ID = re.compile(r"E[0-9A-Z]{17}")


@dataclass(frozen=True, slots=True)
class FoundExecution:
    """``live`` is None for one that has ended."""

    stored: Execution
    live: LiveExecution | None

    @property
    def execution(self) -> Execution:
        return self.live.execution if self.live is not None else self.stored


class ExecutionLookup:
    """Implements ``teleclaude.service.output.Sources``."""

    def __init__(self, table: ExecutionTable, records: ExecutionRecords, streams: StreamStore, computer: str) -> None:
        self._table = table
        self._records = records
        self._streams = streams
        self._computer = computer

    def owns(self, reference: str) -> bool:
        return _ID.fullmatch(reference.rpartition("/")[2]) is not None

    async def find(self, principal: Principal, reference: str, *, operation: str) -> FoundExecution:
        """Raises ``NotFoundError``, also for one outside the principal's scope."""
        wanted = local_reference(reference, self._computer, operation=operation)
        found = await self._find(wanted)
        if found is None or not _covered(principal, found.execution):
            raise NotFoundError(f"there is no execution {reference}", operation=operation)
        return found

    async def source(self, principal: Principal, reference: str, stream: str, *, operation: str) -> Source:
        found = await self.find(principal, reference, operation=operation)
        return ExecutionSource(found, self._streams.get(found.execution.id, stream))

    async def _find(self, execution_id: str) -> FoundExecution | None:
        live = self._table.find(execution_id)
        if live is not None:
            return FoundExecution(live.execution, live)
        if not self.owns(execution_id):
            return None
        stored = await self._records.get(execution_id)
        return FoundExecution(stored, None) if stored is not None else None


class ExecutionSource:
    """Implements ``teleclaude.service.output.Source`` for one stream of an execution."""

    def __init__(self, found: FoundExecution, stream: Stream) -> None:
        self._found = found
        self.stream = stream

    @property
    def ended(self) -> bool:
        return self._found.live is None or self._found.live.ended.is_set()

    @property
    def state(self) -> str | None:
        state = self._found.execution.state
        return None if isinstance(state, OUTCOMES) else state.name

    def last_item(self) -> OutputItem:
        execution = self._found.execution
        state, ending = execution.state, execution.ending
        data: dict[str, object] = {"state": state.name}
        if ending is not None:
            reason = state.reason.value if isinstance(state, FailedState) else None
            data |= {
                "code": ending.exit_code,
                "signal": ending.signal,
                "at": timestamp(ending.completed_at),
                "reason": reason,
            }
        return OutputExit(data)

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        live = self._found.live
        if live is None:
            return lambda: None
        live.listeners.add(listener)
        return lambda: live.listeners.discard(listener)


def _covered(principal: Principal, execution: Execution) -> bool:
    if principal.sessions is None:
        return True
    return execution.session_id is not None and covers(principal, execution.session_id)
