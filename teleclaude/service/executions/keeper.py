"""Keeps every execution's record, streams and followers, whoever runs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import partial

import structlog

from teleclaude.clock import Clock, timestamp
from teleclaude.errors import NotFoundError, TeleclaudeError
from teleclaude.events import ExecutionCreated, ExecutionEnded, ExecutionStateChanged, Fact, OutputGap
from teleclaude.model import (
    Execution,
    FailedState,
    Gap,
    LiveState,
    Outcome,
    RunningState,
    StreamTotals,
)
from teleclaude.service.executions.live import ORDER, STREAMS, ExecutionTable, LiveExecution, Running
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.service.executions.sinks import StreamSink
from teleclaude.streams import StreamStore
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.executions import shown_command

log = structlog.get_logger(__name__)

OWNER = "execution-ends"
STORE_TRIES_SECONDS = (0.1, 0.5)
RETRY_SECONDS = 5.0


class Keeper:
    """The door for every engine: the one for commands, and any other that runs executions.

    An engine calls ``open`` with a new record (queued or starting), runs the work with the two ``sinks`` of the answer,
    calls ``changed`` with each state that is not the last, and ``finish`` exactly once, after the sinks are closed:

        live = await keeper.open(execution)
        cell = session.submit(..., sinks=live.sinks, changed=partial(keeper.changed, live))
        keeper.attach(live, cell)                  # from now on clients can control it
        await keeper.finish(live, await cell.wait())

    Between ``open`` and ``attach`` a client may cancel it only if ``live.withdraw`` is set; the engine then still
    calls ``finish``. Nothing an engine does here can fail because of a client or a subscriber.
    """

    def __init__(
        self,
        *,
        table: ExecutionTable,
        records: ExecutionRecords,
        streams: StreamStore,
        tasks: TaskRegistry,
        clock: Clock,
    ) -> None:
        self._table = table
        self._records = records
        self._streams = streams
        self._tasks = tasks
        self._clock = clock

    async def open(self, execution: Execution) -> LiveExecution:
        """Record it durably and make it visible. Raises what the store raises; then there is nothing of it."""
        sinks = {
            name: StreamSink(execution.id, name, partial(self._streams.get, execution.id, name), self._tasks)
            for name in (*STREAMS, ORDER)
        }
        live = LiveExecution(execution, sinks)
        fact = ExecutionCreated(command=shown_command(execution.spec), status=execution.state.name)
        try:
            await self._records.insert(execution, fact)
        except BaseException:
            self._records.withdraw(execution)
            raise
        self._table.insert(live)
        return live

    def attach(self, live: LiveExecution, running: Running) -> None:
        """It runs: from now on controls reach it."""
        live.running = running
        live.withdraw = None
        live.begun.set()
        live.tell()

    def changed(self, live: LiveExecution, state: LiveState) -> None:
        """It is now in ``state``. Stored in order, without making the engine wait."""
        live.execution = live.execution.moved_to(state)
        if isinstance(state, RunningState):
            live.begun.set()
        live.tell()
        self._records.save_soon(live.execution, ExecutionStateChanged(status=state.name))

    def note(self, live: LiveExecution, fact: Fact) -> None:
        """A fact that leaves its state as it is. Stored in order, without making the engine wait."""
        live.tell()
        self._records.save_soon(live.execution, fact)

    async def finish(self, live: LiveExecution, outcome: Outcome, totals: Mapping[str, StreamTotals]) -> None:
        """The end: stored with its event, then told. ``totals`` is what the engine counted."""
        kept = {name: self._kept(live.sinks[name], totals.get(name, StreamTotals())) for name in STREAMS}
        live.execution = replace(live.execution.moved_to(outcome), streams=kept)
        facts = [*_holes(live), ended_fact(live.execution)]
        if await self._store_end(live.execution, facts, STORE_TRIES_SECONDS):
            self._table.remove(live)
        else:
            # The outcome is known, and is told from memory until it can be stored.
            self._tasks.spawn(self._store_late(live, facts), name=f"store {live.id}", owner=OWNER)
        live.begun.set()
        live.ended.set()
        live.tell()
        ending = live.execution.ending
        assert ending is not None
        log.info(
            "execution_finished",
            execution_id=live.id,
            status=outcome.name,
            exit_code=ending.exit_code,
            signal=ending.signal,
            started_at=timestamp(ending.started_at) if ending.started_at else None,
            completed_at=timestamp(ending.completed_at),
            duration_ms=ending.duration_ms,
        )

    def view_totals(self, live: LiveExecution) -> dict[str, StreamTotals]:
        """What can be read of each stream now, and what was written."""
        counted = live.running.totals if live.running is not None else {}
        return {name: self._kept(live.sinks[name], counted.get(name, StreamTotals())) for name in STREAMS}

    def _kept(self, sink: StreamSink, counted: StreamTotals) -> StreamTotals:
        bounds = sink.bounds
        total = max(counted.total, bounds.end)
        return StreamTotals(
            start=bounds.start,
            end=bounds.end,
            total=total,
            truncated=counted.truncated or sink.fault is not None,
        )

    async def _store_end(self, execution: Execution, facts: list[Fact], pauses: Iterable[float]) -> bool:
        """Whether it was stored, at once or after one of the pauses, or is not wanted any more."""
        for pause in (0.0, *pauses):
            if pause:
                await self._clock.sleep(pause)
            try:
                await self._records.save(execution, *facts)
                return True
            except NotFoundError:
                log.info("execution_deleted_before_its_end_was_stored", execution_id=execution.id)
                return True
            except TeleclaudeError as error:
                log.warning("execution_end_not_stored", execution_id=execution.id, error=str(error))
        return False

    async def _store_late(self, live: LiveExecution, facts: list[Fact]) -> None:
        while not await self._store_end(live.execution, facts, ()):
            await self._clock.sleep(RETRY_SECONDS)
        self._table.remove(live)


def _holes(live: LiveExecution) -> list[Fact]:
    return [OutputGap.of(name, Gap(0, 0, None, "not_kept")) for name in STREAMS if live.sinks[name].fault is not None]


def ended_fact(execution: Execution) -> ExecutionEnded:
    """The terminal event: the same facts, taken once, that state and result show."""
    state, ending = execution.state, execution.ending
    assert ending is not None
    return ExecutionEnded(
        status=state.name,
        reason=state.reason.value if isinstance(state, FailedState) else None,
        exit_code=ending.exit_code,
        signal=ending.signal,
        started_at=timestamp(ending.started_at) if ending.started_at else None,
        completed_at=timestamp(ending.completed_at),
        duration_ms=ending.duration_ms,
        end={name: totals.end for name, totals in execution.streams.items()},
    )
