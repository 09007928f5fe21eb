"""What holds for every request: errors, bodies, names, keys, and the doors of TCP."""

from __future__ import annotations

import asyncio
import http.client
import io
import json

import aiohttp
import pytest

from tests.integration.contract.api import Api
from tests.support.outside import Outside


async def test_an_error_is_a_problem(api: Api) -> None:
    reply = await api.ask("GET", "/sessions/nobody")
    assert reply.headers["Content-Type"].split(";")[0] == "application/problem+json"
    assert reply.json.keys() >= {"type", "title", "status", "detail", "code", "operation"}
    assert (reply.json["status"], reply.json["code"], reply.json["operation"]) == (404, "not_found", "session.get")


@pytest.mark.parametrize("body", [b"{", b"", b"\xff", b"[]", b'"text"', b"null", b'{"name": "a", "name": "b"}'])
async def test_a_body_that_is_no_json_object_is_malformed(api: Api, body: bytes) -> None:
    name = "/sessions/adopt"
    status, code = await api.refused("POST", name, raw=body)
    assert (status, code) in {(400, "malformed"), (422, "invalid")}


@pytest.mark.parametrize(
    "text",
    [
        '{"cols": NaN}',
        '{"cols": Infinity}',
        '{"cols": 80, "cols": 80}',
        "{'cols': 80}",
        '{"cols": 1e999}',
        f'{{"rows": {10**30}}}',
    ],
)
async def test_what_json_has_not_is_malformed(api: Api, text: str) -> None:
    assert await api.refused("POST", "/sessions", raw=text.encode()) == (400, "malformed")


@pytest.mark.parametrize(
    "body",
    [
        {"colour": "red"},
        {"cols": True},
        {"cols": "80"},
        {"cols": 80.0},
        {"cols": 80.5},
        {"cols": 0},
        {"cols": 1001},
        {"rows": 0},
        {"rows": -1},
        {"rows": 10**15},
        {"kind": "desktop"},
        {"kind": 1},
        {"name": "Upper"},
        {"name": ""},
        {"name": "-a"},
        {"name": "_a"},
        {"name": "a" * 64},
        {"name": "a b"},
        {"name": 5},
        {"command": []},
        {"command": ""},
        {"command": [1]},
        {"command": {"argv": ["a"]}},
        {"command": "a\0b"},
        {"env": {"A B": "c"}},
        {"env": {"": "c"}},
        {"env": {"A": 1}},
        {"env": ["A=1"]},
        {"tags": "red"},
        {"tags": [""]},
        {"tags": [1]},
        {"cwd": "relative"},
        {"cwd": "/no/such/directory"},
        {"cwd": "/etc/passwd"},
        {"cwd": ""},
        {"agent": "nobody"},
        {"prompt": "without an agent"},
    ],
    ids=str,
)
async def test_a_wrong_field_is_invalid(api: Api, body: dict[str, object]) -> None:
    assert await api.refused("POST", "/sessions", body) == (422, "invalid")


async def test_a_body_must_say_that_it_is_json(api: Api) -> None:
    for headers in ({"Content-Type": "text/plain"}, {"Content-Type": "application/x-www-form-urlencoded"}):
        assert await api.refused("POST", "/sessions", data=b"{}", headers=headers) == (415, "media_type")


async def test_a_charset_may_be_said(api: Api) -> None:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    assert (await api.ask("POST", "/executions", data=b'{"argv": ["true"]}', headers=headers)).status == 201


async def test_a_post_without_needs_comes_without_body(api: Api) -> None:
    reply = await api.ask("POST", "/sessions")
    assert reply.status == 201
    assert (await api.ask("POST", f"/sessions/{reply.json['id']}/restart")).status == 200


async def test_a_post_without_fields_takes_an_empty_object(api: Api) -> None:
    cat = await api.run("cat", stdin=True, wait_ms=0)
    for name in ("pause", "resume", "close-stdin"):
        assert (await api.ask("POST", f"/executions/{cat['id']}/{name}", {})).status == 200
    assert await api.refused("POST", f"/executions/{cat['id']}/cancel", {"grace_ms": 1}) == (422, "invalid")
    assert await api.refused("POST", f"/executions/{cat['id']}/cancel", raw=b"[]") == (422, "invalid")
    assert await api.refused("POST", f"/executions/{cat['id']}/cancel", raw=b"{") == (400, "malformed")


async def test_an_unknown_path_is_not_found(api: Api) -> None:
    for path in ("/nothing", "/sessions/a/nothing", "/executions/a/nothing"):
        assert await api.refused("GET", path) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("PUT", "/sessions"), ("DELETE", "/health"), ("GET", "/sessions/a/keys")])
async def test_a_wrong_method_names_the_right_ones(api: Api, method: str, path: str) -> None:
    reply = await api.ask(method, path)
    assert (reply.status, reply.code) == (405, "method")
    assert reply.headers["Allow"]


