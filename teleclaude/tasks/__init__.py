"""Every task, helper process and watched process of the daemon, each with an owner and a deadline."""

from teleclaude.tasks.pidfd import ProcessWatch, process_start_time, send_signal, watch_child, watch_process
from teleclaude.tasks.registry import TaskCounts, TaskFailure, TaskRegistry
from teleclaude.tasks.subprocess import Completed, run_bounded

__all__ = [
    "Completed",
    "ProcessWatch",
    "TaskCounts",
    "TaskFailure",
    "TaskRegistry",
    "process_start_time",
    "run_bounded",
    "send_signal",
    "watch_child",
    "watch_process",
]
