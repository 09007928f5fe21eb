"""What is printed: results on stdout, remarks on stderr. Without a reader of stdout the command ends."""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from typing import TextIO

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
        if self._stdout is None:
            raise BrokenPipeError
        try:
            self._stdout.buffer.write(data)
            self._stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise CliError(f"cannot write the output: {error.strerror}") from error

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

    def abandon(self) -> None:
        """After ``BrokenPipeError``: keep the interpreter from writing once more at its exit."""
        if self._stdout is None:
            return
        with suppress(OSError):
            devnull = os.open(os.devnull, os.O_WRONLY)
            os.dup2(devnull, self._stdout.fileno())
            os.close(devnull)


def standard_output() -> Output:
    return Output(sys.stdout, sys.stderr)
