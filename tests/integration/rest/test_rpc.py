"""JSON-RPC over WebSocket, against a running daemon."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from teleclaude_rest.routes import ROUTES
from teleclaude_rest.rpc import MAX_IN_FLIGHT
from tests.integration.rest.rpc_client import Rpc, refusal, rpc
from tests.support.daemon import Client
from tests.support.outside import Outside, shared_outside_daemon
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon() as running:
        yield running


async def sessions(outside: Outside) -> list[str]:
    return [entry["name"] for entry in (await outside.ask("GET", "/v1/sessions"))[1]["sessions"]]


async def test_a_session_from_its_start_to_its_end(outside: Outside) -> None:
    async with rpc(outside) as client, Client(outside.daemon.socket) as http:
        await client.call("events.subscribe")
        made = await client.call("session.create", name="work", command=["cat"])
        assert made == {**await http.get("/sessions/work"), **{key: made[key] for key in ("state", "last_activity_at")}}
        typed = await client.call("session.input", id="work", text="hello")
        assert typed["state"] == "delivered"
        found = await client.call("session.wait", id="work", until={"text": "hello\nhello"}, timeout_ms=5000)
        assert found["outcome"] == "matched"
        read = await client.call("output.read", id="work")
        start, data = await http.output("work")
        assert (read["from"], base64.b64decode(read["b64"])) == (start, data)
        assert (await client.call("session.screen", id="work"))["lines"][0] == "hello"
        assert (await client.call("session.close", id="work"))["state"] == "exited"
        assert (await client.call("session.get", id=made["id"]))["state"] == "exited"
        types = [event["type"] for event in client.events if event["session_id"] == made["id"]]
        assert types[0] == "session.created"
        await http.delete("/sessions/work?purge=true")


async def test_events_are_the_same_objects_as_over_http_and_are_replayed(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http:
        await http.new("cat", name="told")
        await http.delete("/sessions/told?purge=true")
        async with http.http.get(http.url("/events?after=0")) as response:
            line = b""
            while not line.startswith(b"data: "):
                line = await response.content.readline()
        first = json.loads(line.removeprefix(b"data: "))
        async with rpc(outside) as client:
            assert await client.call("events.subscribe", after=0) == {"subscribed": True}
            assert await client.event() == first
            assert (await client.event())["seq"] > first["seq"]
            assert await client.call("events.unsubscribe") == {"subscribed": False}


async def test_events_of_named_sessions_only(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http, rpc(outside) as client:
        wanted = await http.new("cat", name="wanted")
        await http.new("cat", name="ignored")
        await client.call("events.subscribe", sessions=["wanted"], after=0)
        for name in ("ignored", "wanted"):
            await http.call("PATCH", f"/sessions/{name}", {"tags": ["t"]})
        while (event := await client.event())["type"] != "session.changed":
            pass
        assert event["session_id"] == wanted["id"]
        for name in ("wanted", "ignored"):
            await http.delete(f"/sessions/{name}?purge=true")


async def test_every_operation_that_answers_in_one_piece_is_a_method(outside: Outside) -> None:
    document = (await outside.ask("GET", "/v1/openapi.json"))[1]
    operations = [operation for methods in document["paths"].values() for operation in methods.values()]
    methods = {operation["x-rpc-method"] for operation in operations if "x-rpc-method" in operation}
    assert {"session.create", "session.close", "output.read", "token.list"} <= methods
    async with rpc(outside) as client:
        for method in sorted(methods):
            assert await client.refused(method, nonsense=1) == (-32602, "invalid"), method
    assert {route.command.operation for route in ROUTES if route.command} >= methods


async def test_w3_a_method_before_the_token(outside: Outside) -> None:
    async with rpc(outside, token="") as client:
        await client.send({"jsonrpc": "2.0", "id": 1, "method": "session.create", "params": {"name": "w3"}})
        assert refusal(await client.next()) == (-32010, "unauthenticated")
        assert await client.closed() == 4001
    assert "w3" not in await sessions(outside)


async def test_w16_a_role_that_the_client_gives_itself(outside: Outside) -> None:
    token = await outside.new_token("modest", role="viewer")
    async with rpc(outside, token="") as client:
        await client.send({"type": "auth", "token": token, "scopes": ["owner"]})
        assert await client.closed() == 4001
    async with rpc(outside, token="") as client:
        await client.send({"type": "auth", "token": token})
        assert await client.call("session.list") is not None
        assert await client.refused("session.create") == (-32010, "forbidden")
    await outside.revoke("modest")


@pytest.mark.parametrize("text", ["nonsense", "{", "", '{"a":1', "[" * 100_000, '"\\ud8"'])
async def test_w4_what_is_no_json_keeps_the_connection(outside: Outside, text: str) -> None:
    async with rpc(outside) as client:
        await client.send(text)
        answer = await client.next()
        assert (answer["id"], answer["error"]["code"]) == (None, -32700)
        assert await client.call("session.list") is not None


async def test_w5_an_empty_batch(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.send([])
        assert (await client.next())["error"]["code"] == -32600


async def test_w6_a_batch_too_large(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.send([{"jsonrpc": "2.0", "id": 1, "method": "x"}] * 10_000)
        assert refusal(await client.next()) == (-32010, "too_large")


async def test_a_batch_is_answered_as_one(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.send(
            [
                {"jsonrpc": "2.0", "id": "a", "method": "session.list"},
                {"jsonrpc": "2.0", "method": "session.list"},
                1,
                {"jsonrpc": "2.0", "id": "b", "method": "session.get", "params": {"id": "nobody"}},
            ]
        )
        first, wrong, last = await client.next()
        assert (first["id"], first["result"]) == ("a", {"sessions": []})
        assert (wrong["id"], wrong["error"]["code"]) == (None, -32600)
        assert (last["id"], refusal(last)) == ("b", (-32010, "not_found"))
        await client.send([{"jsonrpc": "2.0", "method": "session.list"}])
        assert await client.call("session.list") == {"sessions": []}


@pytest.mark.parametrize("id_", ["{}", "[]", "NaN", "1e999", "true", "1.5", f'"{"x" * 5000}"', '"\\ud800"', "9" * 400])
async def test_w7_an_id_that_is_none(outside: Outside, id_: str) -> None:
    async with rpc(outside) as client:
        await client.send(f'{{"jsonrpc": "2.0", "id": {id_}, "method": "session.list"}}')
        answer = await client.next()
        assert (answer["id"], answer["error"]["code"]) == (None, -32600)


async def test_w8_an_id_that_is_in_flight(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http, rpc(outside) as client:
        await http.new("cat", name="slow")
        params = {"id": "slow", "until": {"text": "done"}, "timeout_ms": 10_000}
        await client.send({"jsonrpc": "2.0", "id": 7, "method": "session.wait", "params": params})
        await client.send({"jsonrpc": "2.0", "id": 7, "method": "session.list"})
        assert refusal(await client.next()) == (-32010, "conflict")
        await http.text("slow", "done")
        answer = await client.next()
        assert (answer["id"], answer["result"]["outcome"]) == (7, "matched")
        await http.delete("/sessions/slow?purge=true")


async def test_w9_a_method_that_is_none(outside: Outside) -> None:
    async with rpc(outside) as client:
        for method in ("session.fly", "", "rpc.discover", "output.follow", "session.tty", "__class__"):
            assert (await client.ask(method))["error"]["code"] == -32601, method


async def test_w10_params_that_are_a_list(outside: Outside) -> None:
    async with rpc(outside) as client:
        for params in ([], [1], "x", None, 1):
            await client.send({"jsonrpc": "2.0", "id": 1, "method": "session.list", "params": params})
            assert (await client.next())["error"]["code"] == -32602


async def test_w11_a_binary_frame(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.socket.send_bytes(b"{}")
        assert await client.closed() == 1003


async def test_w12_text_that_is_no_utf8(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.socket.send_frame(b"\xff\xfe", aiohttp.WSMsgType.TEXT)
        assert await client.closed() == 1007


async def test_w13_a_frame_too_large(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.socket.send_str("x" * ((1 << 20) + 1))
        assert await client.closed() == 1009


async def test_w14_a_notification_that_changes_something(outside: Outside) -> None:
    async with rpc(outside) as client:
        for method in ("session.create", "execute", "nonsense"):
            await client.send({"jsonrpc": "2.0", "method": method, "params": {}})
            answer = await client.next()
            assert (answer["id"], answer["error"]["code"]) == (None, -32600)
    assert await sessions(outside) == []


async def test_w15_a_viewer_presses_keys(outside: Outside) -> None:
    token = await outside.new_token("watcher", role="viewer")
    async with Client(outside.daemon.socket) as http, rpc(outside, token) as client:
        await http.new("cat", name="watched")
        assert await client.refused("session.keys", id="watched", keys=["x"]) == (-32010, "forbidden")
        assert (await http.output("watched"))[1] == b""
        await http.delete("/sessions/watched?purge=true")
    await outside.revoke("watcher")


async def test_w17_nothing_is_compressed(outside: Outside) -> None:
    async with rpc(outside) as client:
        assert not client.socket.compress


async def test_w18_subscriptions_are_bounded_and_repeat_to_nothing(outside: Outside) -> None:
    async with rpc(outside) as client:
        names = [f"s{number}" for number in range(20_000)]
        assert await client.refused("events.subscribe", sessions=names) == (-32010, "limit")
        for _ in range(100):
            assert await client.call("events.subscribe") == {"subscribed": True}
        async with Client(outside.daemon.socket) as http:
            made = await http.new("cat", name="once")
            created = await client.event()
            assert (created["type"], created["session_id"]) == ("session.created", made["id"])
            assert (await client.event())["type"] != "session.created"
            await http.delete("/sessions/once?purge=true")


async def test_calls_in_flight_are_bounded(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http, rpc(outside) as client:
        await http.new("cat", name="busy")
        for number in range(MAX_IN_FLIGHT):
            params = {"id": "busy", "until": {"text": "done"}, "timeout_ms": 20_000}
            await client.send({"jsonrpc": "2.0", "id": f"w{number}", "method": "session.wait", "params": params})
        assert await client.refused("session.list") == (-32010, "limit")
        await http.text("busy", "done")
        answers = [await client.next() for _ in range(MAX_IN_FLIGHT)]
        assert {answer["result"]["outcome"] for answer in answers} == {"matched"}
        assert await client.call("session.list") is not None
        await http.delete("/sessions/busy?purge=true")


async def test_waiting_ends_with_its_connection(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http:
        await http.new("cat", name="left")
        async with rpc(outside) as client:
            params = {"id": "left", "until": {"text": "never"}, "timeout_ms": 60_000}
            await client.send({"jsonrpc": "2.0", "id": "w", "method": "session.wait", "params": params})
            await client.call("session.list")
        await http.delete("/sessions/left?purge=true")


async def ended(http: Client, execution: str, status: str) -> None:
    async def now() -> bool:
        return bool((await http.get(f"/executions/{execution}"))["status"] == status)

    await eventually(now, timeout=10)


async def test_execute_and_control(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http, rpc(outside) as client:
        assert await client.refused("control", type="PAUSE") == (-32010, "not_found")
        started = await client.call("execute", command="echo out; sleep 60", timeout=30)
        assert started["status"] in ("queued", "starting", "running")
        assert await client.refused("execute", command="true") == (-32010, "busy")
        await ended(http, started["id"], "running")
        assert (await client.call("control", type="PAUSE"))["status"] == "paused"
        assert (await client.call("control", type="RESUME"))["status"] == "running"
        await client.call("control", type="CANCEL")
        await ended(http, started["id"], "cancelled")
        again = await client.call("execute", command="exit 3")
        found = await client.call("execution.get", id=again["id"], wait_ms=10_000)
        assert (found["status"], found["exit_code"]) == ("failed", 3)
        for wrong in ({"command": "x", "timeout": 0}, {"command": "x", "timeout": True}, {"command": ["x"]}, {}):
            assert await client.refused("execute", **wrong) == (-32602, "invalid")


async def test_what_execute_started_ends_with_its_connection(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as http:
        async with rpc(outside) as client:
            bound = await client.call("execute", command="sleep 60")
            free = await client.call("execution.start", script="sleep 60")
        await ended(http, bound["id"], "cancelled")
        assert (await http.get(f"/executions/{free['id']}"))["status"] == "running"
        await http.post(f"/executions/{free['id']}/cancel")
        await ended(http, free["id"], "cancelled")


MEMBERS = st.dictionaries(
    st.sampled_from(["jsonrpc", "id", "method", "params", "extra"]),
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(allow_nan=True),
        st.text(max_size=20),
        st.sampled_from(["2.0", "session.list", "session.get", "output.read", "events.subscribe", "control"]),
        st.dictionaries(st.sampled_from(["id", "from", "limit", "after", "type"]), st.integers() | st.text(max_size=5)),
        st.lists(st.integers(), max_size=3),
    ),
)
FRAMES = st.one_of(st.text(max_size=50), MEMBERS, st.lists(MEMBERS | st.integers(), max_size=60))


@given(st.lists(FRAMES, min_size=1, max_size=5))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_the_connection_lives(outside: Outside, frames: list[Any]) -> None:
    async def converse() -> None:
        async with rpc(outside) as client:
            for frame in frames:
                await client.send(frame)
            await client.send({"jsonrpc": "2.0", "id": "last", "method": "session.list"})
            await _answered(client)

    asyncio.run(converse())
    assert "rpc_call_failed" not in outside.daemon.log
    assert "task_failed" not in outside.daemon.log


async def _answered(client: Rpc) -> None:
    """Every answer is one of the two kinds, and the last question gets its own."""
    while True:
        answer = await client.next()
        for item in answer if isinstance(answer, list) else [answer]:
            assert item["jsonrpc"] == "2.0"
            assert ("result" in item) != ("error" in item)
            assert "error" not in item or item["error"]["data"]["code"] != "internal", item
            if item.get("id") == "last":
                return
