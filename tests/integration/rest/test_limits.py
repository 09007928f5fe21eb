"""Every limit has its code and says when to come back; what fails again and again is not tried for every request."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from teleclaude.process.breaker import FAILURES
from teleclaude.service.limits import MAX_SESSIONS, MAX_STREAMS
from teleclaude_rest.websocket import MAX_FRAME_BYTES
from tests.integration.rest.rpc_client import rpc
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.outside import Outside, outside_daemon, shared_outside_daemon
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    environ = {
        "TELECLAUDE_REST__MAX_BODY_BYTES": "10000",
        "TELECLAUDE_REST__MAX_CONNECTIONS": str(MAX_STREAMS + 20),
        "TELECLAUDE_COMPUTER__TRUSTED_DIRS": json.dumps([{"path": "/tmp", "name": "tmp"}]),
    }
    with shared_outside_daemon(environ) as running:
        yield running


async def refused(http: aiohttp.ClientSession, method: str, url: str, **kw: Any) -> tuple[int, str, int]:
    """Status, code and the seconds of ``Retry-After`` (0: none)."""
    async with http.request(method, url, **kw) as response:
        body = await response.json(content_type=None)
        return response.status, body["code"], int(response.headers.get("Retry-After", "0"))


async def test_body(outside: Outside) -> None:
    async with aiohttp.ClientSession(headers=outside.bearer()) as http:
        url = f"{outside.base}/v1/sessions"
        assert await refused(http, "POST", url, json={"prompt": "x" * 10_000}) == (413, "too_large", 0)


async def test_header(outside: Outside) -> None:
    async with aiohttp.ClientSession(headers={**outside.bearer(), "X-Long": "x" * 10_000}) as http:
        assert await refused(http, "GET", f"{outside.base}/v1/sessions") == (431, "too_large", 0)


async def test_frame(outside: Outside) -> None:
    async with rpc(outside) as client:
        await client.socket.send_str("x" * (MAX_FRAME_BYTES + 1))
        assert await client.closed() == 1009


async def test_connections() -> None:
    async with (
        outside_daemon({"TELECLAUDE_REST__MAX_CONNECTIONS": "2"}) as outside,
        aiohttp.ClientSession(headers=outside.bearer()) as http,
        http.get(f"{outside.base}/v1/events"),
        rpc(outside),
    ):
        status, code, delay = await refused(http, "GET", f"{outside.base}/v1/sessions")
        assert (status, code, delay >= 1) == (503, "limit", True)
        with pytest.raises(aiohttp.WSServerHandshakeError) as shut:
            await http.ws_connect(f"{outside.base}/v1/rpc")
        assert shut.value.status == 503


async def test_subscriptions(outside: Outside) -> None:
    token = await outside.new_token("watcher", role="viewer")
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(headers=outside.bearer(token), connector=connector) as http:
        url = f"{outside.base}/v1/events"
        async with AsyncExitStack() as stack:
            for _ in range(MAX_STREAMS):
                assert (await stack.enter_async_context(http.get(url))).status == 200
            status, code, delay = await refused(http, "GET", url)
            assert (status, code, delay >= 1) == (429, "limit", True)
            async with rpc(outside, token) as client:
                assert await client.refused("events.subscribe") == (-32010, "limit")
            assert (await outside.ask("GET", "/v1/sessions"))[0] == 200

        async def free() -> bool:
            async with http.get(url) as response:
                return response.status == 200

        await eventually(free)
    await outside.revoke("watcher")


async def test_sessions_of_one_principal(outside: Outside) -> None:
    token = await outside.new_token("maker")
    async with (
        Client(outside.daemon.socket) as owner,
        aiohttp.ClientSession(headers=outside.bearer(token)) as http,
    ):
        url, body = f"{outside.base}/v1/sessions", {"command": ["cat"], "cwd": "/tmp"}
        for _ in range(MAX_SESSIONS):
            async with http.post(url, json=body) as response:
                assert response.status == 201, await response.text()
        await asyncio.sleep(0.2)  # for one more start to be allowed by the rate
        status, code, delay = await refused(http, "POST", url, json=body)
        assert (status, code, delay >= 1) == (429, "limit", True)
        mine = (await owner.get("/sessions"))["sessions"]
        assert len(mine) == MAX_SESSIONS
        await owner.new(["cat"], name="owners")
        await owner.delete("/sessions/owners?purge=true&grace_ms=0")
        await owner.delete(f"/sessions/{mine[0]['id']}?grace_ms=0")
        async with http.post(url, json=body) as response:
            assert response.status == 201
        for session in (await owner.get("/sessions"))["sessions"]:
            await owner.delete(f"/sessions/{session['id']}?purge=true&grace_ms=0")
    await outside.revoke("maker")


KEPT_AWAY = "attempts to start a program failed"


async def start(client: Client) -> tuple[int, Any]:
    async with client.http.post(client.url("/sessions"), json={"command": ["cat"]}) as response:
        return response.status, {**await response.json(), "retry": response.headers.get("Retry-After")}


def break_tmux(daemon: DaemonProcess, broken: Path) -> None:
    broken.touch()
    daemon.tmux("kill-server")


async def test_a_tmux_that_fails_again_and_again_is_left_alone_for_a_while(tmp_path: Path) -> None:
    """The program fails really: every call of it ends with an error while the file is there."""
    shim, broken = tmp_path / "tmux", tmp_path / "broken"
    shim.write_text(f'#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec {shutil.which("tmux")} "$@"\n')
    shim.chmod(0o755)
    async with daemon_process({"TELECLAUDE_TMUX__BINARY": str(shim)}) as daemon, Client(daemon.socket) as client:
        assert (await start(client))[0] == 201
        await asyncio.to_thread(break_tmux, daemon, broken)
        for _ in range(FAILURES):
            status, problem = await start(client)
            # The first one may meet the connection in the moment it breaks: then nobody knows what became of it.
            assert (status, problem["code"]) in {(503, "unavailable"), (504, "indeterminate")}, problem
        status, problem = await start(client)
        assert (status, KEPT_AWAY in problem["detail"], int(problem["retry"]) >= 1) == (503, True, True)
        ready = await client.get("/ready", expect=503)
        assert ready["checks"]["spawn"]["ok"] is False
        assert "could not be started" in ready["checks"]["spawn"]["detail"]

        let_through = 0

        async def probing() -> bool:
            nonlocal let_through
            answers = await asyncio.gather(*(start(client) for _ in range(5)))
            let_through = sum(KEPT_AWAY not in problem["detail"] for _, problem in answers)
            return let_through > 0

        await eventually(probing, timeout=10)
        assert let_through == 1
        broken.unlink()

        async def probed() -> bool:
            return (await start(client))[0] == 201

        await eventually(probed, timeout=10)
        await eventually(lambda: client.get("/ready"), timeout=5)
