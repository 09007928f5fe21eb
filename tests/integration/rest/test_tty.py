from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from teleclaude.api import OutputHandedOff, OutputState
from teleclaude.errors import ForbiddenError, UnavailableError
from teleclaude.model import Gap
from teleclaude.wire import sessions as wire
from teleclaude_rest.surface import Timing
from tests.integration.rest.served import URL, Served, serve
from tests.integration.rest.served import wire as connect
from tests.support.wait import eventually

Socket = aiohttp.ClientWebSocketResponse


@asynccontextmanager
async def attach(served: Served, query: str = "") -> AsyncIterator[tuple[Socket, Any]]:
    """An attached client and the hello it was given."""
    async with served.client.ws_connect(f"{URL}/sessions/build/tty{query}", max_msg_size=0) as socket:
        hello = await socket.receive_json(timeout=10)
        assert hello["type"] == "hello"
        yield socket, hello


async def read(socket: Socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size:
        found += await socket.receive_bytes(timeout=10)
    return bytes(found)


async def closed(socket: Socket) -> int | None:
    """Why the server closed, after whatever it still had to say."""
    async for _ in socket:
        pass
    return socket.close_code


async def test_bytes_go_both_ways(served: Served) -> None:
    id_ = await served.new(cols=100, rows=30)
    await served.hub.streams[id_].append(b"prompt ")
    async with attach(served, "?from=0") as (socket, hello):
        assert hello == {"type": "hello", "offset": 0, "cols": 100, "rows": 30}
        assert await socket.receive_bytes(timeout=10) == b"prompt "
        await socket.send_bytes(b"\x00\xff\r\x1b[A")
        assert await read(socket, 6) == b"\x00\xff\r\x1b[A"
        assert bytes(served.hub.typed) == b"\x00\xff\r\x1b[A"
        await socket.send_json({"type": "resize", "cols": 90, "rows": 20})
        await eventually(lambda: served.hub.calls[-1] == wire.ResizeSession(id=id_, cols=90, rows=20))
    await eventually(lambda: served.hub.followers == 0)


async def test_it_begins_at_the_end_unless_asked_otherwise(served: Served) -> None:
    id_ = await served.new()
    await served.hub.streams[id_].append(b"0123456789")
    async with attach(served) as (_, hello):
        assert hello["offset"] == 10
    async with attach(served, "?from=-3&mode=latest") as (socket, hello):
        assert hello["offset"] == 7
        assert await socket.receive_bytes(timeout=10) == b"789"


async def test_typing_keeps_its_order(served: Served) -> None:
    await served.new()
    typed = b"".join(b"%d," % number for number in range(500))
    async with attach(served) as (socket, _):
        for number in range(500):
            await socket.send_bytes(b"%d," % number)
        assert await read(socket, len(typed)) == typed


async def test_the_exit_is_said_last(served: Served) -> None:
    id_ = await served.new()
    served.hub.extra_items = [Gap(0, 0, None, "recorder_died"), OutputState("exited")]
    async with attach(served, "?from=0") as (socket, _):
        gap = {"type": "gap", "from": 0, "to": 0, "bytes": None, "reason": "recorder_died"}
        assert await socket.receive_json(timeout=10) == gap
        assert await socket.receive_json(timeout=10) == {"type": "state", "state": "exited"}
        await served.hub.streams[id_].append(b"bye")
        await served.hub.streams[id_].finish(code=0, signal=None)
        assert await socket.receive_bytes(timeout=10) == b"bye"
        assert await socket.receive_json(timeout=10) == {"type": "exit", "code": 0, "signal": None}
        assert await closed(socket) == 1000


async def test_a_session_that_moves_says_where(served: Served) -> None:
    await served.new()
    served.hub.extra_items = [OutputHandedOff("other", "S9", 2)]
    async with attach(served) as (socket, _):
        message = await socket.receive_json(timeout=10)
        assert message == {"type": "handed_off", "computer": "other", "session_id": "S9", "epoch": 2}
        assert await closed(socket) == 1000


async def test_one_who_may_not_type_may_watch(served: Served) -> None:
    id_ = await served.new()
    served.hub.failures[wire.SendBytes] = ForbiddenError("a viewer may not type")
    async with attach(served) as (socket, _):
        await socket.send_bytes(b"rm")
        assert await socket.receive_json(timeout=10) == {
            "type": "error",
            "code": "forbidden",
            "detail": "a viewer may not type",
        }
        await served.hub.streams[id_].append(b"still here")
        assert await socket.receive_bytes(timeout=10) == b"still here"
    assert served.hub.typed == b""


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("no json", 1003),
        ('{"type":"resize","cols":80,"rows":24,"rows":25}', 1003),
        ('{"type":"resize","cols":80}', 1008),
        ('{"type":"resize","cols":true,"rows":24}', 1008),
        ('{"type":"resize","cols":80,"rows":100000}', 1008),
        ('{"type":"resize","cols":80,"rows":24,"id":"other"}', 1008),
        ('{"type":"hello"}', 1008),
        ("[]", 1008),
    ],
)
async def test_a_bad_message_ends_it(served: Served, text: str, code: int) -> None:
    await served.new()
    async with attach(served) as (socket, _):
        await socket.send_str(text)
        assert (await socket.receive_json(timeout=10))["type"] == "error"
        assert await closed(socket) == code
    await eventually(lambda: served.hub.followers == 0)


