"""Executions that have not ended, in memory, and what whoever runs them has to offer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from teleclaude.model import Execution, StreamTotals
from teleclaude.service.executions.sinks import StreamSink

STREAMS = ("stdout", "stderr")
ORDER = "order"
"""The stream that says in which order pieces of the others were read."""


class Running(Protocol):
    """What an execution can be asked to do, by whichever engine it runs: a command or a Python cell.

    Controls raise ``ExitedError`` once it has ended and ``ConflictError`` for what it cannot do now. ``cancel`` answers
    at once, and a second one changes nothing.
    """

    @property
    def totals(self) -> Mapping[str, StreamTotals]:
        """What was written to each stream so far."""
        ...

    async def pause(self) -> None: ...

    async def resume(self) -> None: ...

    async def cancel(self) -> None: ...

    async def interrupt(self) -> None: ...

    async def signal(self, name: str) -> None: ...

    async def write_stdin(self, data: bytes) -> None: ...

    async def close_stdin(self) -> None: ...


@dataclass(slots=True, eq=False)
class LiveExecution:
    """``running`` is None until it runs. ``begun`` is set when it does, or ended before; ``ended`` once its outcome is
    stored. ``withdraw`` takes it out of its queue.
    """

    execution: Execution
    sinks: Mapping[str, StreamSink]
    running: Running | None = None
    withdraw: Callable[[], None] | None = None
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    listeners: set[Callable[[], None]] = field(default_factory=set)

    @property
    def id(self) -> str:
        return self.execution.id

    def tell(self) -> None:
        """Let every follower look at it again."""
        for listener in tuple(self.listeners):
            listener()


class ExecutionTable:
    """All live executions of this computer by id. Their number is bounded by the queues that admit them."""

    def __init__(self) -> None:
        self._by_id: dict[str, LiveExecution] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[LiveExecution]:
        return iter(list(self._by_id.values()))

    def find(self, execution_id: str) -> LiveExecution | None:
        return self._by_id.get(execution_id)

    def insert(self, live: LiveExecution) -> None:
        self._by_id[live.id] = live

    def remove(self, live: LiveExecution) -> None:
        self._by_id.pop(live.id, None)
