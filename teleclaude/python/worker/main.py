"""The worker process: takes the socket, becomes a session when told how, and serves it."""

from __future__ import annotations

import os
import platform
import sys
import threading
import time
from typing import Any

from teleclaude.python.worker.analysis import Analyser
from teleclaude.python.worker.engine import Engine
from teleclaude.python.worker.frames import Message
from teleclaude.python.worker.interrupts import Interrupts
from teleclaude.python.worker.link import Link


def main(descriptor: int, lifeline: int) -> None:
    """Serve the session on the socket ``descriptor`` until told to exit. Runs on the main thread.

    ``lifeline`` is held open and never read: when its other end closes, the kernel wakes us even if we are stopped.
    """
    os.set_inheritable(lifeline, False)
    Worker(descriptor).run()


class Worker:
    """Booted, it waits for its session; the reading thread answers what must not wait for a cell."""

    def __init__(self, descriptor: int) -> None:
        self._began = time.monotonic()
        self._interrupts = Interrupts()
        self._interrupts.install()
        self._link = Link(descriptor, self._interrupts)
        self._names = sys.modules["__main__"].__dict__
        self._engine: Engine | None = None
        self._start: Message | None = None
        self._started = threading.Event()

    def run(self) -> None:
        reader = threading.Thread(target=self._link.read, args=(self._handle,), name="teleclaude", daemon=True)
        reader.start()
        self._link.send({"op": "booted", "pid": os.getpid(), "python": platform.python_version()})
        self._started.wait()
        engine = self._become_session()
        self._link.send({"op": "ready", "pid": os.getpid()})
        engine.serve()

    def _become_session(self) -> Engine:
        start = self._start
        assert start is not None
        os.environ.update(start["env"])
        os.chdir(start["cwd"])
        os.environ["PWD"] = start["cwd"]
        if start["memory_bytes"] is not None:
            _limit_memory(start["memory_bytes"])
        for name in [name for name in self._names if not name.startswith("__")]:
            del self._names[name]
        sys.argv = [""]
        if not getattr(sys.flags, "safe_path", False):
            sys.path.insert(0, "")
        self._engine = Engine(self._link, self._interrupts, Analyser(start["cache_size"]), self._names)
        return self._engine

    def _handle(self, message: Message) -> None:
        """One message, on the reading thread."""
        kind = message["op"]
        engine = self._engine
        if kind == "ping":
            self._link.send(self._beat(message["seq"]))
        elif kind == "start":
            self._start = message
            self._started.set()
        elif engine is None:
            raise RuntimeError(f"{kind} before the session began")
        elif kind == "interrupt":
            self._interrupts.request(message["id"])
        elif kind == "answer":
            engine.asking.answer(message["request"], message["text"])
        else:
            engine.arrived(message)

    def _beat(self, seq: int) -> dict[str, Any]:
        running = self._engine.running if self._engine is not None else None
        return {
            "op": "beat",
            "seq": seq,
            "state": "idle" if running is None else "running",
            "running": running,
            "uptime_ms": round((time.monotonic() - self._began) * 1000),
        }


def _limit_memory(size: int) -> None:
    import resource  # noqa: PLC0415 - not everywhere

    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (size if hard < 0 else min(size, hard), hard))
