"""What a daemon that died left behind: its executions are lost, and what still runs of them is ended."""

from __future__ import annotations

from dataclasses import replace

import structlog

from teleclaude.clock import Clock
from teleclaude.model import Ending, Execution, LostState, StreamTotals
from teleclaude.process import end_leftovers
from teleclaude.service.executions.keeper import ended_fact
from teleclaude.service.executions.live import STREAMS
from teleclaude.service.executions.records import ExecutionRecords
from teleclaude.streams import StreamStore

log = structlog.get_logger(__name__)


async def recover(records: ExecutionRecords, streams: StreamStore, clock: Clock) -> None:
    """End and record every execution that was stored as not ended."""
    for execution in await records.live():
        left = await end_leftovers(execution.process, execution.id)
        if left:
            pids = " ".join(str(process.pid) for process in left)
            log.error("leftovers_not_ended", execution_id=execution.id, pids=pids)
        lost = replace(
            execution.moved_to(LostState(Ending(completed_at=clock.now(), started_at=execution.started_at))),
            streams={name: _kept(execution, streams, name) for name in STREAMS},
        )
        await records.save(lost, ended_fact(lost))
        log.warning("execution_lost", execution_id=execution.id)


def _kept(execution: Execution, streams: StreamStore, name: str) -> StreamTotals:
    """How much was written is not known any more, only what is there."""
    bounds = streams.get(execution.id, name).bounds()
    return StreamTotals(start=bounds.start, end=bounds.end, total=bounds.end)