@pytest.mark.parametrize(
    "path", ["/health", "/sessions", "/sessions/build", "/sessions/build/output", "/sessions/build/files/a", "/docs"]
)
async def test_head_is_get_without_the_body(api: Api, path: str) -> None:
    await api.new("cat", "build")
    assert (await api.ask("PUT", "/sessions/build/files/a", data=b"data")).status == 201
    get, head = await api.ask("GET", path), await api.ask("HEAD", path)
    assert (head.status, head.body) == (get.status, b"")
    for name in ("Content-Type", "Teleclaude-End"):
        assert head.headers.get(name) == get.headers.get(name), name
    assert "/files/" not in path or head.headers["Content-Length"] == "4"
    missing = await api.ask("HEAD", "/sessions/nobody")
    assert (missing.status, missing.body) == (404, b"")


async def test_what_goes_on_has_no_head(api: Api) -> None:
    for path in ("/events", "/sessions/build/stream", "/sessions/build/tty", "/rpc"):
        reply = await api.ask("HEAD", path)
        assert (reply.status, reply.headers["Allow"]) == (405, "GET"), path


@pytest.mark.parametrize(
    "query",
    ["colour=red", "state=asleep", "kind=desktop", "state=running&state=exited", "computer=No%20Name", "tag="],
)
async def test_a_wrong_query_is_invalid(api: Api, query: str) -> None:
    status, code = await api.refused("GET", f"/sessions?{query}")
    assert (status, code) in {(422, "invalid"), (400, "malformed")}


async def test_a_large_body_is_refused(api: Api) -> None:
    with io.BytesIO(b'{"text": "' + b"x" * (9 << 20) + b'"}') as body:
        reply = await api.ask("POST", "/sessions/a/input", data=body, headers={"Content-Type": "application/json"})
    assert (reply.status, reply.code) == (413, "too_large")


async def test_a_large_head_is_refused(outside: Outside) -> None:
    def ask() -> int:
        connection = http.client.HTTPConnection("127.0.0.1", outside.port, timeout=10)
        try:
            connection.request("GET", "/v1/health", headers={"X-Long": "x" * 200_000})
            return connection.getresponse().status
        finally:
            connection.close()

    assert await asyncio.to_thread(ask) == 431


async def test_another_computer_that_is_not_there_is_told(api: Api) -> None:
    status, code = await api.refused("GET", "/sessions/elsewhere%2Fbuild")
    assert (status, code) in {(503, "unavailable"), (404, "not_found")}


async def test_this_computer_may_be_named(api: Api) -> None:
    made = await api.new("cat", "build")
    assert (await api.get(f"/sessions/{made['computer']}%2Fbuild".replace("%2F", "/"), expect=404))["code"]
    assert (await api.ask("GET", f"/sessions/{made['computer']}%2Fbuild")).json["id"] == made["id"]


async def test_a_name_is_unique_among_the_living(api: Api) -> None:
    first = await api.new("cat", "build")
    assert await api.refused("POST", "/sessions", {"name": "build"}) == (409, "conflict")
    await api.delete("/sessions/build?grace_ms=0")
    assert (await api.get("/sessions/build"))["id"] == first["id"], "the newest ended one"
    second = await api.new("cat", "build")
    assert second["id"] != first["id"]
    assert (await api.get("/sessions/build"))["id"] == second["id"], "the live one"
    await api.delete("/sessions/build?grace_ms=0")
    assert (await api.get("/sessions/build"))["id"] == second["id"]
    assert (await api.get(f"/sessions/{first['id']}"))["id"] == first["id"]


class TestIdempotency:
    async def test_a_repeat_gets_the_stored_reply(self, api: Api) -> None:
        key = {"Idempotency-Key": "one"}
        first, again = [await api.ask("POST", "/sessions", {"tags": ["k"]}, headers=key) for _ in range(2)]
        assert (first.status, again.status) == (201, 201)
        assert first.json["id"] == again.json["id"]
        assert len((await api.get("/sessions?tag=k"))["sessions"]) == 1

    async def test_another_body_is_refused(self, api: Api) -> None:
        key = {"Idempotency-Key": "two"}
        await api.ask("POST", "/executions", {"argv": ["true"]}, headers=key)
        assert await api.refused("POST", "/executions", {"argv": ["false"]}, headers=key) == (409, "key_reused")

    async def test_one_in_flight_is_waited_for(self, api: Api) -> None:
        key = {"Idempotency-Key": "three"}
        body = {"argv": ["sleep", "0.3"], "wait_ms": 5000}
        both = await asyncio.gather(*(api.ask("POST", "/executions", body, headers=key) for _ in range(2)))
        assert both[0].json == both[1].json
        assert both[0].json["status"] == "completed"

    async def test_input_is_typed_once(self, api: Api) -> None:
        await api.new("cat", "build")
        for _ in range(3):
            await api.ask("POST", "/sessions/build/input", {"text": "once"}, headers={"Idempotency-Key": "four"})
        await api.text("build", "last")
        await api.wait("build", regex="last\nlast\n")
        assert (await api.all_output((await api.get("/sessions/build"))["id"])).count(b"once") == 2

    async def test_a_wait_takes_none_to_heart(self, api: Api) -> None:
        await api.new("cat", "build")
        key = {"Idempotency-Key": "five"}
        body = {"until": {"text": "later"}, "timeout_ms": 0, "from": 0}
        first = await api.ask("POST", "/sessions/build/wait", body, headers=key)
        assert first.json["outcome"] == "timeout"
        await api.text("build", "later")
        body["timeout_ms"] = 5000
        assert (await api.ask("POST", "/sessions/build/wait", body, headers=key)).json["outcome"] == "matched"


