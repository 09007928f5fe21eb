"""What is printed: results on stdout, remarks on stderr. Without a reader of stdout the command ends."""

from __future__ import annotations

import json
import os
import select
import sys
from contextlib import suppress
from typing import Any, BinaryIO, TextIO

from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import CliError

_DEFAULT_WIDTH = 80


class Output:
    """``is_tty`` says that a person reads stdout. Raises ``BrokenPipeError`` when nobody does any more."""

    def __init__(self, stdout: TextIO | None, stderr: TextIO | None) -> None:
        self._stdout = stdout
        self._stderr = stderr
        self.is_tty = stdout is not None and stdout.isatty()

    def text(self, text: str) -> None:
        """As it is, no line end added; what reached here from a terminal was filtered before."""
        self.data(text.encode("utf-8", "replace"))

    def line(self, text: str) -> None:
        self.text(text + "\n")

    def json(self, value: object, *, compact: bool = False) -> None:
        """ASCII only, so that it is safe on a terminal; on several lines for people unless ``compact``."""
        self.line(json.dumps(value, indent=2 if self.is_tty and not compact else None))

    def data(self, data: bytes) -> None:
        """At once, so that a follower's reader waits for nothing."""
        if self._stdout is None:
            raise BrokenPipeError
        try:
            self._stdout.flush()
            _write_all(self._stdout.buffer, data)
        except OSError as error:
            self._abandon()
            if isinstance(error, BrokenPipeError):
                raise
            raise CliError(f"cannot write the output: {error.strerror}") from error

    def flush(self) -> None:
        """Write what others printed to stdout; raises as ``data`` does."""
        if self._stdout is not None:
            self.data(b"")

    def note(self, text: str) -> None:
        """One line on stderr."""
        if self._stderr is None:
            return
        with suppress(OSError):
            self._stderr.write(f"teleclaude: {plain(text)}\n")
            self._stderr.flush()

    def width(self) -> int | None:
        """Columns of the terminal; None when there is none."""
        if not self.is_tty or self._stdout is None:
            return None
        with suppress(OSError):
            return os.get_terminal_size(self._stdout.fileno()).columns or _DEFAULT_WIDTH
        return _DEFAULT_WIDTH

    def _abandon(self) -> None:
        """Keep the interpreter from failing once more at its exit, when it writes what is left."""
        if self._stdout is None:
            return
        with suppress(OSError):
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self._stdout.fileno())
            os.close(devnull)


def _write_all(stream: BinaryIO, data: bytes) -> None:
    """Past Python's buffer: whether there is one depends on the environment, and so does whether it writes all."""
    raw: Any = getattr(stream, "raw", stream)
    rest = memoryview(data)
    while rest:
        written = raw.write(rest)
        if written is None:  # whoever shares the terminal made it non-blocking
            select.select([], [raw], [])
        else:
            rest = rest[written:]


def standard_output() -> Output:
    return Output(sys.stdout, sys.stderr)
