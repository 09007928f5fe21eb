"""Who gets in by TCP: exact hosts and origins, then a token. Everything against a running daemon."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from teleclaude_rest.pages import PAGES
from teleclaude_rest.routes import ROUTES
from teleclaude_rest.surface import Timing
from tests.integration.rest.served import serve, wire
from tests.support.daemon import Client, daemon_process
from tests.support.outside import Outside, look, outside_daemon, shared_outside_daemon
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon() as running:
        yield running


async def raw(outside: Outside, head: str) -> tuple[int, str]:
    """Status and code of the reply to a request head with the owner's token; ``PORT`` is filled in."""
    async with wire(outside.port) as connection:
        text = head.replace("PORT", str(outside.port)).replace("TOKEN", outside.token)
        await connection.send(text.encode() + b"\r\n\r\n")
        status, _, body = await connection.reply()
        return status, body.get("code", "ok")


GET = "GET /v1/sessions HTTP/1.1\r\nAuthorization: Bearer TOKEN\r\n"


async def test_r1_no_token(outside: Outside) -> None:
    assert await outside.code("GET", "/v1/sessions", token="") == (401, "unauthenticated")
    created = outside.code("POST", "/v1/sessions", token="", json={"name": "r1"})
    assert await created == (401, "unauthenticated")
    assert "r1" not in [session["name"] for session in (await outside.ask("GET", "/v1/sessions"))[1]["sessions"]]


@pytest.mark.parametrize("shown", ["Bearer", "Bearer ", "Basic TOKEN", "TOKEN", "Bearer TOKEN TOKEN"])
async def test_r2_no_such_token(outside: Outside, shown: str) -> None:
    head = f"GET /v1/sessions HTTP/1.1\r\nHost: localhost:PORT\r\nAuthorization: {shown}"
    assert await raw(outside, head) == (401, "unauthenticated")


async def test_r3_a_token_and_more(outside: Outside) -> None:
    head = "GET /v1/sessions HTTP/1.1\r\nHost: localhost:PORT\r\nAuthorization: Bearer TOKENé"
    assert await raw(outside, head) == (401, "unauthenticated")


async def test_r4_a_token_in_the_url_is_no_token_and_not_logged(outside: Outside) -> None:
    found = await outside.code("GET", f"/v1/sessions?token={outside.token}", token="")
    assert found == (401, "unauthenticated")
    assert outside.token not in outside.daemon.log


@pytest.mark.parametrize("host", ["evil.example", "evil.example:PORT", "127.0.0.1.evil.example:PORT"])
async def test_r5_another_host(outside: Outside, host: str) -> None:
    assert await raw(outside, f"{GET}Host: {host}") == (421, "misdirected")


async def test_r6_two_hosts_or_a_target_elsewhere(outside: Outside) -> None:
    assert await raw(outside, f"{GET}Host: localhost:PORT\r\nHost: localhost:PORT") == (400, "malformed")
    absolute = GET.replace("/v1", "http://evil.example/v1")
    assert await raw(outside, f"{absolute}Host: localhost:PORT") == (400, "malformed")


async def test_r7_no_host(outside: Outside) -> None:
    assert await raw(outside, GET.rstrip()) == (400, "malformed")


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost.evil.example", "http://localhost", ""]
)
async def test_r8_another_origin(outside: Outside, origin: str) -> None:
    assert await raw(outside, f"{GET}Host: localhost:PORT\r\nOrigin: {origin}") == (403, "forbidden")


async def test_r8_our_own_origin(outside: Outside) -> None:
    assert await raw(outside, f"{GET}Host: localhost:PORT\r\nOrigin: http://localhost:PORT") == (200, "ok")


async def test_r9_an_origin_equal_to_a_rebound_host(outside: Outside) -> None:
    head = f"{GET}Host: evil.example:PORT\r\nOrigin: http://evil.example:PORT"
    assert await raw(outside, head) == (421, "misdirected")


@pytest.mark.parametrize("host", ["localhost", "localhost:PORT", "127.0.0.1:PORT", "[::1]:PORT", "LOCALHOST:PORT"])
async def test_r10_names_of_our_own(outside: Outside, host: str) -> None:
    assert await raw(outside, f"{GET}Host: {host}") == (200, "ok")