async def test_text_that_is_not_utf8_ends_it(served: Served) -> None:
    await served.new()
    async with attach(served) as (socket, _):
        await socket.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
        assert await closed(socket) == 1007


async def test_a_frame_beyond_the_limit_ends_it(served: Served) -> None:
    await served.new()
    async with attach(served) as (socket, _):
        await socket.send_bytes(b"x" * ((1 << 20) + 1))
        assert await closed(socket) == 1009
    assert served.hub.typed == b""


async def test_it_is_refused_before_the_upgrade(served: Served) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with attach(served):
            pass
    assert refused.value.status == 404
    id_ = await served.new()
    served.hub.streams[id_].start = 9
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with attach(served, "?from=1"):
            pass
    assert refused.value.status == 410
    status, problem = await served.json("GET", "/sessions/build/tty")
    assert (status, problem["code"]) == (400, "malformed")
    assert served.hub.followers == 0


async def test_compression_is_not_agreed_to(served: Served) -> None:
    await served.new()
    async with served.client.ws_connect(f"{URL}/sessions/build/tty", compress=15) as socket:
        assert socket.compress == 0


async def test_a_stalled_viewer_holds_up_nobody_and_is_cut_in_the_end(runtime: Path) -> None:
    async with serve(runtime, timing=Timing(stall=1)) as served:
        id_ = await served.new()
        upgrade = (
            b"GET /v1/sessions/build/tty?from=0 HTTP/1.1\r\nHost: d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        async with connect(served.adapter.path) as stalled:
            await stalled.send(upgrade)
            assert (await stalled.head())[0] == 101
            data = b"x" * (4 << 20)
            async with attach(served, "?from=0") as (socket, _):
                await served.hub.streams[id_].append(data)
                assert await read(socket, len(data)) == data
                await socket.send_bytes(b"y")
                assert await socket.receive_bytes(timeout=10) == b"y"
            await eventually(lambda: served.hub.followers == 0)
    assert served.tasks.counts.active == {}


async def test_a_peer_that_vanished_is_noticed(runtime: Path) -> None:
    async with serve(runtime, timing=Timing(heartbeat=0.2)) as served:
        await served.new()
        async with served.client.ws_connect(f"{URL}/sessions/build/tty", autoping=False) as socket:
            await socket.receive_json(timeout=10)
            await eventually(lambda: served.hub.followers == 0)


async def test_a_stop_says_goodbye(runtime: Path) -> None:
    async with serve(runtime) as served:
        await served.new()
        async with attach(served) as (socket, _), asyncio.TaskGroup() as group:
            group.create_task(served.adapter.__aexit__(None, None, None))
            assert await closed(socket) == 1001


async def test_a_failure_under_way_is_told(served: Served) -> None:
    await served.new()
    for error in (UnavailableError("gone"), RuntimeError("secret")):
        served.hub.follow_failure = error
        async with attach(served) as (socket, _):
            assert await closed(socket) == 1011


async def test_a_defect_under_way_ends_the_connection_only(served: Served) -> None:
    await served.new()
    served.hub.failures[wire.SendBytes] = RuntimeError("secret")
    async with attach(served) as (socket, _):
        await socket.send_bytes(b"x")
        message = await socket.receive(timeout=10)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
    assert (await served.json("GET", "/health"))[0] == 200


async def test_many_viewers_see_the_same(served: Served) -> None:
    id_ = await served.new()
    data = bytes(range(256)) * 4000

    async def one() -> bytes:
        async with attach(served, "?from=0") as (socket, _):
            return await read(socket, len(data))

    async with asyncio.TaskGroup() as group:
        viewers = [group.create_task(one()) for _ in range(20)]
        for start in range(0, len(data), 9_999):
            await served.hub.streams[id_].append(data[start : start + 9_999])
    assert all(viewer.result() == data for viewer in viewers)
