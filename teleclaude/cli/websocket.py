"""The client's side of a WebSocket (RFC 6455), as much of it as a terminal needs. Blocks."""

from __future__ import annotations

import base64
import os
import socket
import struct
import threading
from typing import BinaryIO, NamedTuple

from teleclaude.cli.failure import TRY_AGAIN, CliError, ConnectionFailedError

TEXT, BINARY, CLOSE, PING, PONG = 0x1, 0x2, 0x8, 0x9, 0xA

MAX_FRAME_BYTES = 4 << 20

_FINAL = 0x80
_MASKED = 0x80


class Message(NamedTuple):
    """``opcode`` is TEXT, BINARY or CLOSE."""

    opcode: int
    data: bytes


def upgrade_headers() -> dict[str, str]:
    """What asks for the upgrade. The key is no secret; it only proves that the other side read it."""
    key = base64.b64encode(os.urandom(16)).decode()
    return {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": key,
    }


class WebSocket:
    """One thread may receive while others send."""

    def __init__(self, connected: socket.socket, reader: BinaryIO) -> None:
        self._socket = connected
        self._reader = reader
        self._sending = threading.Lock()

    def receive(self) -> Message:
        """The next whole message; pings are answered on the way. Raises ``ConnectionFailedError`` at the end."""
        parts: list[bytes] = []
        opcode = 0
        while True:
            final, kind, data = self._frame()
            if kind == PING:
                self.send(PONG, data)
            elif kind == CLOSE:
                return Message(CLOSE, data)
            elif kind != PONG:
                opcode = kind or opcode
                parts.append(data)
                if sum(map(len, parts)) > MAX_FRAME_BYTES:
                    raise CliError("the daemon sent a message that is too long")
                if final:
                    return Message(opcode, b"".join(parts))

    def send(self, opcode: int, data: bytes) -> None:
        """One frame, masked as a client's has to be."""
        mask = os.urandom(4)
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", _FINAL | opcode, _MASKED | size)
        elif size < 1 << 16:
            head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size)
        else:
            head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size)
        with self._sending:
            try:
                self._socket.sendall(head + mask + masked(data, mask))
            except OSError as error:
                raise _lost(error) from error

    def _frame(self) -> tuple[bool, int, bytes]:
        first, second = self._exactly(2)
        size = second & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", self._exactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", self._exactly(8))
        if size > MAX_FRAME_BYTES:
            raise CliError("the daemon sent a message that is too long")
        return bool(first & _FINAL), first & 0x0F, self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        try:
            data = self._reader.read(size)
        except (OSError, ValueError) as error:
            raise _lost(error) from error
        if len(data) < size:
            raise _lost(None)
        return data


def masked(data: bytes, mask: bytes) -> bytes:
    """Every byte combined with the mask's, in turn."""
    size = len(data)
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


def _lost(error: Exception | None) -> ConnectionFailedError:
    cause = f" ({error})" if error is not None else ""
    return ConnectionFailedError(f"the connection to the terminal was lost{cause}", TRY_AGAIN, was_sent=True)
