"""Python sessions: a worker process each, its cells, and what is known of them."""

from teleclaude.python.cell import RunningCell
from teleclaude.python.pool import WorkerPool
from teleclaude.python.process import WorkerProcess
from teleclaude.python.session import PythonSession
from teleclaude.python.settings import Place, PythonSettings
from teleclaude.python.supervisor import Listener

__all__ = [
    "Listener",
    "Place",
    "PythonSession",
    "PythonSettings",
    "RunningCell",
    "WorkerPool",
    "WorkerProcess",
]
