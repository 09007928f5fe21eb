"""Runs cells on the main thread, one at a time, and the loop between them."""

from __future__ import annotations

import asyncio
import inspect
import linecache
import os
import time
from collections import deque
from collections.abc import Callable
from types import CodeType
from typing import Any

from teleclaude.python.worker import render
from teleclaude.python.worker.analysis import Analyser, Cell
from teleclaude.python.worker.asking import Asking
from teleclaude.python.worker.capture import Capture
from teleclaude.python.worker.failures import clean, describe
from teleclaude.python.worker.frames import FrameTooLargeError, Message
from teleclaude.python.worker.interrupts import Interrupts
from teleclaude.python.worker.link import Link
from teleclaude.python.worker.loop import SessionLoop
from teleclaude.python.worker.namespace import HISTORY, Namespace
from teleclaude.python.worker.snapshots import restore, save

MAX_LISTED = 1000
LISTED_REPR_CHARS = 200

_CANCEL_SECONDS = 0.2


class Engine:
    """``arrived`` belongs to the reading thread, everything else to the main one."""

    def __init__(self, link: Link, interrupts: Interrupts, analyser: Analyser, names: dict[str, Any]) -> None:
        self.running: str | None = None
        self._link = link
        self._interrupts = interrupts
        self._analyser = analyser
        self._namespace = Namespace(names)
        self._capture = Capture()
        self.asking = Asking(link, self._capture)
        self._loop = SessionLoop()
        self._loop.let_run()
        self._flags = 0
        self._inbox: deque[Message] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._requests: dict[str, Callable[[Message], dict[str, Any]]] = {
            "variables": self._list_variables,
            "update": self._update_variables,
            "clear": self._clear_variables,
            "snapshot": self._snapshot,
            "restore": self._restore,
        }

    def arrived(self, message: Message) -> None:
        """A request has come. Called by the reading thread."""
        self._loop.call_soon_threadsafe(self._deliver, message)

    def serve(self) -> None:
        """Answer requests until the one to exit."""
        self._reclaim()
        while True:
            message = self._next()
            if message["op"] == "exit":
                return
            try:
                self._answer(message)
            except KeyboardInterrupt as error:
                # A second interrupt hit the handling of the first.
                self._interrupts.close()
                self._send_failure(message, error)

    def _next(self) -> Message:
        """Wait for a request while the session's tasks run. One that exits or stops the loop ends itself only."""
        while not self._inbox:
            self._waiter = self._loop.create_future()
            try:
                asyncio._set_running_loop(None)
                self._loop.run_until_complete(self._waiter)
            except (KeyboardInterrupt, SystemExit, RuntimeError) as error:
                self._capture.write_background(f"a task ended with {type(error).__name__}\n".encode())
        return self._inbox.popleft()

    def _deliver(self, message: Message) -> None:
        self._inbox.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _answer(self, message: Message) -> None:
        if message["op"] == "execute":
            self._execute(message)
            return
        reply: Message = {"op": "reply", "id": message["id"], "data": None, "error": None}
        data, error = self._guarded(message["id"], lambda: self._requests[message["op"]](message))
        reply["data"] = data
        reply["error"] = None if error is None else self._described(message["id"], error)
        self._send(reply)

    def _execute(self, message: Message) -> None:
        cell = message["id"]
        self._reclaim()
        self._capture.enter(cell, *self._link.take_descriptors(2))
        self.asking.allow(cell, message["input_timeout"])
        self.running = cell
        began = time.monotonic()
        count = self._namespace.begin(message["code"])
        shown, error = self._guarded(cell, lambda: self._run_cell(message["code"], count))
        result = _result(message, count)
        if error is None:
            result.update(shown or {})
        else:
            result["status"] = "exit" if isinstance(error, SystemExit) else "error"
            result["error"] = self._described(cell, error)
        if self._link.is_cut:
            # A child that the cell forked has come back from it. Two cannot share one loop.
            self._capture.leave()
            os._exit(0 if error is None else 1)
        self.asking.forbid()
        self._capture.leave()
        self.running = None
        result["execution_time_ms"] = round((time.monotonic() - began) * 1000, 3)
        self._send(result)

    def _guarded(self, work: str, function: Callable[[], Any]) -> tuple[Any, BaseException | None]:
        """Run the user's code and catch whatever comes out of it."""
        try:
            return self._interrupts.run(work, function), None
        except BaseException as error:
            self._interrupts.close()
            return None, error

    def _described(self, work: str, error: BaseException) -> dict[str, Any]:
        """To say what an error says is the user's code again."""
        described, failure = self._guarded(work, lambda: describe(error))
        if failure is None:
            return dict(described)
        name = clean(type(error).__name__)
        return {"type": name, "message": "it cannot be shown", "traceback": [], "line": None, "offset": None}

    def _run_cell(self, source: str, count: int) -> dict[str, Any] | None:
        filename = f"<cell {count}>"
        cell = self._analyser.analyse(source, filename, self._flags)
        self._keep_source(filename, source, cell)
        if cell.error is not None:
            raise cell.error
        self._flags = cell.flags
        self._link.send({"op": "started", "id": self.running})
        value = self._evaluate(cell.body)
        value = self._evaluate(cell.tail)
        figures = render.take_open_figures()
        shown = None
        if value is not None or figures:
            with self._loop.current():
                shown = render.render(figures[-1] if value is None else value, figures)
        self._namespace.remember(value)
        return shown

    def _evaluate(self, code: CodeType | None) -> Any:
        if code is None:
            return None
        if code.co_flags & inspect.CO_COROUTINE:
            return self._await(code)
        with self._loop.current():
            return eval(code, self._namespace.names)

    def _await(self, code: CodeType) -> Any:
        """Run it as a task. An interrupt of its waiting is a KeyboardInterrupt for the caller."""
        task = self._loop.create_task(eval(code, self._namespace.names))
        self._interrupts.task = task
        try:
            return self._loop.run_until_complete(task)
        except asyncio.CancelledError:
            if self._interrupts.cancelled:
                raise KeyboardInterrupt from None
            raise
        finally:
            self._interrupts.task = None
            if not task.done():
                # Somebody else's step was hit. The cell's own task must not live on.
                task.cancel()
                self._loop.run_until_complete(asyncio.wait({task}, timeout=_CANCEL_SECONDS))

    def _keep_source(self, filename: str, source: str, cell: Cell) -> None:
        """Let tracebacks, ``inspect`` and the debugger show it."""
        code = cell.body or cell.tail
        name = filename if code is None else code.co_filename
        lines = [line + "\n" for line in source.split("\n")]
        linecache.cache.pop(name, None)
        linecache.cache[name] = (len(source), None, lines, name)
        linecache.cache.pop(f"<cell {self._namespace.count - HISTORY}>", None)

    def _reclaim(self) -> None:
        """Take back what the cell before may have replaced."""
        self._interrupts.install()
        self._capture.install()
        self.asking.install()

    def _list_variables(self, message: Message) -> dict[str, Any]:
        names = self._namespace.user_names()
        listed = []
        for name in names[:MAX_LISTED]:
            if name in self._namespace.names:
                value = self._namespace.names[name]
                text, _ = render.bounded_repr(value, LISTED_REPR_CHARS, [])
                listed.append({"name": clean(name), "type": clean(type(value).__name__), "repr": text})
        return {"variables": listed, "total": len(names)}

    def _update_variables(self, message: Message) -> dict[str, Any]:
        updated, skipped = self._namespace.update(message["values"], message["strategy"])
        return {"updated": updated, "skipped": skipped}

    def _clear_variables(self, message: Message) -> dict[str, Any]:
        return {"cleared": len(self._namespace.clear())}

    def _snapshot(self, message: Message) -> dict[str, Any]:
        with os.fdopen(self._link.take_descriptors(1)[0], "wb") as file:
            return save(self._namespace, file)

    def _restore(self, message: Message) -> dict[str, Any]:
        with os.fdopen(self._link.take_descriptors(1)[0], "rb") as file:
            return restore(self._namespace, file)

    def _send(self, message: Message) -> None:
        try:
            self._link.send(message)
        except (FrameTooLargeError, ValueError, TypeError) as error:
            self._send_failure(message, error)

    def _send_failure(self, message: Message, error: BaseException) -> None:
        """An answer there must be."""
        if message["op"] in ("execute", "result"):
            if self.running is not None:
                self.asking.forbid()
                self._capture.leave()
                self.running = None
            failed = _result(message, self._namespace.count)
            self._link.send({**failed, "status": "error", "error": describe(error)})
        else:
            self._link.send({"op": "reply", "id": message["id"], "data": None, "error": describe(error)})


def _result(message: Message, count: int) -> Message:
    return {
        "op": "result",
        "id": message["id"],
        "status": "ok",
        "count": count,
        "repr": None,
        "value": None,
        "display": {},
        "truncated": False,
        "notes": [],
        "error": None,
        "execution_time_ms": 0.0,
    }
