"""JSON-RPC 2.0 over WebSocket."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.integration.contract.api import Api
from tests.integration.contract.test_executions import check as check_execution
from tests.integration.contract.test_sessions import check as check_session
from tests.integration.rest.rpc_client import Rpc, rpc
from tests.support.outside import Outside, outside_daemon
from tests.support.wait import eventually

Call = dict[str, Any]


@pytest.fixture
async def rpc_(api: Api) -> AsyncIterator[Rpc]:
    async with api.http.ws_connect(api.url("/rpc"), max_msg_size=0) as socket:
        yield Rpc(socket)


async def error(rpc_: Rpc, message: object) -> tuple[int, object]:
    """Number and id of the refusal of a raw message."""
    await rpc_.send(message)
    answer = await rpc_.next()
    assert answer["jsonrpc"] == "2.0"
    assert isinstance(answer["error"]["message"], str)
    return answer["error"]["code"], answer["id"]


class TestStandardErrors:
    @pytest.mark.parametrize("text", ["{", "", "nonsense", "[1,", "{'id': 1}"])
    async def test_no_json(self, rpc_: Rpc, text: str) -> None:
        assert await error(rpc_, text) == (-32700, None)

    @pytest.mark.parametrize(
        "message",
        [
            1,
            "text",
            [],
            {},
            {"id": 1, "method": "session.list"},
            {"jsonrpc": "1.0", "id": 1, "method": "session.list"},
            {"jsonrpc": "2.0", "id": 1},
            {"jsonrpc": "2.0", "id": 1, "method": 5},
            {"jsonrpc": "2.0", "id": {}, "method": "session.list"},
            {"jsonrpc": "2.0", "id": True, "method": "session.list"},
        ],
        ids=str,
    )
    async def test_no_request(self, rpc_: Rpc, message: object) -> None:
        assert (await error(rpc_, json.dumps(message)))[0] == -32600

    @pytest.mark.parametrize("member", ['"id": 1, "id": 2', '"id": NaN', '"id": 1e999'])
    async def test_what_json_has_not(self, rpc_: Rpc, member: str) -> None:
        number, _ = await error(rpc_, '{"jsonrpc": "2.0", "method": "session.list", ' + member + "}")
        assert number in (-32700, -32600)

    async def test_no_such_method(self, rpc_: Rpc) -> None:
        for method in ("nothing", "session.nothing", "session.tty", "rpc.discover", "__class__", ""):
            answer = await rpc_.ask(method)
            assert answer["error"]["code"] in (-32601, -32600), method

    @pytest.mark.parametrize(
        ("method", "params"),
        [
            ("session.get", {}),
            ("session.get", {"id": 5}),
            ("session.list", {"bogus": 1}),
            ("session.create", {"cols": True}),
            ("session.keys", {"id": "a", "keys": []}),
            ("output.read", {"id": "a", "limit": 0}),
            ("execution.start", {}),
            ("execute", {}),
            ("execute", {"command": "true", "timeout": -1}),
            ("execute", {"command": "true", "timeout": "1"}),
            ("execute", {"command": "true", "timeout": True}),
            ("execute", {"command": ["true"]}),
            ("control", {"type": "STOP"}),
            ("control", {"type": "pause"}),
            ("events.subscribe", {"after": -1}),
            ("events.subscribe", {"sessions": "a"}),
        ],
    )
    async def test_wrong_params(self, rpc_: Rpc, method: str, params: Call) -> None:
        assert (await rpc_.ask(method, **params))["error"]["code"] == -32602

    async def test_params_are_objects(self, rpc_: Rpc) -> None:
        message = '{"jsonrpc": "2.0", "id": 7, "method": "session.list", "params": [1]}'
        number, id_ = await error(rpc_, message)
        assert (number, id_) == (-32602, 7)

    async def test_ours_carry_a_code(self, rpc_: Rpc) -> None:
        assert await rpc_.refused("session.get", id="nobody") == (-32010, "not_found")


class TestCalls:
    async def test_sessions(self, rpc_: Rpc, api: Api) -> None:
        made = await rpc_.call("session.create", command="cat", name="build")
        check_session(made)
        assert (await rpc_.call("session.get", id="build"))["id"] == made["id"]
        assert [each["id"] for each in (await rpc_.call("session.list"))["sessions"]] == [made["id"]]
        assert (await rpc_.call("session.input", id="build", text="hello"))["state"] == "delivered"
        waited = await rpc_.call("session.wait", id="build", until={"regex": "hello\nhello\n"})
        assert waited["outcome"] == "matched"
        assert type((await rpc_.call("session.keys", id="build", keys=["x"]))["offset"]) is int
        assert (await rpc_.call("session.resize", id="build", cols=70, rows=20))["cols"] == 70
        assert (await rpc_.call("session.screen", id="build"))["lines"][:2] == ["hello", "hello"]
        check_session(await rpc_.call("session.signal", id="build", signal="INT"))
        assert (await rpc_.call("session.wait", id="build", until={"exit": True}))["outcome"] == "exited"
        assert (await rpc_.call("session.restart", id="build"))["state"] == "running"
        assert (await rpc_.call("session.close", id="build", grace_ms=0))["state"] == "exited"

    async def test_executions(self, rpc_: Rpc) -> None:
        started = await rpc_.call("execution.start", argv=["cat"], stdin=True)
        check_execution(started)
        id_ = started["id"]
        await eventually(lambda: _running(rpc_, id_))
        assert (await rpc_.call("execution.pause", id=id_))["status"] == "paused"
        assert (await rpc_.call("execution.resume", id=id_))["status"] == "running"
        await rpc_.call("execution.input", id=id_, text="given")
        await rpc_.call("execution.close_stdin", id=id_)
        done = await rpc_.call("execution.get", id=id_, wait_ms=10_000)
        assert done["status"] == "completed"
        assert [each["id"] for each in (await rpc_.call("execution.list"))["executions"]] == [id_]
        read = await rpc_.call("output.read", id=id_, stream="stdout")
        assert read == {"from": 0, "to": 5, "end": 5, "b64": base64.b64encode(b"given").decode()}
        part = await rpc_.call("output.read", id=id_, limit=2, **{"from": -3})
        assert part == {"from": 2, "to": 4, "end": 5, "b64": base64.b64encode(b"ve").decode()}
        for method in ("cancel", "pause", "resume", "interrupt", "close_stdin"):
            assert await rpc_.refused(f"execution.{method}", id=id_) == (-32010, "exited")

    async def test_cancel_interrupt_and_signal(self, rpc_: Rpc) -> None:
        for method, params in (("cancel", {}), ("interrupt", {}), ("signal", {"signal": "SIGTERM"})):
            started = await rpc_.call("execution.start", argv=["sleep", "300"])
            id_ = started["id"]
            await eventually(lambda id_=id_: _running(rpc_, id_))  # type: ignore[misc]
            await rpc_.call(f"execution.{method}", id=id_, **params)
            assert (await rpc_.call("execution.get", id=id_, wait_ms=10_000))["status"] in ("cancelled", "failed")

    async def test_results_are_those_of_http(self, rpc_: Rpc, api: Api) -> None:
        made = await api.new("true", "build")
        await api.wait("build", exit=True)
        assert await rpc_.call("session.get", id=made["id"]) == await api.get(f"/sessions/{made['id']}")

    async def test_slow_calls_hold_up_nobody(self, rpc_: Rpc, api: Api) -> None:
        await api.new("cat", "build")
        until = {"text": "never"}
        params = {"id": "build", "until": until, "timeout_ms": 300}
        await rpc_.send({"jsonrpc": "2.0", "id": "slow", "method": "session.wait", "params": params})
        await rpc_.send({"jsonrpc": "2.0", "id": "quick", "method": "session.list"})
        assert [(await rpc_.next())["id"] for _ in range(2)] == ["quick", "slow"]


async def _running(rpc_: Rpc, id_: str) -> bool:
    return bool((await rpc_.call("execution.get", id=id_))["status"] == "running")


class TestBatches:
    async def test_each_is_answered(self, rpc_: Rpc) -> None:
        calls = [{"jsonrpc": "2.0", "id": n, "method": "session.list"} for n in range(50)]
        await rpc_.send(json.dumps(calls))
        assert {answer["id"] for answer in await rpc_.next()} == set(range(50))

    async def test_at_most_fifty(self, rpc_: Rpc) -> None:
        calls = [{"jsonrpc": "2.0", "id": n, "method": "session.list"} for n in range(51)]
        await rpc_.send(json.dumps(calls))
        answer = await rpc_.next()
        assert isinstance(answer, dict)
        assert "error" in answer

    async def test_at_most_a_hundred_in_flight(self, rpc_: Rpc, api: Api) -> None:
        await api.new("cat", "build")
        params = {"id": "build", "until": {"text": "never"}, "timeout_ms": 500}
        for number in range(101):
            await rpc_.send({"jsonrpc": "2.0", "id": number, "method": "session.wait", "params": params})
        answers = [await rpc_.next() for _ in range(101)]
        refused = [answer for answer in answers if "error" in answer]
        assert [(each["error"]["code"], each["error"]["data"]["code"]) for each in refused] == [(-32010, "limit")]

    async def test_a_frame_has_a_limit(self, rpc_: Rpc) -> None:
        await rpc_.socket.send_str('{"jsonrpc": "2.0", "id": 1, "method": "' + "x" * (1 << 20) + '"}')
        assert await rpc_.closed() == 1009


class TestNotifications:
    async def test_reading_ones_are_silent(self, rpc_: Rpc) -> None:
        await rpc_.send({"jsonrpc": "2.0", "method": "session.list"})
        await rpc_.send({"jsonrpc": "2.0", "id": "next", "method": "session.list"})
        assert (await rpc_.next())["id"] == "next"

    async def test_changing_ones_are_refused(self, rpc_: Rpc, api: Api) -> None:
        for method, params in (("session.create", {}), ("execute", {"command": "true"})):
            await rpc_.send({"jsonrpc": "2.0", "method": method, "params": params})
            answer = await rpc_.next()
            assert (answer["id"], answer["error"]["code"]) == (None, -32600)
        assert (await api.get("/sessions"))["sessions"] == []


class TestEvents:
    async def test_they_are_those_of_http(self, rpc_: Rpc, api: Api) -> None:
        await rpc_.call("events.subscribe")
        async with api.frames("/events") as frames:
            await api.new("cat", "build")
            assert await rpc_.event() == (await anext(frames)).data

    async def test_of_some_sessions(self, rpc_: Rpc, api: Api) -> None:
        wanted = await api.new("cat", "wanted")
        await rpc_.call("events.subscribe", sessions=["wanted"])
        await api.new("cat", "other")
        await api.call("PATCH", "/sessions/wanted", {"tags": ["x"]})
        assert (await rpc_.event())["session_id"] == wanted["id"]

    async def test_after(self, rpc_: Rpc, api: Api) -> None:
        async with api.frames("/events") as frames:
            await api.new("cat", "build")
            first, second = await anext(frames), await anext(frames)
        await rpc_.call("events.subscribe", after=first.id)
        assert await rpc_.event() == second.data

    async def test_no_more(self, rpc_: Rpc, api: Api) -> None:
        await rpc_.call("events.subscribe")
        await rpc_.call("events.unsubscribe")
        await api.new("cat", "build")
        await rpc_.call("session.list")
        assert rpc_.events == []


class TestAliases:
    async def test_execute_answers_at_once(self, rpc_: Rpc, api: Api) -> None:
        started = await rpc_.call("execute", command="echo $((6 * 7)); exec sleep 300")
        check_execution(started)
        assert started["status"] not in ("completed", "failed")
        assert await rpc_.refused("execute", command="true") == (-32010, "busy")
        assert (await rpc_.call("control", type="PAUSE"))["id"] == started["id"]
        await rpc_.call("control", type="RESUME")
        await rpc_.call("control", type="CANCEL")
        assert (await api.ended(started["id"]))["status"] == "cancelled"
        assert (await rpc_.call("execute", command="true"))["id"] != started["id"]

    async def test_timeout_is_in_seconds(self, rpc_: Rpc, api: Api) -> None:
        started = await rpc_.call("execute", command="sleep 300", timeout=0.1)
        assert (await api.ended(started["id"]))["status"] == "timed_out"

    async def test_nothing_to_control(self, rpc_: Rpc) -> None:
        assert await rpc_.refused("control", type="CANCEL") == (-32010, "not_found")

    @pytest.mark.parametrize("method", ["execute", "execution.start"])
    async def test_what_is_bound_ends_with_the_connection(self, api: Api, method: str) -> None:
        params = (
            {"command": "sleep 300"} if method == "execute" else {"argv": ["sleep", "300"], "lifetime": "connection"}
        )
        async with api.http.ws_connect(api.url("/rpc")) as socket:
            bound = await Rpc(socket).call(method, **params)
        assert (await api.ended(bound["id"]))["status"] == "cancelled"

    async def test_what_is_detached_goes_on(self, api: Api) -> None:
        async with api.http.ws_connect(api.url("/rpc")) as socket:
            free = await Rpc(socket).call("execution.start", argv=["sleep", "300"])
        assert (await api.get(f"/executions/{free['id']}?wait_ms=200"))["status"] == "running"


async def test_over_tcp(outside: Outside) -> None:
    async with rpc(outside) as conversation:
        assert await conversation.call("session.list") == {"sessions": []}


async def test_more_connections_than_allowed() -> None:
    async with outside_daemon({"TELECLAUDE_REST__MAX_CONNECTIONS": "4"}) as outside, aiohttp.ClientSession() as http:
        sockets: list[aiohttp.ClientWebSocketResponse] = []
        for _ in range(4):
            sockets.append(await http.ws_connect(f"{outside.base}/v1/rpc", headers=outside.bearer()))  # noqa: PERF401
        async with asyncio.timeout(10):
            assert await outside.code("GET", "/v1/sessions") == (503, "limit")
            with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
                await http.ws_connect(f"{outside.base}/v1/rpc", headers=outside.bearer())
        assert caught.value.status == 503
        for socket in sockets:
            await socket.close()
