"""Bad requests by TCP, byte for byte, against a running daemon: each has its answer, and nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.integration.rest.served import wire
from tests.support.daemon import Client, daemon_process
from tests.support.outside import Outside, shared_outside_daemon

MAX_BODY = 300_000


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with shared_outside_daemon({"TELECLAUDE_REST__MAX_BODY_BYTES": str(MAX_BODY)}) as running:
        yield running


@pytest.fixture
async def owner(outside: Outside) -> AsyncIterator[Client]:
    """Looks, at the end, whether anything happened."""
    async with Client(outside.daemon.socket) as client:
        before = await _traces(client)
        yield client
        for session in (await client.get("/sessions"))["sessions"]:
            if session["name"] == "build":
                await client.delete("/sessions/build?purge=true&grace_ms=0")
                return
        assert await _traces(client) == before


async def _traces(client: Client) -> Any:
    entries = (await client.get("/audit?limit=1000"))["entries"]
    return (await client.get("/sessions")), (await client.get("/executions")), len(entries)


async def ask(outside: Outside, line: str, headers: str = "", body: bytes = b"") -> tuple[int, str]:
    """Status and code. ``headers`` come after Host and Authorization."""
    head = (
        f"{line} HTTP/1.1\r\nHost: localhost:{outside.port}\r\nAuthorization: Bearer {outside.token}\r\n{headers}\r\n"
    )
    async with wire(outside.port) as raw:
        await raw.send(head.encode("utf-8", "surrogateescape") + body)
        status, answered, problem = await raw.reply()
        assert answered["content-type"].startswith("application/")
        assert "x-evil" not in answered
        return status, problem.get("code", "ok")


async def post(outside: Outside, body: bytes, media: str = "application/json") -> tuple[int, str]:
    headers = f"Content-Type: {media}\r\nContent-Length: {len(body)}\r\n"
    return await ask(outside, "POST /v1/sessions", headers, body)


@pytest.mark.usefixtures("owner")
class TestNothingHappens:
    @pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
    async def test_r11_json_that_says_to_be_something_else(self, outside: Outside, media: str) -> None:
        assert await post(outside, b'{"name":"r11"}', media) == (415, "media_type")

    async def test_r12_json_that_breaks_off(self, outside: Outside) -> None:
        assert await post(outside, b'{"name":"a",') == (400, "malformed")

    async def test_r13_a_key_twice(self, outside: Outside) -> None:
        assert await post(outside, b'{"name":"a","name":"b"}') == (400, "malformed")

    @pytest.mark.parametrize("number", [b"NaN", b"1e999", b"-Infinity"])
    async def test_r14_what_is_no_number(self, outside: Outside, number: bytes) -> None:
        assert await post(outside, b'{"cols":' + number + b"}") == (400, "malformed")

    async def test_r15_a_tower(self, outside: Outside) -> None:
        assert await post(outside, b"[" * 100_000) == (400, "malformed")

    async def test_r16_a_number_of_5000_digits(self, outside: Outside) -> None:
        assert await post(outside, b'{"cols":' + b"1" * 5000 + b"}") == (400, "malformed")

    async def test_r17_bytes_that_are_no_utf8(self, outside: Outside) -> None:
        assert await post(outside, b'{"name":"\xff"}') == (400, "malformed")

    @pytest.mark.parametrize("body", [b'{"cwd":"\\ud800"}', b'{"\\ud800":1}', b'{"env":{"A":"\\udfff"}}'])
    async def test_r18_half_a_surrogate_pair(self, outside: Outside, body: bytes) -> None:
        assert await post(outside, body) == (422, "invalid")

    @pytest.mark.parametrize("value", ["true", '"10"', "1.5", '"١٢"', "null_", "[1]"])
    async def test_r19_a_value_of_another_type(self, outside: Outside, value: str) -> None:
        expected = (400, "malformed") if value == "null_" else (422, "invalid")
        assert await post(outside, f'{{"cols":{value}}}'.encode()) == expected

    async def test_r20_a_byte_too_many(self, outside: Outside) -> None:
        assert await post(outside, b"[" * (MAX_BODY + 1)) == (413, "too_large")
        assert await post(outside, b'"' + b" " * (MAX_BODY - 2) + b'"') == (422, "invalid")

    @pytest.mark.parametrize(
        "headers",
        [
            "Content-Length: -1\r\n",
            "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 2\r\nContent-Length: 3\r\n",
        ],
    )
    async def test_r21_a_doubtful_length(self, outside: Outside, headers: str) -> None:
        line = (
            f"POST /v1/sessions HTTP/1.1\r\nHost: localhost:{outside.port}\r\nAuthorization: Bearer {outside.token}\r\n"
        )
        async with wire(outside.port) as raw:
            await raw.send(f"{line}Content-Type: application/json\r\n{headers}\r\n{{}}".encode())
            status, _, problem = await raw.reply()
            assert (status, problem["code"]) == (400, "malformed")
            assert await raw.rest() == b""

    @pytest.mark.parametrize(
        "path", ["..%2f..%2fconfig", "../../config", "a%00b", "a%0d%0aX-Evil:1", "%zz", "%ff", "%c0%ae", "a%7fb"]
    )
    async def test_r22_paths_that_lead_elsewhere(self, outside: Outside, path: str) -> None:
        assert (await ask(outside, f"GET /v1/sessions/{path}"))[0] in (400, 404)

    async def test_r23_a_method_that_is_not_taken(self, outside: Outside) -> None:
        for line in ("PUT /v1/sessions", "DELETE /v1/health", "PATCH /v1/openapi.json", "TRACE /v1/sessions"):
            assert await ask(outside, line) == (405, "method"), line

    async def test_r24_a_field_that_is_not_known(self, outside: Outside) -> None:
        assert await post(outside, b'{"rol":"owner"}') == (422, "invalid")

    async def test_r26_a_header_of_a_mebibyte(self, outside: Outside) -> None:
        assert await ask(outside, "GET /v1/sessions", f"X: {'a' * (1 << 20)}\r\n") == (431, "too_large")


async def test_r25_a_key_for_one_request_only(outside: Outside) -> None:
    async with Client(outside.daemon.socket) as client:
        key = {"Idempotency-Key": "r25"}
        made = await client.post("/sessions", {"command": ["cat"], "name": "build"}, headers=key)
        refused = await client.post("/sessions", {"command": ["cat"], "name": "other"}, headers=key, expect=409)
        assert refused["code"] == "key_reused"
        replies = [client.post("/sessions", {"command": ["cat"], "name": "build"}, headers=key) for _ in range(3)]
        assert {reply["id"] for reply in await asyncio.gather(*replies)} == {made["id"]}
        assert [session["id"] for session in (await client.get("/sessions"))["sessions"]] == [made["id"]]
        await client.delete("/sessions/build?purge=true&grace_ms=0")


async def test_r25_keys_are_each_principals_own(outside: Outside) -> None:
    """Also when a token takes the name of one that was revoked."""
    key = {"Idempotency-Key": "shared"}
    async with Client(outside.daemon.socket) as client:
        made = [await client.post("/executions", {"argv": ["true"]}, headers=key)]
    for program in ("true", "false"):
        token = await outside.new_token("again", role="owner")
        body = {"argv": [program]}
        status, reply = await outside.ask("POST", "/v1/executions", token=token, json=body, headers=key)
        assert status == 201, reply
        made.append(reply)
        await outside.revoke("again")
    assert len({execution["id"] for execution in made}) == 3


async def test_r25_the_reply_outlives_the_daemon_and_the_session() -> None:
    key = {"Idempotency-Key": "r25"}
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            body = {"command": ["cat"], "name": "build", "env": {"A": "1"}, "tags": ["t"]}
            made = await client.post("/sessions", body, headers=key)
        await daemon.kill()
        await daemon.start()
        async with Client(daemon.socket) as client:
            assert await client.post("/sessions", body, headers=key) == made
            await client.delete("/sessions/build?purge=true&grace_ms=0")
            assert await client.post("/sessions", body, headers=key) == made
            assert (await client.get("/sessions"))["sessions"] == []


async def test_r28_offsets_beyond_the_end_and_none(owner: Client, outside: Outside) -> None:
    await owner.new(["cat"], name="build")
    for query in ("-1x", "1e3", "%D9%A1", "", "1_0", "0x1", "%201"):
        assert await ask(outside, f"GET /v1/sessions/build/output?from={query}") == (422, "invalid"), query
    async with owner.http.get(owner.url("/sessions/build/output?from=999999")) as response:
        assert (response.status, await response.read(), response.headers["Teleclaude-End"]) == (200, b"", "0")
