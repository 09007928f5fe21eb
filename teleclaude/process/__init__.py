"""One-shot commands: started in their own session, watched, limited, and ended with everything they started."""

from teleclaude.process.cgroup import CgroupRoot, claim
from teleclaude.process.group import MARK_VARIABLE, ProcessGroup
from teleclaude.process.leftovers import end_left_groups, end_leftovers
from teleclaude.process.limits import ExecutionPolicy, Limits
from teleclaude.process.orphans import OrphanReaper, become_subreaper, is_subreaper
from teleclaude.process.outcome import never_started, spawn_failed
from teleclaude.process.queue import Slot, SlotQueue
from teleclaude.process.runner import Prepared, Runner
from teleclaude.process.running import RunningExecution
from teleclaude.process.sink import Sink

__all__ = [
    "MARK_VARIABLE",
    "CgroupRoot",
    "ExecutionPolicy",
    "Limits",
    "OrphanReaper",
    "Prepared",
    "ProcessGroup",
    "Runner",
    "RunningExecution",
    "Sink",
    "Slot",
    "SlotQueue",
    "become_subreaper",
    "claim",
    "end_left_groups",
    "end_leftovers",
    "is_subreaper",
    "never_started",
    "spawn_failed",
]
