from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from teleclaude_rest.surface import Timing
from tests.integration.rest.served import Served, Wire, serve, wire
from tests.support.wait import eventually

HEAD = b"Host: desk\r\n"
CHUNKED = (
    b"POST /v1/sessions HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
)
NOT_HTTP = [b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\0\n"]


def post(body: bytes, *, media: bytes = b"application/json", path: bytes = b"/v1/sessions") -> bytes:
    head = b"POST %s HTTP/1.1\r\n%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n"
    return head % (path, HEAD, media, len(body)) + body


def get(path: bytes, method: bytes = b"GET", headers: bytes = b"") -> bytes:
    return b"%s %s HTTP/1.1\r\n%s%s\r\n" % (method, path, HEAD, headers)


async def ask(served: Served, request: bytes) -> tuple[int, str]:
    """Status and code of the reply to raw bytes, on a connection of its own."""
    async with wire(served.adapter.path) as raw:
        await raw.send(request)
        status, headers, body = await raw.reply()
        assert headers["content-type"] == "application/problem+json"
        return status, str(body["code"])


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(b'{"name":"a",', (400, "malformed"), id="r12-cut-off"),
        pytest.param(b'{"name":"a","name":"b"}', (400, "malformed"), id="r13-duplicate-key"),
        pytest.param(b'{"cols":NaN}', (400, "malformed"), id="r14-nan"),
        pytest.param(b'{"cols":1e999}', (400, "malformed"), id="r14-infinite"),
        pytest.param(b"[" * 100_000, (400, "malformed"), id="r15-deep"),
        pytest.param(b'{"cols":' + b"1" * 5000 + b"}", (400, "malformed"), id="r16-long-number"),
        pytest.param(b'{"name":"\xff"}', (400, "malformed"), id="r17-not-utf8"),
        pytest.param(b'{"cwd":"\\ud800"}', (422, "invalid"), id="r18-surrogate"),
        pytest.param(b'{"\\ud800":1}', (422, "invalid"), id="r18-surrogate-key"),
        pytest.param(b'{"env":{"\\ud800":"1"}}', (422, "invalid"), id="r18-surrogate-nested"),
        pytest.param(b'{"cols":true}', (422, "invalid"), id="r19-bool"),
        pytest.param(b'{"cols":"10"}', (422, "invalid"), id="r19-string"),
        pytest.param(b'{"cols":1.5}', (422, "invalid"), id="r19-float"),
        pytest.param('{"cols":"١٢"}'.encode(), (422, "invalid"), id="r19-arabic"),
        pytest.param(b'{"rol":"owner"}', (422, "invalid"), id="r24-unknown-field"),
        pytest.param(b'{"env":{"A":"1"},"tags":[1]}', (422, "invalid"), id="wrong-item"),
        pytest.param(b"[]", (422, "invalid"), id="no-object"),
        pytest.param(b"null", (422, "invalid"), id="null"),
    ],
)
async def test_a_bad_body_is_refused_before_anything_happens(
    served: Served, body: bytes, expected: tuple[int, str]
) -> None:
    assert await ask(served, post(body)) == expected
    assert served.hub.calls == []


async def test_r11_json_under_another_media_type_is_refused(served: Served) -> None:
    for media in (b"text/plain", b"application/x-www-form-urlencoded", b"application/json; charset=latin-1"):
        assert await ask(served, post(b'{"name":"a"}', media=media)) == (415, "media_type")
    unnamed = b'POST /v1/sessions HTTP/1.1\r\nHost: d\r\nContent-Length: 12\r\n\r\n{"name":"a"}'
    assert await ask(served, unnamed) == (415, "media_type")
    assert served.hub.calls == []


async def test_a_compressed_body_is_refused(served: Served) -> None:
    packed = post(b"\x1f\x8b\x08\x00").replace(HEAD, HEAD + b"Content-Encoding: gzip\r\n")
    assert await ask(served, packed) == (415, "media_type")


