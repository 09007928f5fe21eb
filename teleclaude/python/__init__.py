"""Python sessions: a worker process each, its cells, and what is known of them."""

from teleclaude.python.cell import RunningCell
from teleclaude.python.pool import WorkerPool
from teleclaude.python.process import WorkerProcess
from teleclaude.python.session import Listener, PythonSession
from teleclaude.python.settings import Place, PythonSettings

__all__ = [
    "Listener",
    "Place",
    "PythonSession",
    "PythonSettings",
    "RunningCell",
    "WorkerPool",
    "WorkerProcess",
]
