"""Recorded output: reading it, following it, waiting for it, and the live terminal."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.integration.contract.api import Api
from tests.support.wait import eventually

DIGITS = "printf 0123456789; exec sleep 300"


@pytest.fixture
async def digits(api: Api) -> str:
    """A session whose stream is ten digits."""
    await api.new(DIGITS, "digits")
    await api.wait("digits", text="9")
    return "/sessions/digits/output"


class TestRead:
    async def test_all_of_it(self, api: Api, digits: str) -> None:
        reply = await api.read(digits)
        assert (reply.body, reply.range) == (b"0123456789", (0, 10, 10))
        assert reply.headers["Content-Type"] == "application/octet-stream"

    @pytest.mark.parametrize(
        ("query", "body", "offsets"),
        [
            ("from=3", b"3456789", (3, 10, 10)),
            ("from=3&limit=2", b"34", (3, 5, 10)),
            ("from=-4", b"6789", (6, 10, 10)),
            ("from=-4&limit=1", b"6", (6, 7, 10)),
            ("from=-1000", b"0123456789", (0, 10, 10)),
            ("from=-10", b"0123456789", (0, 10, 10)),
            ("from=10", b"", (10, 10, 10)),
            ("from=0&limit=1048576", b"0123456789", (0, 10, 10)),
            ("format=raw", b"0123456789", (0, 10, 10)),
            ("format=text", b"0123456789", (0, 10, 10)),
            ("limit=1", b"0", (0, 1, 10)),
        ],
    )
    async def test_pieces(self, api: Api, digits: str, query: str, body: bytes, offsets: tuple[int, int, int]) -> None:
        reply = await api.read(f"{digits}?{query}")
        assert (reply.body, reply.range) == (body, offsets)

    async def test_past_the_end_is_empty(self, api: Api, digits: str) -> None:
        reply = await api.read(f"{digits}?from=5000")
        assert reply.body == b""
        assert reply.range[2] == 10

    @pytest.mark.parametrize(
        "query",
        [
            "from=x",
            "from=1.5",
            "from=0x10",
            "from=%2B3",
            "from=",
            "from=--1",
            "from=1e3",
            "from=%D9%A3",
            "limit=0",
            "limit=-1",
            "limit=1048577",
            "limit=all",
            "wait_ms=-1",
            "wait_ms=60001",
            "wait_ms=x",
            "format=html",
            "bogus=1",
            "from=99999999999999999999",
        ],
    )
    async def test_wrong_queries(self, api: Api, digits: str, query: str) -> None:
        assert await api.refused("GET", f"{digits}?{query}") == (422, "invalid")

    async def test_the_default_limit(self, api: Api) -> None:
        await api.new("head -c 200000 /dev/zero | tr '\\0' x; exec sleep 300", "build")
        await eventually(lambda: _has(api, 200_000))
        assert (await api.read("/sessions/build/output")).range == (0, 64 << 10, 200_000)

    async def test_a_long_poll_answers_with_new_bytes(self, api: Api) -> None:
        await api.new("cat", "build")
        polling = api.read("/sessions/build/output?from=0&wait_ms=10000")
        reply, _ = await asyncio.gather(polling, api.text("build", "news"))
        assert reply.body.startswith(b"n")

    async def test_a_long_poll_ends_without(self, api: Api, digits: str) -> None:
        reply = await api.read(f"{digits}?from=10&wait_ms=50")
        assert (reply.body, reply.range) == (b"", (10, 10, 10))

    async def test_text_has_no_escapes(self, api: Api) -> None:
        await api.new("printf '\\033[1mbold\\033[0m \\377 end\\n'; exec sleep 300", "build")
        await api.wait("build", text="end")
        reply = await api.read("/sessions/build/output?format=text")
        assert reply.body.decode() == "bold � end\n"
        assert reply.headers["Content-Type"].startswith("text/plain")

    async def test_a_text_is_never_cut_inside_a_character_or_an_escape(self, api: Api) -> None:
        await api.new("printf 'a\\303\\251\\033[1mb\\342\\202\\254\\nc\\033]0;title\\007d'; exec sleep 300", "build")
        await api.wait("build", text="cd")
        found, at = [], 0
        while at < (reply := await api.read(f"/sessions/build/output?format=text&limit=1&from={at}")).range[2]:
            assert reply.range[0] == at < reply.range[1]
            at = reply.range[1]
            found.append(reply.body.decode())
        assert "".join(found) == "aéb€\ncd"
        assert {"é", "€"} <= set(found)

    async def test_half_a_character_waits_for_its_other_half(self, api: Api) -> None:
        await api.new("stty -echo; printf 'a\\303'; read line; printf '\\251'; exec sleep 300", "build")
        await eventually(lambda: _has(api, 2))
        assert (await api.read("/sessions/build/output?format=text")).range == (0, 1, 2)
        reply = await api.read("/sessions/build/output?format=text&from=1&wait_ms=100")
        assert (reply.body, reply.range) == (b"", (1, 1, 2))
        polling = api.read("/sessions/build/output?format=text&from=1&wait_ms=10000")
        reply, _ = await asyncio.gather(polling, api.text("build", "go on"))
        assert reply.body.decode().startswith("é")

    async def test_half_a_character_at_the_very_end_is_replaced(self, api: Api) -> None:
        await api.new("printf 'a\\303'; sleep 0.1", "build")
        await api.wait("build", exit=True)
        assert (await api.read("/sessions/build/output?format=text&from=1")).body.decode() == "\ufffd"

    async def test_an_escape_without_end_is_given_up(self, api: Api) -> None:
        await api.new("printf '\\033]0;'; head -c 200000 /dev/zero | tr '\\0' x; exec sleep 300", "build")
        await eventually(lambda: _has(api, 200_004))
        reply = await api.read("/sessions/build/output?format=text&limit=1")
        assert reply.body == b""
        assert 65_536 <= reply.range[1] <= 200_004


async def _has(api: Api, size: int) -> bool:
    return bool((await api.get("/sessions/build"))["output"]["end"] == size)


class TestStream:
    async def test_output_carries_its_offsets(self, api: Api, digits: str) -> None:
        async with api.frames("/sessions/digits/stream?from=4") as frames:
            frame = await anext(frames)
            assert (frame.event, frame.id) == ("output", 10)
            assert frame.data == {"from": 4, "to": 10, "b64": base64.b64encode(b"456789").decode()}

    async def test_text(self, api: Api, digits: str) -> None:
        async with api.frames("/sessions/digits/stream?from=-3&format=text") as frames:
            frame = await anext(frames)
            assert frame.data == {"from": 7, "to": 10, "text": "789"}

    async def test_it_begins_at_the_end(self, api: Api) -> None:
        await api.new("printf before; exec cat", "build")
        await api.wait("build", text="before")
        async with api.frames("/sessions/build/stream") as frames:
            await api.text("build", "after")
            frame = await anext(frames)
            assert frame.data["from"] == 6
            assert b"before" not in base64.b64decode(frame.data["b64"])

    async def test_last_event_id_resumes(self, api: Api, digits: str) -> None:
        async with api.frames("/sessions/digits/stream?from=0", **{"Last-Event-ID": "8"}) as frames:
            frame = await anext(frames)
            assert (frame.data["from"], base64.b64decode(frame.data["b64"])) == (8, b"89")

    async def test_the_exit_comes_last(self, api: Api) -> None:
        await api.new("cat; exit 5", "build")
        async with api.frames("/sessions/build/stream?from=0") as frames:
            await api.post("/sessions/build/keys", {"keys": ["C-d"]})
            seen = [frame async for frame in frames]
        assert seen[-1].event == "exit"
        assert seen[-1].data["code"] == 5

    @pytest.mark.parametrize("query", ["from=x", "format=html", "mode=fast", "limit=3"])
    async def test_wrong_queries(self, api: Api, digits: str, query: str) -> None:
        assert await api.refused("GET", f"/sessions/digits/stream?{query}") == (422, "invalid")

    async def test_latest(self, api: Api, digits: str) -> None:
        async with api.frames("/sessions/digits/stream?from=0&mode=latest") as frames:
            assert (await anext(frames)).id == 10


class TestWait:
    async def test_a_text(self, api: Api) -> None:
        await api.new("cat", "build")
        await api.text("build", "needle in hay")
        reply = await api.wait("build", text="needle")
        assert (reply["outcome"], reply["match"]["text"]) == ("matched", "needle")
        assert type(reply["offset"]) is int

    async def test_a_regex(self, api: Api) -> None:
        await api.new("printf 'port 8080\\nready\\n'; exec cat", "build")
        reply = await api.wait("build", regex=r"port (\d+)\nready")
        assert (reply["outcome"], reply["match"]["text"]) == ("matched", "port 8080\nready")

    async def test_escapes_are_no_hindrance(self, api: Api) -> None:
        await api.new("printf 'a\\033[31mb\\033[0mc'; exec cat", "build")
        assert (await api.wait("build", text="abc"))["outcome"] == "matched"

    async def test_silence(self, api: Api) -> None:
        await api.new("cat", "build")
        assert (await api.wait("build", idle_ms=50))["outcome"] == "matched"

    async def test_the_end(self, api: Api) -> None:
        await api.new("true", "build")
        assert (await api.wait("build", exit=True))["outcome"] == "exited"
        assert (await api.wait("build", exit=True, timeout_ms=0))["outcome"] == "exited"

    async def test_the_end_before_the_match(self, api: Api) -> None:
        await api.new("echo other; read x", "build")
        waiting = api.wait("build", text="never")
        reply, _ = await asyncio.gather(waiting, api.text("build", "x"))
        assert reply["outcome"] == "exited"
        assert (await api.wait("build", text="never"))["outcome"] == "exited"
        assert (await api.wait("build", idle_ms=50_000))["outcome"] == "exited"

    async def test_a_match_in_what_an_ended_one_said(self, api: Api) -> None:
        await api.new("echo said", "build")
        await api.wait("build", exit=True)
        assert (await api.wait("build", text="said"))["outcome"] == "matched"

    async def test_the_time(self, api: Api) -> None:
        await api.new("cat", "build")
        for timeout_ms in (0, 50):
            assert (await api.wait("build", timeout_ms, text="never"))["outcome"] == "timeout"

    async def test_an_activity(self, api: Api) -> None:
        await api.new("cat", "build")
        reply = await api.post("/sessions/build/wait", {"until": {"activity": "unknown"}, "timeout_ms": 200})
        assert reply["outcome"] in ("matched", "timeout")

    async def test_it_looks_from_the_latest_input(self, api: Api) -> None:
        await api.new("printf 'early '; exec cat", "build")
        assert (await api.wait("build", text="early"))["outcome"] == "matched"
        await api.text("build", "late")
        assert (await api.wait("build", text="late"))["outcome"] == "matched"
        assert (await api.wait("build", 100, text="early"))["outcome"] == "timeout"
        body = {"until": {"text": "early"}, "timeout_ms": 5000, "from": 0}
        assert (await api.post("/sessions/build/wait", body))["outcome"] == "matched"

    async def test_the_offset_goes_on_behind_the_match(self, api: Api) -> None:
        await api.new("printf 'tick tick '; exec cat", "build")
        first = await api.wait("build", text="tick")
        again = await api.post("/sessions/build/wait", {"until": {"text": "tick"}, "from": first["offset"]})
        assert (first["offset"], again["offset"]) == (4, 9)

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"until": {}},
            {"until": {"text": "a", "exit": True}},
            {"until": {"text": ""}},
            {"until": {"text": 1}},
            {"until": {"regex": "("}},
            {"until": {"regex": "(a)\\1"}},
            {"until": {"idle_ms": 0}},
            {"until": {"idle_ms": True}},
            {"until": {"exit": False}},
            {"until": {"exit": 1}},
            {"until": {"exit": 1.0}},
            {"until": {"activity": "asleep"}},
            {"until": {"nothing": 1}},
            {"until": "exit"},
            {"until": {"exit": True}, "timeout_ms": -1},
            {"until": {"exit": True}, "timeout_ms": "1"},
            {"until": {"exit": True}, "from": "0"},
            {"until": {"exit": True}, "bogus": 0},
        ],
        ids=str,
    )
    async def test_wrong_fields(self, api: Api, body: dict[str, object]) -> None:
        await api.new("cat", "build")
        assert await api.refused("POST", "/sessions/build/wait", body) == (422, "invalid")

    async def test_the_match_is_linear_in_time(self, api: Api) -> None:
        await api.new(f"printf {'a' * 5000}; exec cat", "build")
        await api.wait("build", text="a" * 5000)
        async with asyncio.timeout(5):
            assert (await api.wait("build", 500, regex="(a+)+$b"))["outcome"] == "timeout"


@asynccontextmanager
async def tty(api: Api, query: str = "") -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, Any]]:
    async with api.http.ws_connect(api.url(f"/sessions/build/tty{query}")) as socket:
        yield socket, await socket.receive_json(timeout=10)


async def said(socket: aiohttp.ClientWebSocketResponse, wanted: bytes) -> bytes:
    """Bytes until ``wanted`` is among them."""
    seen = b""
    while wanted not in seen:
        seen += await socket.receive_bytes(timeout=10)
    return seen


class TestTty:
    async def test_hello_comes_first(self, api: Api) -> None:
        await api.new("printf abc; exec cat", "build", cols=81, rows=21)
        await api.wait("build", text="abc")
        async with tty(api) as (_, hello):
            assert hello == {"type": "hello", "offset": 3, "cols": 81, "rows": 21}
        async with tty(api, "?from=1") as (socket, hello):
            assert hello["offset"] == 1
            assert await socket.receive_bytes(timeout=10) == b"bc"

    async def test_typed_bytes_go_in_as_they_are(self, api: Api) -> None:
        await api.new("cat -v", "build")
        async with tty(api) as (socket, _):
            await socket.send_bytes(b"h\x1b[A;\xc3\xa9\r")
            await said(socket, b"h^[[A;M-CM-)\r\n")

    async def test_resize(self, api: Api) -> None:
        await api.new("cat", "build")
        async with tty(api) as (socket, _):
            await socket.send_json({"type": "resize", "cols": 66, "rows": 16})
            await eventually(lambda: _sized(api, 66, 16))

    async def test_the_exit_is_said(self, api: Api) -> None:
        await api.new("cat; exit 6", "build")
        async with tty(api) as (socket, _):
            await socket.send_bytes(b"\x04")
            while (message := await socket.receive(timeout=10)).type is aiohttp.WSMsgType.BINARY:
                pass
            assert (message.json()["type"], message.json()["code"]) == ("exit", 6)

    async def test_refusals_come_before_the_upgrade(self, api: Api) -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await api.http.ws_connect(api.url("/sessions/nobody/tty"))
        assert caught.value.status == 404

    async def test_it_is_no_plain_page(self, api: Api) -> None:
        await api.new("cat", "build")
        reply = await api.ask("GET", "/sessions/build/tty")
        assert reply.status in (400, 426)

    async def test_two_see_the_same(self, api: Api) -> None:
        await api.new("cat", "build")
        async with tty(api) as (one, _), tty(api) as (two, _):
            await one.send_bytes(b"shared\r")
            await said(one, b"shared\r\nshared\r\n")
            await said(two, b"shared\r\nshared\r\n")


async def _sized(api: Api, cols: int, rows: int) -> bool:
    session = await api.get("/sessions/build")
    return bool((session["cols"], session["rows"]) == (cols, rows))
