"""``input()`` and ``sys.stdin``: questions to whoever started the cell."""

from __future__ import annotations

import builtins
import io
import itertools
import os
import sys
import threading
from typing import Any, cast

from teleclaude.python.worker.capture import Capture
from teleclaude.python.worker.failures import clean
from teleclaude.python.worker.link import Link

MAX_PROMPT = 8 << 10


class _Question:
    def __init__(self) -> None:
        self.answered = threading.Event()
        self.text: str | None = None


class Asking:
    """Each question has a number, so answers cannot be mixed up, whatever threads ask at once."""

    def __init__(self, link: Link, capture: Capture) -> None:
        self._link = link
        self._capture = capture
        self._numbers = itertools.count(1)
        self._open: dict[int, _Question] = {}
        self._lock = threading.Lock()
        self._cell: str | None = None
        self._timeout: float | None = None

    def allow(self, cell: str, timeout: float | None) -> None:
        """From now on ``cell`` may ask, and gets an answer within ``timeout`` seconds; None: it may not ask."""
        self._cell = cell
        self._timeout = timeout

    def forbid(self) -> None:
        """The cell is over; threads of it that still ask get no answer any more."""
        with self._lock:
            self._cell = None
            for question in self._open.values():
                question.answered.set()

    def install(self) -> None:
        builtins.input = self.input
        sys.stdin = sys.__stdin__ = cast("Any", _Stdin(self))  # type: ignore[misc]

    def input(self, prompt: Any = "", /) -> str:
        """Ask for a line. Raises ``EOFError`` when nobody answers such questions, ``TimeoutError`` when nobody did."""
        sys.stdout.flush()
        return self.ask(str(prompt))

    def ask(self, prompt: str) -> str:
        cell = self._capture.owner()
        number, question = next(self._numbers), _Question()
        with self._lock:
            if self._cell is None or cell != self._cell:
                raise EOFError("nobody answers: the cell that asks is over")
            if self._timeout is None:
                raise EOFError("nobody answers: the cell was started without allow_stdin")
            self._open[number] = question
        try:
            text = clean(prompt)[:MAX_PROMPT]
            self._link.send({"op": "input", "id": cell, "request": number, "prompt": text})
            answered = question.answered.wait(self._timeout)
        finally:
            with self._lock:
                del self._open[number]
        if not answered:
            self._link.send({"op": "input_over", "id": cell, "request": number})
            raise TimeoutError(f"no answer within {self._timeout:g} s")
        if question.text is None:
            raise EOFError("the input was closed")
        return question.text

    def answer(self, number: int, text: str | None) -> None:
        """None closes the input. An answer that comes too late is dropped."""
        question = self._open.get(number)
        if question is not None:
            question.text = text
            question.answered.set()


class _Stdin(io.TextIOBase):
    """Lines of ``sys.stdin`` are questions without a prompt."""

    encoding = "utf-8"
    errors = "strict"

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._rest = ""

    def readable(self) -> bool:
        return True

    def readline(self, size: int | None = -1, /) -> str:  # type: ignore[override]
        if not self._rest:
            try:
                self._rest = self._asking.ask("") + os.linesep
            except EOFError:
                return ""
        end = self._rest.index("\n") + 1
        if size is not None and size >= 0:
            end = min(end, size)
        line, self._rest = self._rest[:end], self._rest[end:]
        return line

    def read(self, size: int | None = -1, /) -> str:
        if size is not None and size >= 0:
            return self.readline(size)
        return "".join(iter(self.readline, ""))

    def close(self) -> None:
        """It stays open: ``quit()`` closes it, and the session goes on."""
