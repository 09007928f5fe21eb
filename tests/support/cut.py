"""A TCP port that leads to a unix socket, over a wire that can be cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

PIECE = 1 << 16


class Wire:
    """``port`` on the loopback; ``cut`` breaks every connection there is."""

    def __init__(self, socket: Path) -> None:
        self.port = 0
        self.cuts = 0
        self._socket = socket
        self._transports: set[asyncio.WriteTransport] = set()

    def cut(self) -> None:
        for transport in self._transports:
            transport.abort()
        self.cuts += 1

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_unix_connection(self._socket)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer.transport, back.transport}
        self._transports |= ends
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, back))
                group.create_task(_pump(there, writer))
        finally:
            self._transports -= ends
            for transport in ends:
                transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(PIECE):
            writer.write(data)
            await writer.drain()
    # One direction's end is the whole connection's: these are closed by whoever is done.
    writer.transport.abort()


@asynccontextmanager
async def wire_to(socket: Path) -> AsyncIterator[Wire]:
    wire = Wire(socket)
    server = await asyncio.start_server(wire.carry, "127.0.0.1", 0)
    wire.port = server.sockets[0].getsockname()[1]
    try:
        yield wire
    finally:
        server.close()
        wire.cut()
        await server.wait_closed()