@pytest.mark.parametrize("host", ["127.1:PORT", "2130706433:PORT", "localhost.:PORT", "a@localhost:PORT", "0:PORT"])
async def test_r10_other_spellings(outside: Outside, host: str) -> None:
    assert await raw(outside, f"{GET}Host: {host}") == (421, "misdirected")


async def test_every_path_but_the_open_ones_wants_a_token(outside: Outside) -> None:
    for route in ROUTES:
        path = f"/v1{route.path}".replace("{id}", "x").replace("{name}", "y")
        status, _ = await outside.code(route.method, path, token="")
        assert (status != 401) == route.open, (route.method, path, status)
    assert [route.path for route in ROUTES if route.open] == ["/health"]
    assert await outside.code("GET", "/v1/nothing", token="") == (401, "unauthenticated")
    assert await outside.code("GET", "/v1/nothing") == (404, "not_found")


async def test_host_and_origin_come_first_on_every_path(outside: Outside) -> None:
    for route in ROUTES:
        path = f"/v1{route.path}".replace("{id}", "x").replace("{name}", "y")
        assert (await outside.code(route.method, path, headers={"Host": "evil.example"}))[0] == 421, path
        assert (await outside.code(route.method, path, headers={"Origin": "http://evil.example"}))[0] == 403, path


async def test_w1_an_upgrade_from_another_page(outside: Outside) -> None:
    for path in (f"/v1{route.path}".replace("{id}", "x") for route in ROUTES if route.websocket):
        async with aiohttp.ClientSession() as http:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await http.ws_connect(
                    f"{outside.base}{path}", headers={**outside.bearer(), "Origin": "http://evil.example"}
                )
            assert refused.value.status == 403


async def test_roles_are_decided_by_the_server(outside: Outside) -> None:
    token = await outside.new_token("looker", role="viewer")
    assert (await outside.ask("GET", "/v1/whoami", token=token))[1]["role"] == "viewer"
    assert (await outside.ask("GET", "/v1/sessions", token=token))[0] == 200
    for route in ROUTES:
        if route.command is not None and route.command.role.label != "viewer" and not route.body:
            path = f"/v1{route.path}".replace("{id}", "x").replace("{name}", "y")
            assert await outside.code(route.method, path, token=token) == (403, "forbidden"), path
    assert await outside.code("POST", "/v1/sessions", token=token, json={}) == (403, "forbidden")
    await outside.revoke("looker")
    assert await outside.code("GET", "/v1/sessions", token=token) == (401, "unauthenticated")


