"""WebSocket clients that stall, vanish or send what nobody should, against a running daemon."""

from __future__ import annotations

import hashlib
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
import psutil
import pytest

from tests.integration.rest.rpc_client import Rpc
from tests.integration.rest.served import Wire, wire
from tests.support.daemon import Client, DaemonProcess
from tests.support.outside import Outside, shared_outside_daemon
from tests.support.wait import eventually

FLOOD_BYTES = 20_000_000
GROWTH_BYTES = 40 << 20


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon() as running:
        yield running


@pytest.fixture
async def client(outside: Outside) -> AsyncIterator[Client]:
    async with Client(outside.daemon.socket) as client:
        yield client
        for session in (await client.get("/sessions"))["sessions"]:
            await client.delete(f"/sessions/{session['id']}?purge=true&grace_ms=0")


def memory(daemon: DaemonProcess) -> int:
    return int(psutil.Process(daemon.pid).memory_info().rss)


async def upgrade(raw: Wire, path: str) -> None:
    await raw.send(
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
        "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n".encode()
    )
    status, headers = await raw.head()
    assert (status, "sec-websocket-extensions" in headers) == (101, False)


def frame(head: int, data: bytes) -> bytes:
    """A client's frame (RFC 6455, section 5.2), masked with zeros."""
    size = len(data)
    if size < 126:
        length = bytes([0x80 | size])
    else:
        length = b"\xfe" + struct.pack(">H", size) if size < 65536 else b"\xff" + struct.pack(">Q", size)
    return bytes([head]) + length + b"\0\0\0\0" + data


async def closing_code(raw: Wire) -> int:
    """The code of the server's closing frame, the last thing it says."""
    said = await raw.rest()
    assert said[0] == 0x88, said[:100]
    return int.from_bytes(said[2:4])


async def test_w13_a_million_fragments(outside: Outside, client: Client) -> None:
    before = memory(outside.daemon)
    async with wire(outside.daemon.socket) as raw:
        await upgrade(raw, "/v1/rpc")
        await raw.send(frame(0x01, b"xx"))
        fragments = frame(0x00, b"xx") * 100_000
        for _ in range(10):
            raw.writer.write(fragments)
        assert await closing_code(raw) == 1009
    assert memory(outside.daemon) - before < GROWTH_BYTES
    assert (await client.get("/health"))["status"] == "ok"


async def test_w17_a_compressed_bomb(outside: Outside, client: Client) -> None:
    packer = zlib.compressobj(9, wbits=-15)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()
    before = memory(outside.daemon)
    async with wire(outside.daemon.socket) as raw:
        await upgrade(raw, "/v1/rpc")
        await raw.send(frame(0xC1, bomb))  # RSV1: it says to be compressed, which was not agreed to
        assert await closing_code(raw) == 1002
    assert memory(outside.daemon) - before < GROWTH_BYTES
    assert (await client.get("/health"))["status"] == "ok"


async def digest(socket_: aiohttp.ClientWebSocketResponse, size: int) -> str:
    """SHA-256 of the next ``size`` bytes."""
    seen, found = hashlib.sha256(), 0
    while found < size:
        message = await socket_.receive(timeout=20)
        if message.type is aiohttp.WSMsgType.BINARY:
            seen.update(message.data[: size - found])
            found += len(message.data)
    return seen.hexdigest()


async def test_x39_a_stalled_viewer_loses_nothing_and_harms_nobody(outside: Outside, client: Client) -> None:
    await client.new(["bash", "-c", f"read go; yes 0123456789 | head -c {FLOOD_BYTES}; exec cat"], name="flood")
    path = client.url("/sessions/flood/tty?from=0")
    async with (
        client.http.ws_connect(path) as stalled,
        client.http.ws_connect(path) as reading,
        client.http.ws_connect(client.url("/rpc")) as deaf,
    ):
        for each in (stalled, reading):
            assert (await each.receive_json(timeout=10))["type"] == "hello"
        await Rpc(deaf).call("events.subscribe")
        before = memory(outside.daemon)
        await client.text("flood", "go")
        total = FLOOD_BYTES * 12 // 11 + 4  # LF becomes CR LF, and the echo of "go"

        async def written() -> bool:
            return bool((await client.get("/sessions/flood"))["output"]["end"] >= total)

        watched = await digest(reading, total)
        await eventually(written, timeout=20)
        assert memory(outside.daemon) - before < GROWTH_BYTES
        await client.text("flood", "still here")
        assert (await client.wait("flood", text="still here"))["outcome"] == "matched"
        assert await digest(stalled, total) == watched


async def test_x40_a_connection_that_is_reset_in_mid_call(outside: Outside, client: Client) -> None:
    for number in range(10):
        raw = socket.create_connection(("127.0.0.1", outside.port))
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raw.sendall(
            f"GET /v1/rpc HTTP/1.1\r\nHost: localhost:{outside.port}\r\nAuthorization: Bearer {outside.token}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        assert raw.recv(4096).startswith(b"HTTP/1.1 101")
        call = f'{{"jsonrpc":"2.0","id":1,"method":"session.create","params":{{"command":["cat"],"name":"n{number}"}}}}'
        raw.sendall(frame(0x81, call.encode()))
        raw.close()  # a reset, by the option above

    async def settled() -> bool:
        """What was begun is there and on record as done; what the reset overtook was never begun."""
        entries = (await client.get("/audit?limit=1000"))["entries"]
        done = [entry for entry in entries if entry["operation"] == "session.create" and entry["subject"] != "flood"]
        assert {entry["result"] for entry in done} <= {"ok"}
        names = sorted(session["name"] for session in (await client.get("/sessions"))["sessions"])
        return names == sorted(entry["subject"] for entry in done)

    await eventually(settled, timeout=10)
    for session in (await client.get("/sessions"))["sessions"]:
        assert session["state"] == "running", session
    assert "_failed" not in outside.daemon.log
