"""Where output goes: descriptors 1 and 2 are the cell's own pipes while it runs, and the background pipe otherwise.

So children and C code write where they belong, and go on writing there after the cell's end. What Python code prints is
asked whose it is: a thread or a task that an earlier cell started prints to the background.
"""

from __future__ import annotations

import contextvars
import io
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, cast

_CELL: contextvars.ContextVar[str | None] = contextvars.ContextVar("cell", default=None)

_THREAD_CELL = "_teleclaude_cell"

_UNBUFFERED = 2
"""_IONBF of setvbuf(3), on Linux and macOS."""


class Capture:
    """Owns descriptors 1 and 2, which are the background pipe when it is made."""

    def __init__(self) -> None:
        self.cell: str | None = None
        self._background = os.dup(1)
        self._streams = (CellStream(1, self), CellStream(2, self))
        _unbuffer_c()
        self._mark_threads()

    def enter(self, cell: str, stdout: int, stderr: int) -> None:
        """Take over both descriptors for a cell."""
        self._switch(stdout, stderr)
        os.close(stdout)
        os.close(stderr)
        self.cell = cell
        _CELL.set(cell)
        self.install()

    def leave(self) -> None:
        """Everything the cell printed is in its pipes; what comes from now on is background."""
        self._switch(self._background, self._background)
        self.cell = None

    def install(self) -> None:
        """Make our streams the interpreter's, whatever code did to them."""
        sys.stdout = sys.__stdout__ = cast("Any", self._streams[0])  # type: ignore[misc]
        sys.stderr = sys.__stderr__ = cast("Any", self._streams[1])  # type: ignore[misc]

    def owner(self) -> str | None:
        """The cell that the calling code belongs to."""
        cell = _CELL.get()
        if cell is None:
            cell = getattr(threading.current_thread(), _THREAD_CELL, None)
        return self.cell if cell is None else cell

    def write_background(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._background, view) :]

    def _switch(self, stdout: int, stderr: int) -> None:
        for stream in self._streams:
            stream.drain()
        os.dup2(stdout, 1)
        os.dup2(stderr, 2)
        for stream in self._streams:
            stream.renew()

    def _mark_threads(self) -> None:
        """Let every thread know the cell that started it: before 3.14 they do not inherit the context."""
        start: Callable[[threading.Thread], None] = threading.Thread.start
        owner = self.owner

        def started(self: threading.Thread) -> None:
            setattr(self, _THREAD_CELL, owner())
            start(self)

        threading.Thread.start = started  # type: ignore[method-assign]


class CellStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr``: line-buffered, cannot be closed."""

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, descriptor: int, capture: Capture) -> None:
        self._descriptor = descriptor
        self._capture = capture
        self._text = self._open()
        self._broken = False

    @property
    def buffer(self) -> Any:
        return self._text.buffer

    @property
    def line_buffering(self) -> bool:
        return self._text.line_buffering

    def write(self, text: str) -> int:
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        if self._capture.owner() == self._capture.cell:
            return self._text.write(text)
        self._capture.write_background(text.encode(self.encoding, self.errors))
        return len(text)

    def flush(self) -> None:
        self._text.flush()

    def drain(self) -> None:
        """Flush; what cannot be written any more, because code closed the descriptor, is dropped."""
        try:
            self._text.flush()
        except (OSError, ValueError):
            # Dropped now, while nothing it tries to write can reach anybody; there may be no descriptor to open.
            self._text = io.TextIOWrapper(io.BytesIO(), self.encoding, self.errors)
            self._broken = True

    def renew(self) -> None:
        """After a ``drain``, once the descriptor is a good one again."""
        if self._broken:
            self._text = self._open()
            self._broken = False

    def reconfigure(self, **options: Any) -> None:
        """Kept for code that asks for it. The encoding is ours."""
        options = {name: value for name, value in options.items() if name in ("line_buffering", "write_through")}
        self._text.reconfigure(**options)

    def close(self) -> None:
        self.flush()

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return False

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def _open(self) -> io.TextIOWrapper:
        raw = io.FileIO(self._descriptor, "w", closefd=False)
        return io.TextIOWrapper(io.BufferedWriter(raw), self.encoding, self.errors, newline="\n", line_buffering=True)


def _unbuffer_c() -> None:
    """C's own stdout would keep its text until the process ends, and out of order."""
    try:
        import ctypes  # noqa: PLC0415 - an interpreter may have been built without it

        library = ctypes.CDLL(None)
        name = "__stdoutp" if sys.platform == "darwin" else "stdout"
        library.setvbuf(ctypes.c_void_p.in_dll(library, name), None, _UNBUFFERED, ctypes.c_size_t(0))
    except (ImportError, OSError, ValueError, AttributeError):
        return
