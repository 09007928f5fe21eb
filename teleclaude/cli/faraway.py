"""A terminal of another computer in this one: its bytes shown here, what is typed here sent there."""

from __future__ import annotations

import fcntl
import json
import os
import select
import signal
import struct
import sys
import termios
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from teleclaude.cli.escapes import plain
from teleclaude.cli.failure import OK, CliError, ConnectionFailedError
from teleclaude.cli.output import Output
from teleclaude.cli.values import session_path
from teleclaude.cli.websocket import BINARY, CLOSE, TEXT, WebSocket

if TYPE_CHECKING:
    from teleclaude.cli.client import Client

DETACH = b"\x1d"
"""Ctrl-]: what telnet has for it."""

_CLEAR = b"\x1b[2J\x1b[H"
_RESET = b"\x1b[0m\x1b[?1049l\x1b[?25h\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\r\n"
"""Ends every mode that the program over there may have left on."""

_PIECE_BYTES = 1 << 16


def show_faraway(client: Client, out: Output, reference: str) -> int:
    """Until the session ends or the person detaches; a session that is handed off is followed to where it went."""
    target: str | None = reference
    while target is not None:
        start = _show_screen(client, out, target)
        with client.websocket(session_path(target, "tty"), query={"from": start}) as link, _raw_terminal():
            target = _Attached(link, out).run()
        out.data(_RESET)
    return OK


def _show_screen(client: Client, out: Output, reference: str) -> int:
    """Paint what the terminal shows now; answers the offset from which to go on."""
    lines, headers = client.fetch(session_path(reference, "screen"), query={"format": "ansi"})
    screen = client.call("GET", session_path(reference, "screen"), query={"format": "json"})
    cursor = screen.get("cursor") or {}
    out.data(b"\x1b[?1049h" if screen.get("alternate") else b"")
    out.data(_CLEAR + b"\r\n".join(lines.rstrip(b"\n").split(b"\n")))
    out.data(f"\x1b[0m\x1b[{int(cursor.get('y', 0)) + 1};{int(cursor.get('x', 0)) + 1}H".encode())
    offset = headers.get("Teleclaude-Offset", "")
    if not offset.isdecimal():
        raise CliError("the daemon did not say which offset the screen stands for")
    return int(offset)


class _Attached:
    """A thread shows what comes; this one sends what is typed, and the size when it changes."""

    def __init__(self, link: WebSocket, out: Output) -> None:
        self._link = link
        self._out = out
        self._wake, self._waker = os.pipe()
        self._over = False
        self._target: str | None = None
        self._failure: CliError | None = None

    def run(self) -> str | None:
        """Where the session went; None when there is nothing more to show."""
        reader = threading.Thread(target=self._show, name="terminal", daemon=True)
        before = signal.signal(signal.SIGWINCH, lambda *_: self._tell_size())
        try:
            self._tell_size()
            reader.start()
            self._send_typed()
        finally:
            signal.signal(signal.SIGWINCH, before)
            with suppress(CliError):
                self._link.send(CLOSE, struct.pack("!H", 1000))
            reader.join(1.0)
            os.close(self._waker)
            os.close(self._wake)
        if self._failure is not None:
            raise self._failure
        return self._target

    def _send_typed(self) -> None:
        keyboard = sys.stdin.fileno()
        while not self._over:
            ready, _, _ = select.select([keyboard, self._wake], [], [])
            if self._wake in ready or self._over:
                return
            data = os.read(keyboard, _PIECE_BYTES)
            before, detach, _ = data.partition(DETACH)
            if before:
                self._link.send(BINARY, before)
            if detach or not data:
                self._out.data(b"\r\n[detached]")
                return

    def _tell_size(self) -> None:
        rows, cols = struct.unpack("4H", fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, bytes(8)))[:2]
        if rows and cols:
            with suppress(CliError):
                self._link.send(TEXT, json.dumps({"type": "resize", "cols": max(cols, 2), "rows": rows}).encode())

    def _show(self) -> None:
        try:
            while not self._over:
                message = self._link.receive()
                if message.opcode == BINARY:
                    self._out.data(message.data)
                elif message.opcode == TEXT:
                    self._hear(json.loads(message.data))
                elif message.opcode == CLOSE:
                    break
        except ConnectionFailedError as error:
            self._failure = None if self._over else error
        except (CliError, OSError, ValueError) as error:
            self._failure = error if isinstance(error, CliError) else CliError(str(error))
        finally:
            self._over = True
            with suppress(OSError):
                os.write(self._waker, b"x")

    def _hear(self, said: dict[str, Any]) -> None:
        match said.get("type"):
            case "exit":
                self._over = True
                how = said.get("signal") if said.get("signal") is not None else said.get("code")
                self._out.data(f"\r\n[the session ended: {plain(str(how))}]".encode())
            case "handed_off":
                self._over = True
                self._target = f"{said.get('computer')}/{said.get('session_id')}"
            case "gap":
                self._out.data(f"\r\n[{plain(str(said.get('reason')))}: output is missing here]\r\n".encode())
            case "error" if said.get("code") != "forbidden":
                self._failure = CliError(plain(str(said.get("detail"))))


@contextmanager
def _raw_terminal() -> Iterator[None]:
    """Keys reach us as they are typed, and nothing is echoed."""
    keyboard = sys.stdin.fileno()
    before = termios.tcgetattr(keyboard)
    tty.setraw(keyboard)
    try:
        yield
    finally:
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)