async def test_r20_a_body_beyond_the_limit_is_refused_before_parsing(runtime: Path) -> None:
    async with serve(runtime, max_body_bytes=100) as served:
        assert await ask(served, post(b"[" * 101)) == (413, "too_large")
        body = b"".join(b"a\r\n[[[[[[[[[[\r\n" for _ in range(11)) + b"0\r\n\r\n"
        assert await ask(served, CHUNKED + body) == (413, "too_large")
        assert (await ask(served, post(b"[" * 100)))[0] == 400
        # It is refused as soon as the head says so, and not read.
        async with wire(served.adapter.path) as raw:
            await raw.send(get(b"/v1/sessions", b"POST", b"Content-Length: 1000000000\r\n"))
            assert (await raw.reply())[0] == 413


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(b"Content-Length: -1\r\n", id="negative"),
        pytest.param(b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n", id="both"),
        pytest.param(b"Content-Length: 3\r\nContent-Length: 4\r\n", id="twice"),
        pytest.param(b"Content-Length: +3\r\n", id="signed"),
        pytest.param(b"Transfer-Encoding: xchunked\r\n", id="unknown-coding"),
    ],
)
async def test_r21_a_doubtful_length_ends_the_connection(served: Served, lines: bytes) -> None:
    async with wire(served.adapter.path) as raw:
        await raw.send(get(b"/v1/sessions", b"POST", lines) + b"abc")
        status, _, problem = await raw.reply()
        assert (status, problem["code"]) == (400, "malformed")
        assert await raw.rest() == b""
    assert served.hub.calls == []


@pytest.mark.parametrize("request_", NOT_HTTP)
async def test_what_is_not_http_is_refused(served: Served, request_: bytes) -> None:
    async with wire(served.adapter.path) as raw:
        await raw.send(request_ + b"\r\n\r\n")
        assert (await raw.head())[0] == 400
    assert (await served.json("GET", "/health"))[0] == 200


@pytest.mark.parametrize(
    "path",
    [
        b"/v1/sessions/..%2f..%2fconfig",
        b"/v1/sessions/../../config",
        b"/v1/sessions/a%00b",
        b"/v1/sessions/a%0d%0aX-Evil:1",
        b"/v1/sessions/%",
        b"/v1/sessions/%zz",
        b"/v1/sessions/%ff",
        b"/v1/sessions/\xff",
        b"/v1/sessions/%252e",
        b"/v1/sessions/",
        b"/v1%2Fsessions",
        b"//v1/sessions",
        b"/v2/sessions",
        b"http://evil.example/v1/sessions",
        b"*",
    ],
)
async def test_r22_no_path_does_harm(served: Served, path: bytes) -> None:
    async with wire(served.adapter.path) as raw:
        await raw.send(get(path))
        status, headers, _ = await raw.reply()
        assert status in (400, 404)
        assert "x-evil" not in headers


async def test_r23_a_method_the_path_does_not_take(served: Served) -> None:
    for method in ("PUT", "OPTIONS", "TRACE"):
        async with served.request(method, "/sessions/build") as response:
            assert response.status == 405
            assert response.headers["Allow"] == "DELETE, GET, HEAD, PATCH"
    status, problem = await served.json("PUT", "/health")
    assert (status, problem["code"], problem["allow"]) == (405, "method", ["GET", "HEAD"])


@pytest.mark.parametrize(
    "query",
    [
        "from=-1x",
        "from=1e3",
        "from=%D9%A1",
        "from=+1",
        "from=",
        "from=-0",
        "from=1_0",
        "from=99999999999999999999",
        "from=1&from=2",
        "limit=0",
        "limit=1048577",
        "wait_ms=60001",
        "wait_ms=-1",
        "format=xml",
        "stream=stdout",
        "rol=owner",
        "from",
        "%ff=1",
        "id=other",
        "&".join(f"a{n}=1" for n in range(40)),
    ],
)
async def test_r28_a_bad_query_is_refused(served: Served, query: str) -> None:
    await served.new()
    status, problem = await served.json("GET", f"/sessions/build/output?{query}")
    assert (status, problem["code"]) == (422, "invalid")
    assert len(served.hub.calls) == 1


async def test_flags_in_a_query_are_true_or_false(served: Served) -> None:
    await served.new()
    for value in ("1", "True", "yes", ""):
        assert (await served.json("DELETE", f"/sessions/build?purge={value}"))[0] == 422


async def test_a_query_where_none_belongs_is_refused(served: Served) -> None:
    assert (await served.json("POST", "/sessions?name=a"))[0] == 422
    assert (await served.json("GET", "/sessions/a?x=1"))[0] == 422
    assert (await served.json("GET", "/health?x=1"))[0] == 422
    assert served.hub.calls == []


async def test_a_path_field_in_the_body_is_refused(served: Served) -> None:
    await served.new()
    status, problem = await served.json("POST", "/sessions/build/input", {"id": "other", "text": "rm"})
    assert (status, "id" in problem["detail"]) == (422, True)
    assert (await served.json("GET", "/sessions/build", {"id": "other"}))[0] == 422


async def test_pythons_own_names_of_fields_are_unknown(served: Served) -> None:
    await served.new()
    assert (await served.json("POST", "/sessions/build/wait", {"until": {"exit": True}, "from_": 0}))[0] == 422


