"""The daemon's end of a worker's socket: whole frames both ways, and descriptors with them."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

from teleclaude.python.worker.frames import FrameDecoder, Message, encode

_READ_BYTES = 64 << 10


class Channel:
    """Owns the socket. ``send`` may be called by several tasks; ``receive`` by one."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._decoder = FrameDecoder()
        self._sending = asyncio.Lock()
        self._closed = False

    async def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """One frame. The descriptors arrive with its first byte; ours may be closed afterwards.

        Raises ``FrameTooLargeError``, and ``OSError`` when the worker is gone.
        """
        await self.send_raw(encode(message), descriptors)

    async def send_raw(self, data: bytes, descriptors: Sequence[int] = ()) -> None:
        async with self._sending:
            if self._closed:
                raise BrokenPipeError("the connection to the worker is closed")
            sent = await self._send_first(data, descriptors) if descriptors else 0
            if sent < len(data):
                await asyncio.get_running_loop().sock_sendall(self._socket, memoryview(data)[sent:])

    async def receive(self) -> list[Message] | None:
        """The next messages, at least one; None at the end. Raises ``FrameError``."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                data = await loop.sock_recv(self._socket, _READ_BYTES)
            except ConnectionError:
                data = b""
            if not data:
                self._decoder.finish()
                return None
            if messages := self._decoder.feed(data):
                return messages

    def close(self) -> None:
        """Does nothing the second time. Nobody may be receiving."""
        self._closed = True
        self._socket.close()

    async def _send_first(self, data: bytes, descriptors: Sequence[int]) -> int:
        while True:
            try:
                return socket.send_fds(self._socket, [data], descriptors)
            except BlockingIOError:
                await self._writable()

    async def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_writer(self._socket, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_writer(self._socket)