class TestTcp:
    async def test_a_foreign_host_is_misdirected(self, outside: Outside) -> None:
        for path in ("/v1/health", "/v1/sessions", "/v1/rpc", "/nothing"):
            assert await outside.code("GET", path, headers={"Host": "evil.example"}) == (421, "misdirected")

    async def test_a_foreign_origin_is_forbidden(self, outside: Outside) -> None:
        for path in ("/v1/health", "/v1/sessions", "/v1/rpc", "/nothing"):
            assert await outside.code("GET", path, headers={"Origin": "http://evil.example"}) == (403, "forbidden")

    async def test_localhost_with_the_port_is_fine(self, outside: Outside) -> None:
        headers = {"Host": f"localhost:{outside.port}", "Origin": f"http://localhost:{outside.port}"}
        assert (await outside.ask("GET", "/v1/sessions", headers=headers))[0] == 200

    async def test_without_token_nothing_but_health(self, outside: Outside) -> None:
        status, body = await outside.ask("GET", "/v1/health", token="")
        assert (status, body["status"]) == (200, "ok")
        for path in ("/v1/sessions", "/v1/ready", "/v1/metrics", "/v1/openapi.json", "/v1/docs", "/v1/events"):
            assert await outside.code("GET", path, token="") == (401, "unauthenticated"), path
        assert await outside.code("GET", "/v1/sessions", token="wrong") == (401, "unauthenticated")

    async def test_a_token_in_the_url_is_none(self, outside: Outside) -> None:
        for query in (f"token={outside.token}", f"access_token={outside.token}"):
            status, _ = await outside.ask("GET", f"/v1/sessions?{query}", token="")
            assert status == 401

    async def test_a_token_in_a_cookie_is_none(self, outside: Outside) -> None:
        status, _ = await outside.ask("GET", "/v1/sessions", token="", headers={"Cookie": f"token={outside.token}"})
        assert status == 401

    async def test_a_websocket_may_show_its_token_first(self, outside: Outside) -> None:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{outside.base}/v1/rpc") as socket:
            await socket.send_json({"type": "auth", "token": outside.token})
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "session.list", "params": {}})
            assert (await socket.receive_json(timeout=10))["result"] == {"sessions": []}

    async def test_a_websocket_with_a_wrong_token_ends(self, outside: Outside) -> None:
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{outside.base}/v1/rpc") as socket:
            await socket.send_json({"type": "auth", "token": "wrong"})
            answer = await socket.receive_json(timeout=10)
            assert answer["error"]["data"]["code"] == "unauthenticated"
            assert (await socket.receive(timeout=10)).type is aiohttp.WSMsgType.CLOSE

    async def test_a_viewer_may_look_only(self, outside: Outside) -> None:
        token = await outside.new_token("looker", role="viewer")
        assert (await outside.ask("GET", "/v1/sessions", token=token))[0] == 200
        assert await outside.code("POST", "/v1/sessions", token=token, json={}) == (403, "forbidden")
        assert await outside.code("POST", "/v1/executions", token=token, json={"argv": ["true"]}) == (403, "forbidden")
        await outside.revoke("looker")
        assert await outside.code("GET", "/v1/sessions", token=token) == (401, "unauthenticated")

    async def test_an_operator_starts_in_trusted_places_only(self, outside: Outside) -> None:
        token = await outside.new_token("worker", role="operator")
        assert await outside.code("POST", "/v1/sessions", token=token, json={"cwd": "/tmp"}) == (403, "forbidden")
        await outside.revoke("worker")

    async def test_keys_belong_to_their_principal(self, outside: Outside, api: Api) -> None:
        key = {"Idempotency-Key": "shared"}
        mine = await api.ask("POST", "/executions", {"argv": ["true"]}, headers=key)
        token = await outside.new_token("other", role="owner")
        status, theirs = await outside.ask(
            "POST", "/v1/executions", token=token, headers=key, json={"argv": ["echo", "other"]}
        )
        assert (status, theirs["id"] != mine.json["id"]) == (201, True)
        await outside.revoke("other")

    async def test_a_refusal_tells_no_secret(self, outside: Outside) -> None:
        _, body = await outside.ask("GET", "/v1/sessions", token="guess-guess")
        assert "guess" not in json.dumps(body)
