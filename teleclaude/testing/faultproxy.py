"""A TCP proxy that breaks what goes through it, as networks do: late, lost, cut, stuck, or one way only."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Self

Address = tuple[str, int] | Path
"""Host and port, or the path of a unix socket."""

PIECE_BYTES = 64 << 10
CONNECT_SECONDS = 5.0
TICK_SECONDS = 0.01


@dataclass(slots=True)
class Faults:
    """What happens to bytes going one way. Takes effect at once, for connections that are open, too.

    ``delay`` holds every piece back for so many seconds, in order. ``drop`` swallows bytes: the sender thinks that they
    arrived. ``limit`` lets so many more bytes through (of all connections together) and then resets the one that sent
    the next. ``stalled`` leaves bytes where they are, so that the sender notices once the buffers are full.
    """

    delay: float = 0.0
    drop: bool = False
    limit: int | None = None
    stalled: bool = False
    passed: int = 0

    def heal(self) -> None:
        """Pass on everything again."""
        self.delay, self.drop, self.limit, self.stalled = 0.0, False, None, False

    def take(self, size: int) -> int:
        """How many of ``size`` bytes may pass."""
        allowed = size if self.limit is None else min(size, self.limit)
        if self.limit is not None:
            self.limit -= allowed
        self.passed += allowed
        return allowed


class FaultProxy:
    """An async context manager: inside, ``address`` leads to ``target``, through ``to_server`` and back through
    ``to_client``. Without faults it changes nothing.
    """

    def __init__(self, target: Address, *, listen: Address = ("127.0.0.1", 0)) -> None:
        self.to_server = Faults()
        self.to_client = Faults()
        self.refusing = False
        self.accepted = 0
        self._target = target
        self._listen = listen
        self._server: asyncio.Server | None = None
        self._open: set[_Connection] = set()

    async def __aenter__(self) -> Self:
        if isinstance(self._listen, Path):
            self._server = await asyncio.start_unix_server(self._serve, str(self._listen))
        else:
            self._server = await asyncio.start_server(self._serve, *self._listen)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        assert self._server is not None
        self._server.close()
        self.heal()
        self.reset()
        ended = [connection.ended.wait() for connection in self._open]
        await asyncio.gather(*ended)
        await self._server.wait_closed()
        if isinstance(self._listen, Path):
            await asyncio.to_thread(self._listen.unlink, missing_ok=True)

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, on TCP."""
        assert self._server is not None
        host, port = self._server.sockets[0].getsockname()[:2]
        return host, port

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def reset(self) -> None:
        """Cut every open connection with RST, both ways; what was under way is lost."""
        for connection in self._open:
            connection.reset()

    def cut(self) -> None:
        """Reset what is open and refuse what comes, until ``heal``."""
        self.refusing = True
        self.reset()

    def half_close(self) -> None:
        """Tell the servers that the clients have sent their last, while the way back stays open."""
        for connection in self._open:
            connection.half_close()

    def black_hole(self) -> None:
        """Swallow everything both ways and keep the connections: a network that is gone without a word."""
        self.to_server.drop = self.to_client.drop = True

    def heal(self) -> None:
        """No more faults. What was swallowed stays lost."""
        self.refusing = False
        self.to_server.heal()
        self.to_client.heal()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        connection = _Connection(reader, writer)
        self._open.add(connection)
        try:
            if self.refusing:
                connection.reset()
            else:
                await self._pass_on(connection)
        except (OSError, TimeoutError):
            connection.reset()
        finally:
            self._open.discard(connection)
            connection.ended.set()

    async def _pass_on(self, connection: _Connection) -> None:
        async with asyncio.timeout(CONNECT_SECONDS):
            reader, writer = await _connect(self._target)
        connection.far = writer
        if connection.is_cut:
            connection.reset()
            return
        await asyncio.gather(
            _pump(connection, connection.reader, writer, self.to_server),
            _pump(connection, reader, connection.writer, self.to_client),
        )
        for end in (connection.writer, writer):
            end.close()
            with contextlib.suppress(OSError):
                await end.wait_closed()


class _Connection:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.far: asyncio.StreamWriter | None = None
        self.is_cut = False
        self.ended = asyncio.Event()

    def reset(self) -> None:
        self.is_cut = True
        for writer in (self.writer, self.far):
            if writer is not None:
                _reset(writer)

    def half_close(self) -> None:
        if self.far is not None and self.far.can_write_eof():
            self.far.write_eof()


async def _pump(
    connection: _Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, faults: Faults
) -> None:
    """One way, until either end is gone."""
    with contextlib.suppress(OSError):
        while data := await reader.read(PIECE_BYTES):
            await asyncio.sleep(faults.delay)
            while faults.stalled and not connection.is_cut:  # noqa: ASYNC110 - a plain flag is the simpler tool
                await asyncio.sleep(TICK_SECONDS)
            allowed = faults.take(len(data))
            if allowed and not faults.drop:
                writer.write(data[:allowed])
                await writer.drain()
            if allowed < len(data):
                connection.reset()
        if not connection.is_cut and writer.can_write_eof():
            writer.write_eof()


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    if isinstance(address, Path):
        return await asyncio.open_unix_connection(str(address))
    return await asyncio.open_connection(*address)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST rather than FIN (SO_LINGER of 0 s, socket(7))."""
    sock = writer.get_extra_info("socket")
    if sock is not None and sock.family != socket.AF_UNIX:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
