"""The proxy's own behaviour: nothing without faults, and each fault as its name says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from teleclaude.testing.faultproxy import FaultProxy
from tests.support.wait import eventually


class Echo:
    """Sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.saw_end = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                self.got += data
                writer.write(data)
                await writer.drain()
            self.saw_end.set()
            writer.write(b"bye")
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def echoing() -> AsyncIterator[tuple[Echo, FaultProxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    try:
        async with FaultProxy(server.sockets[0].getsockname()[:2]) as proxy:
            yield echo, proxy
    finally:
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def client(proxy: FaultProxy) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(*proxy.address)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def told(reader: asyncio.StreamReader, size: int) -> bytes:
    async with asyncio.timeout(5):
        return await reader.readexactly(size)


async def test_without_faults_every_byte_passes_both_ways() -> None:
    data = bytes(range(256)) * 4096
    async with echoing() as (echo, proxy), client(proxy) as (reader, writer):
        writer.write(data)
        assert await told(reader, len(data)) == data
        assert proxy.to_server.passed == proxy.to_client.passed == len(data)
        writer.write_eof()
        assert await told(reader, 3) == b"bye"
        assert bytes(echo.got) == data


async def test_delay_holds_every_piece_back() -> None:
    async with echoing() as (_, proxy), client(proxy) as (reader, writer):
        proxy.to_client.delay = 0.2
        began = asyncio.get_running_loop().time()
        writer.write(b"x")
        assert await told(reader, 1) == b"x"
        assert asyncio.get_running_loop().time() - began >= 0.2


async def test_what_is_dropped_never_comes_and_the_sender_does_not_know() -> None:
    async with echoing() as (echo, proxy), client(proxy) as (reader, writer):
        proxy.to_client.drop = True
        writer.write(b"lost")
        await eventually(lambda: bytes(echo.got) == b"lost" and proxy.to_client.passed == 4)
        proxy.heal()
        writer.write(b"here")
        assert await told(reader, 4) == b"here"


async def test_reset_cuts_both_ends() -> None:
    async with echoing() as (_, proxy), client(proxy) as (reader, writer):
        writer.write(b"x")
        await told(reader, 1)
        proxy.reset()
        with pytest.raises(ConnectionResetError):
            await told(reader, 1)
        await eventually(lambda: proxy.connections == 0)


async def test_cut_refuses_until_it_is_healed() -> None:
    async with echoing() as (_, proxy):
        proxy.cut()
        async with client(proxy) as (reader, _):
            with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
                await told(reader, 1)
        proxy.heal()
        async with client(proxy) as (reader, writer):
            writer.write(b"x")
            assert await told(reader, 1) == b"x"


async def test_half_open_the_way_back_lives_on() -> None:
    async with echoing() as (echo, proxy), client(proxy) as (reader, writer):
        writer.write(b"x")
        await told(reader, 1)
        proxy.half_close()
        assert await told(reader, 3) == b"bye"
        assert echo.saw_end.is_set()


async def test_a_stall_keeps_the_bytes_for_later() -> None:
    async with echoing() as (echo, proxy), client(proxy) as (reader, writer):
        proxy.to_server.stalled = True
        writer.write(b"later")
        await asyncio.sleep(0.1)
        assert not echo.got
        proxy.to_server.stalled = False
        assert await told(reader, 5) == b"later"


async def test_a_stalled_proxy_ends_all_the_same() -> None:
    async with echoing() as (_, proxy), client(proxy) as (_, writer):
        proxy.to_server.stalled = True
        writer.write(b"never")
        await asyncio.sleep(0.05)


async def test_a_limit_lets_so_many_bytes_through_and_no_more() -> None:
    async with echoing() as (echo, proxy), client(proxy) as (reader, writer):
        proxy.to_server.limit = 3
        writer.write(b"12345")
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await told(reader, 5)
        assert bytes(echo.got) in (b"123", b"")  # what was under way may be lost with the connection


async def test_a_server_that_is_not_there_looks_like_one_that_went(tmp_path: Path) -> None:
    async with FaultProxy(tmp_path / "nobody") as proxy, client(proxy) as (reader, _):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            await told(reader, 1)


async def test_unix_sockets_are_proxied_too(tmp_path: Path) -> None:
    echo = Echo()
    server = await asyncio.start_unix_server(echo.serve, str(tmp_path / "real"))
    try:
        async with FaultProxy(tmp_path / "real", listen=tmp_path / "proxied") as proxy:
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "proxied"))
            writer.write(b"x")
            assert await told(reader, 1) == b"x"
            writer.close()
            await eventually(lambda: proxy.connections == 0)
    finally:
        server.close()
        await server.wait_closed()
