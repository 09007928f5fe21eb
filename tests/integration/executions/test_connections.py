"""What holds of the connections by which commands come: one at a time, refusals, cursors, readiness."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest

from tests.integration.rest.rpc_client import Rpc
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.executions import end, events_of, run
from tests.support.outside import Outside, shared_outside_daemon


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon() as opened:
        yield opened


@pytest.fixture(scope="module")
def daemon(outside: Outside) -> DaemonProcess:
    return outside.daemon


@pytest.fixture
async def caller(client: Client) -> AsyncIterator[Rpc]:
    async with client.http.ws_connect(client.url("/rpc"), max_msg_size=0) as socket:
        yield Rpc(socket)


async def test_b10_of_many_executes_one_runs_and_the_others_are_told(caller: Rpc, client: Client) -> None:
    for many in (10, 100):
        for number in range(many):
            params = {"command": "sleep 600"}
            await caller.send({"jsonrpc": "2.0", "id": number + 1000, "method": "execute", "params": params})
        answers = [await caller.next() for _ in range(many)]
        started = [answer["result"] for answer in answers if "result" in answer]
        refused = [answer["error"]["data"]["code"] for answer in answers if "error" in answer]
        assert len(started) == 1
        assert refused == ["busy"] * (many - 1)
        await caller.call("control", type="CANCEL")
        assert (await end(client, started[0]))["status"] == "cancelled"


async def test_what_execute_ran_before_may_be_dropped(caller: Rpc, client: Client) -> None:
    before = await caller.call("execute", command="true")
    await end(client, before)
    await client.delete(f"/executions/{before['id']}")
    assert (await caller.refused("control", type="CANCEL"))[1] == "not_found"
    assert (await caller.call("execute", command="true"))["id"] != before["id"]


async def test_b18_a_session_beyond_the_limit_is_refused_until_one_closes() -> None:
    async with daemon_process({"TELECLAUDE_SESSIONS__MAX": "2"}) as daemon, Client(daemon.socket) as client:
        first, _ = [await client.post("/sessions", {"command": "cat"}) for _ in range(2)]
        for _ in range(5):
            assert (await client.post("/sessions", {"command": "cat"}, expect=429))["code"] == "limit"
        await client.delete(f"/sessions/{first['id']}")
        await client.post("/sessions", {"command": "cat"}, expect=201)


async def _readiness(client: Client) -> Any:
    began = time.monotonic()
    found = await client.get("/ready", expect=503)
    assert time.monotonic() - began < 2
    await client.get("/health", expect=200)
    return found["checks"]


async def test_b22_a_tmux_that_does_not_answer_is_named() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.post("/sessions", {"command": "cat"})
        pid = await asyncio.to_thread(daemon.tmux_pid)
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        try:
            checks = await _readiness(client)
        finally:
            os.kill(pid, signal.SIGCONT)
        assert not checks["tmux"]["ok"]
        assert checks["store"]["ok"]


async def test_b22_a_store_that_cannot_be_written_is_named() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        process = psutil.Process(daemon.pid)
        before = process.rlimit(psutil.RLIMIT_FSIZE)
        process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
        try:
            checks = await _readiness(client)
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, before)
        assert not checks["store"]["ok"]
        assert (await run(client, "true"))["status"] == "completed"


async def test_b27_nobody_from_outside_gets_in_by_default(outside: Outside) -> None:
    async with daemon_process() as daemon:
        addresses = [found.laddr for found in psutil.Process(daemon.pid).net_connections("tcp")]
        assert addresses == []
    body = {"json": {"argv": ["true"]}}
    assert await outside.code("POST", "/v1/executions", token="", **body) == (401, "unauthenticated")
    foreign = {"Origin": "https://evil.example"}
    assert await outside.code("POST", "/v1/executions", headers=foreign, **body) == (403, "forbidden")


async def test_b28_what_is_no_request(caller: Rpc) -> None:
    await caller.send("{")
    answer = await caller.next()
    assert (answer["id"], answer["error"]["code"]) == (None, -32700)
    assert (await caller.ask("execution.explode"))["error"]["code"] == -32601
    await caller.send({"jsonrpc": "2.0", "method": "execution.list", "params": {}})
    assert "executions" in await caller.call("execution.list")
    await caller.send("x" * ((1 << 20) + 1))
    assert await caller.closed() == 1009


async def test_b29_a_cursor_brings_the_events_that_were_missed_once_and_in_order(client: Client, caller: Rpc) -> None:
    before = await run(client, "true")
    seen = [event["seq"] for event in await events_of(client, before)]
    missed = [await run(client, "true") for _ in range(3)]
    await caller.call("events.subscribe", after=seen[-1])
    found: list[Any] = []
    while not any(one["type"] == "execution.exit" and one["execution_id"] == missed[-1]["id"] for one in found):
        found.append(await caller.event())
    assert [one["seq"] for one in found] == list(range(seen[-1] + 1, seen[-1] + 1 + len(found)))
    ended = [one["execution_id"] for one in found if one["type"] == "execution.exit"]
    assert ended[-3:] == [one["id"] for one in missed]


async def test_b31_the_id_of_a_call_and_of_its_execution_come_back(caller: Rpc, daemon: DaemonProcess) -> None:
    await caller.send(
        {"jsonrpc": "2.0", "id": "mine-7", "method": "execution.start", "params": {"argv": ["true"], "wait_ms": 9000}}
    )
    answer = await caller.next()
    assert answer["id"] == "mine-7"
    lines = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
    named = [line["event"] for line in lines if line.get("execution_id") == answer["result"]["id"]]
    assert {"execution_started", "execution_finished"} <= set(named)


async def test_a_plan_goes_on_while_nothing_can_be_stored() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        process = psutil.Process(daemon.pid)
        before = process.rlimit(psutil.RLIMIT_FSIZE)
        steps = [{"id": "a", "argv": ["sleep", "0.5"]}]
        plan = await client.post("/plans", {"mode": "serial", "steps": steps})
        while plan["steps"][0]["status"] != "started":
            plan = await client.get(f"/plans/{plan['id']}")
        process.rlimit(psutil.RLIMIT_FSIZE, (0, before[1]))
        try:
            await asyncio.sleep(1)
        finally:
            process.rlimit(psutil.RLIMIT_FSIZE, before)
        ended = await client.get(f"/plans/{plan['id']}", params={"wait_ms": "15000"})
        assert (ended["status"], ended["steps"][0]["status"]) == ("completed", "completed")