async def test_a_token_for_one_session_knows_no_other(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as client:
        mine = await client.new("cat", name="mine")
        await client.new("cat", name="other")
        token = await outside.new_token("scoped", sessions=["mine"])
        listed = (await outside.ask("GET", "/v1/sessions", token=token))[1]["sessions"]
        assert [session["id"] for session in listed] == [mine["id"]]
        typed = await outside.ask("POST", "/v1/sessions/mine/input", token=token, json={"text": "hello"})
        assert typed[0] == 200
        assert await outside.code("GET", "/v1/sessions/other", token=token) == (404, "not_found")
        assert await outside.code("GET", "/v1/sessions/other/output", token=token) == (404, "not_found")
        assert await outside.code("POST", "/v1/sessions", token=token, json={}) == (403, "forbidden")
        for path in ("metrics", "ready"):
            assert await outside.code("GET", f"/v1/{path}", token=token) == (403, "forbidden")
        for name in ("mine", "other"):
            await client.delete(f"/sessions/{name}?purge=true")
    await outside.revoke("scoped")


async def test_a_token_for_one_session_has_its_cells_and_no_other_execution(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as client:
        await client.new(kind="python", name="mine")
        await client.new(kind="python", name="other")
        token = await outside.new_token("scoped", sessions=["mine"])
        made = await outside.ask(
            "POST", "/v1/sessions/mine/executions", token=token, json={"code": "print(6 * 7)", "wait_ms": 20_000}
        )
        cell = made[1]["id"]
        assert (await outside.ask("GET", f"/v1/executions/{cell}", token=token))[1]["status"] == "completed"
        assert (await outside.ask("GET", f"/v1/executions/{cell}/output", token=token))[1] == b"42\n"
        listed = (await outside.ask("GET", "/v1/executions?session=mine", token=token))[1]["executions"]
        assert [execution["id"] for execution in listed] == [cell]
        there = await client.post("/sessions/other/executions", {"code": "1", "wait_ms": 20_000})
        command = await client.post("/executions", {"argv": ["true"], "wait_ms": 10_000})
        for hidden in (there["id"], command["id"]):
            for path in ("", "/output", "/stream", "/record"):
                found = await outside.code("GET", f"/v1/executions/{hidden}{path}", token=token)
                assert found == (404, "not_found"), path
            cancel = outside.code("POST", f"/v1/executions/{hidden}/cancel", token=token)
            assert await cancel == (404, "not_found")
        for path in ("executions", "plans", "audit", "computers"):
            assert await outside.code("GET", f"/v1/{path}", token=token) == (403, "forbidden")
        assert await outside.code("GET", "/v1/executions?session=other", token=token) == (404, "not_found")
        assert await outside.code("GET", "/v1/executions?session=nobody") == (404, "not_found")
        for name in ("mine", "other"):
            await client.delete(f"/sessions/{name}?purge=true&grace_ms=0")
    await outside.revoke("scoped")


async def test_a_token_for_some_verbs_does_nothing_else(outside: Outside) -> None:
    token = await outside.new_token("reader", verbs=["session.list"])
    assert (await outside.ask("GET", "/v1/sessions", token=token))[0] == 200
    assert await outside.code("GET", "/v1/sessions/x", token=token) == (403, "forbidden")
    for path in ("events", "metrics", "ready"):
        assert await outside.code("GET", f"/v1/{path}", token=token) == (403, "forbidden")
    wrong = outside.code("POST", "/v1/tokens", json={"name": "wrong", "verbs": ["session.fly"]})
    assert await wrong == (422, "invalid")
    await outside.revoke("reader")


async def test_a_narrow_token_makes_none_that_is_wider(outside: Outside) -> None:
    token = await outside.new_token("maker", role="owner", verbs=["token.create", "session.list"])
    for wider in ({}, {"verbs": ["session.list", "session.input"]}):
        body = {"name": "wide", "role": "viewer", **wider}
        assert await outside.code("POST", "/v1/tokens", token=token, json=body) == (403, "forbidden")
    body = {"name": "lister", "role": "viewer", "verbs": ["session.list"]}
    assert (await outside.ask("POST", "/v1/tokens", token=token, json=body))[0] == 201
    for name in ("maker", "lister"):
        await outside.revoke(name)


async def test_revoking_cuts_what_is_open_within_a_second(outside: Outside) -> None:
    token = await outside.new_token("brief")
    async with Client(outside.daemon.socket) as client:
        await client.new("cat", name="kept")
        async with (
            aiohttp.ClientSession(headers=outside.bearer(token)) as http,
            http.get(f"{outside.base}/v1/events") as events,
            http.ws_connect(f"{outside.base}/v1/sessions/kept/tty") as tty,
        ):
            assert (await tty.receive_json(timeout=5))["type"] == "hello"
            await outside.revoke("brief")
            async with asyncio.timeout(1):
                assert (await tty.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
                with pytest.raises(aiohttp.ClientError):
                    await events.read()
        await client.delete("/sessions/kept?purge=true")


async def test_an_expired_token_is_none(outside: Outside) -> None:
    token = await outside.new_token("short", expires_in_ms=300)

    async def refused() -> bool:
        return await outside.code("GET", "/v1/sessions", token=token) == (401, "unauthenticated")

    await eventually(refused, timeout=5)
    await outside.revoke("short")


async def test_a_page_shows_its_token_in_the_first_message(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as client, aiohttp.ClientSession() as http:
        await client.new("cat", name="shown")
        socket = await http.ws_connect(f"{outside.base}/v1/sessions/shown/tty?from=0")
        await socket.send_json({"type": "auth", "token": outside.token})
        assert (await socket.receive_json(timeout=5))["type"] == "hello"
        await socket.close()
        wrong = await http.ws_connect(f"{outside.base}/v1/sessions/shown/tty")
        await wrong.send_json({"type": "auth", "token": "wrong"})
        assert (await wrong.receive_json(timeout=5))["code"] == "unauthenticated"
        assert (await wrong.receive(timeout=5)).data == 4001
        await client.delete("/sessions/shown?purge=true")


async def test_w2_a_page_that_shows_nothing_is_closed(runtime: Path) -> None:
    assert 4 < Timing().auth < 8
    async with serve(runtime, listen="127.0.0.1:0", timing=Timing(auth=0.3)) as served, aiohttp.ClientSession() as http:
        [base] = re.findall(r"http://\S+", (await served.adapter.check()).detail)
        socket = await http.ws_connect(f"{base}/v1/sessions/x/tty")
        began = time.monotonic()
        assert (await socket.receive_json(timeout=10))["code"] == "unauthenticated"
        assert (await socket.receive(timeout=5)).data == 4001
        assert 0.2 < time.monotonic() - began < 3


async def test_tokens_are_not_stored_and_survive_a_restart() -> None:
    async with outside_daemon() as outside:
        token = await outside.new_token("lasting", role="viewer", expires_in_ms=3_600_000)
        async with Client(outside.daemon.socket) as client:
            assert await client.post("/tokens", {"name": "lasting"}, expect=409)
            again = await client.post("/tokens", {"name": "b"}, expect=422, headers={"Idempotency-Key": "k"})
            assert "secret" in again["detail"]
            listed = (await client.get("/tokens"))["tokens"]
        assert [(entry["name"], entry["role"]) for entry in listed] == [("lasting", "viewer")]
        assert token not in json.dumps(listed)
        await outside.daemon.terminate()
        for path in outside.daemon.state.rglob("*"):
            assert not path.is_file() or token.encode() not in path.read_bytes(), path
        assert token not in outside.daemon.log
        await outside.daemon.start()
        restarted = await look(outside.daemon)
        assert (await restarted.ask("GET", "/v1/sessions", token=token))[0] == 200


async def test_an_owner_token_that_others_can_read_opens_nothing() -> None:
    async with outside_daemon() as outside:
        async with aiohttp.ClientSession(headers=outside.bearer()) as http:
            rpc = await http.ws_connect(f"{outside.base}/v1/rpc")
            (outside.daemon.state / "token").chmod(0o644)
            assert await outside.code("GET", "/v1/sessions") == (401, "unauthenticated")
            # What came in by it goes with it.
            assert (await rpc.receive(timeout=2)).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        assert "owner_token_not_private" in outside.daemon.log


async def test_strangers_cost_the_owner_nothing() -> None:
    async with (
        outside_daemon({"TELECLAUDE_REST__MAX_CONNECTIONS": "2"}) as outside,
        wire(outside.port) as first,
        wire(outside.port) as second,
        Client(outside.daemon.socket) as client,
    ):
        for connection in (first, second):
            await connection.send(b"GET /v1/sess")

        async def refused() -> bool:
            return await raw(outside, f"{GET}Host: localhost:PORT") == (503, "limit")

        await eventually(refused)
        assert (await client.get("/sessions"))["sessions"] == []


async def test_a_taken_port_is_told_and_the_unix_socket_serves() -> None:
    async with outside_daemon() as first:
        taken = {"TELECLAUDE_REST__LISTEN": f"127.0.0.1:{first.port}"}
        async with daemon_process(taken) as second, Client(second.socket) as client:
            ready = await client.get("/ready", expect=503)
            assert "cannot listen" in ready["checks"]["rest"]["detail"]
            assert (await client.get("/sessions"))["sessions"] == []


async def test_a_person_without_a_token_gets_to_show_one(outside: Outside) -> None:
    status, page = await outside.ask("GET", "/docs", token="", headers={"Accept": "text/html"})
    assert (status, b"/signin.js" in page) == (401, True)
    status, script = await outside.ask("GET", "/signin.js", token="")
    assert (status, b"sessionStorage" in script) == (200, True)
    status, page = await outside.ask("GET", "/docs")
    assert (status, b"/v1/sessions/{id}/screen" in page) == (200, True)


async def test_the_open_files_hold_still_for_other_hosts(outside: Outside) -> None:
    for page in PAGES:
        assert (await outside.ask("GET", page.path, token=""))[0] == 200, page.path
        assert await outside.code("GET", page.path, headers={"Host": "evil.example"}) == (421, "misdirected")
