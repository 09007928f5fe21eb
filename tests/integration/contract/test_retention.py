"""What is no longer kept is told, never left out silently."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.integration.contract.api import Api
from tests.support.outside import Outside, shared_outside_daemon
from tests.support.wait import eventually

SIZE = 400_000
SEGMENT = 65_536


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    environ = {
        "TELECLAUDE_SESSIONS__SEGMENT_BYTES": str(SEGMENT),
        "TELECLAUDE_SESSIONS__RETENTION_BYTES": str(2 * SEGMENT),
    }
    with shared_outside_daemon(environ) as outside:
        asyncio.run(_fill(outside))
        yield outside


async def _fill(outside: Outside) -> None:
    async with Api(outside.daemon.socket) as api:
        await api.new(f"head -c {SIZE} /dev/zero | tr '\\0' x; exec sleep 300", "build")

        async def is_cut() -> bool:
            output = (await api.get("/sessions/build"))["output"]
            return bool(output["end"] == SIZE and SIZE - output["start"] <= 2 * SEGMENT)

        await eventually(is_cut, timeout=15)


@pytest.fixture
async def api(outside: Outside) -> AsyncIterator[Api]:
    async with Api(outside.daemon.socket) as api:
        yield api


@pytest.fixture
async def start(api: Api) -> int:
    """The first kept byte of session build, which every test reads and none changes."""
    return int((await api.get("/sessions/build"))["output"]["start"])


async def test_reading(api: Api, start: int) -> None:
    reply = await api.ask("GET", "/sessions/build/output?from=0")
    assert (reply.status, reply.code, reply.json["start"]) == (410, "gap", start)
    assert (await api.read("/sessions/build/output?limit=5")).range == (start, start + 5, SIZE)
    assert (await api.read(f"/sessions/build/output?from=-{SIZE * 2}&limit=5")).range == (start, start + 5, SIZE)


async def test_following(api: Api, start: int) -> None:
    async with api.frames("/sessions/build/stream?from=100") as frames:
        gap, after = await anext(frames), await anext(frames)
    assert (gap.event, gap.id) == ("gap", start)
    assert gap.data.keys() == {"from", "to", "bytes", "reason"}
    assert (gap.data["from"], gap.data["to"], gap.data["bytes"]) == (100, start, start - 100)
    assert (after.event, after.data["from"]) == ("output", start)


async def test_the_terminal(api: Api, start: int) -> None:
    async with api.http.ws_connect(api.url("/sessions/build/tty?from=0"), max_msg_size=0) as socket:
        assert (await socket.receive_json(timeout=10))["type"] == "hello"
        gap = await socket.receive_json(timeout=10)
        assert (gap["type"], gap["from"], gap["to"]) == ("gap", 0, start)
        assert (await socket.receive_bytes(timeout=10)).startswith(b"x")


async def test_json_rpc(api: Api, start: int) -> None:
    async with api.http.ws_connect(api.url("/rpc"), max_msg_size=0) as socket:
        params = {"id": "build", "from": 0}
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "output.read", "params": params})
        data = (await socket.receive_json(timeout=10))["error"]["data"]
    assert (data["code"], data["start"]) == ("gap", start)


async def test_waiting(api: Api, start: int) -> None:
    for until in ({"text": "x"}, {"regex": "x"}):
        reply = await api.ask("POST", "/sessions/build/wait", {"until": until, "from": 5})
        assert (reply.status, reply.code, reply.json["start"]) == (410, "gap", start)
        found = await api.post("/sessions/build/wait", {"until": until, "from": start})
        assert (found["outcome"], found["offset"]) == ("matched", start + 1)