@pytest.mark.parametrize("line", [b"X: " + b"a" * (1 << 20), b"X" * (1 << 20) + b": a"])
async def test_r26_a_huge_header_is_refused(served: Served, line: bytes) -> None:
    assert await ask(served, get(b"/v1/health", headers=line + b"\r\n")) == (431, "too_large")


async def test_r26_a_huge_request_line_is_refused(served: Served) -> None:
    assert await ask(served, get(b"/" + b"a" * 100_000)) == (431, "too_large")


async def test_too_many_headers_are_refused(served: Served) -> None:
    async with wire(served.adapter.path) as raw:
        await raw.send(get(b"/v1/health", headers=b"X: 1\r\n" * 5000))
        assert (await raw.head())[0] in (400, 431)


async def test_r27_a_client_that_sends_its_head_slowly_is_cut(runtime: Path) -> None:
    assert 25 < Timing().head < 40
    async with serve(runtime, timing=Timing(head=0.5)) as served, wire(served.adapter.path) as slow:
        async with asyncio.TaskGroup() as group:
            dripping = group.create_task(_drip(slow))
            while not dripping.done():
                assert (await served.json("GET", "/health"))[0] == 200
                await asyncio.sleep(0.02)
        assert 0.3 < dripping.result() < 5


async def _drip(slow: Wire) -> float:
    """Send a byte at a time until the server closes; answers after how long it did."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for byte in get(b"/v1/health", headers=b"X: " + b"a" * 1000):
        try:
            await slow.send(bytes([byte]))
        except ConnectionError:
            break
        await asyncio.sleep(0.02)
        if slow.reader.at_eof():
            break
    return loop.time() - began


async def test_a_body_that_does_not_come_is_given_up(runtime: Path) -> None:
    async with serve(runtime, timing=Timing(body=0.2, linger=0.2)) as served, wire(served.adapter.path) as raw:
        await raw.send(post(b"x" * 100)[:-50])
        status, _, problem = await raw.reply()
        assert (status, problem["code"]) == (504, "timeout")
        assert await raw.rest() == b""


async def test_a_body_that_breaks_off_is_not_used(served: Served) -> None:
    async with wire(served.adapter.path) as raw:
        await raw.send(post(b'{"name":"a"}' + b" " * 50)[:-50])
    async with wire(served.adapter.path) as raw:
        await raw.send(CHUNKED + b"zz\r\n")
        assert (await raw.reply())[0] == 400
    assert served.hub.calls == []


async def test_a_client_may_ask_before_sending_its_body(served: Served) -> None:
    async with wire(served.adapter.path) as raw:
        request = post(b'{"name":"a"}').replace(HEAD, HEAD + b"Expect: 100-continue\r\n")
        await raw.send(request[:-12])
        assert (await raw.head())[0] == 100
        await raw.send(request[-12:])
        assert (await raw.reply())[0] == 201


async def test_connections_beyond_the_limit_are_told_so(runtime: Path) -> None:
    async with serve(runtime, max_connections=2) as served:
        path = served.adapter.path
        async with wire(path) as first, wire(path) as second:
            for raw in (first, second):
                await raw.send(get(b"/v1/health"))
                assert (await raw.reply())[0] == 200
            async with wire(path) as third:
                await third.send(get(b"/v1/health"))
                status, headers, problem = await third.reply()
                assert (status, problem["code"]) == (503, "limit")
                assert headers["retry-after"]
                assert await third.rest() == b""
            await first.send(get(b"/v1/health"))
            assert (await first.reply())[0] == 200

        async def admitted() -> bool:
            return (await served.json("GET", "/health"))[0] == 200

        await eventually(admitted)


async def test_a_crowd_is_cut_without_words(runtime: Path) -> None:
    async with serve(runtime, max_connections=1) as served:
        path = served.adapter.path
        async with wire(path), wire(path), wire(path) as third:
            assert await third.rest() == b""


async def test_pipelined_requests_are_answered_in_order(served: Served) -> None:
    async with wire(served.adapter.path) as raw:
        await raw.send(get(b"/v1/sessions/nobody") + get(b"/v1/health") + get(b"/v1/nowhere"))
        assert [(await raw.reply())[0] for _ in range(3)] == [404, 200, 404]


async def test_a_secret_in_a_query_is_not_echoed(served: Served) -> None:
    async with served.request("GET", "/sessions/a?token=s3cret") as response:
        text = await response.text()
    assert "s3cret" not in text
    assert json.loads(text)["code"] == "invalid"
