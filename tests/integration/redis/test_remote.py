"""Everything that can be done to a session works on one of another computer, as if it were here."""

from __future__ import annotations

import asyncio
import base64
import fcntl
import hashlib
import json
import os
import pty
import struct
import sys
import termios
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any

import pytest

from tests.support.daemon import Client
from tests.support.fleet import Fleet, refused, shared_fleet
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def fleet() -> Iterator[Fleet]:
    with shared_fleet("north", "south") as fleet:
        yield fleet


@pytest.fixture
async def here(fleet: Fleet) -> AsyncIterator[Client]:
    async with fleet.client("north") as client:
        yield client


@pytest.fixture
async def there(fleet: Fleet) -> AsyncIterator[Client]:
    """The other computer, asked directly; its sessions end with the test."""
    async with fleet.client("south") as client:
        yield client
        for session in (await client.get("/sessions"))["sessions"]:
            await client.delete(f"/sessions/{session['id']}", params={"grace_ms": "0", "purge": "true"})


def far(name: str) -> str:
    return f"south%2F{name}"


async def start(client: Client, command: Any, name: str = "work", **fields: Any) -> Any:
    return await client.new(command, name, computer="south", cwd=os.environ["TMPDIR"], **fields)


async def test_a_session_lives_its_whole_life_from_afar(here: Client, there: Client) -> None:
    made = await start(here, ["cat"], tags=["x"])
    assert made["computer"] == "south"
    assert made["attach"] is None
    assert [one["name"] for one in (await there.get("/sessions"))["sessions"]] == ["work"]
    assert [one["id"] for one in (await here.get("/sessions", params={"computer": "south"}))["sessions"]] == [
        made["id"]
    ]
    assert (await here.get("/sessions"))["sessions"] == []
    assert (await here.get(f"/sessions/{far(made['id'])}"))["name"] == "work"
    assert (await here.call("PATCH", f"/sessions/{far('work')}", {"tags": ["y"]}))["tags"] == ["y"]
    assert (await here.post(f"/sessions/{far('work')}/resize", {"cols": 90, "rows": 20}))["cols"] == 90
    assert (await here.text(far("work"), "hello")) == {"offset": 0, "state": "delivered"}
    waited = await here.wait(far("work"), text="hello")
    assert waited["outcome"] == "matched"
    await here.post(f"/sessions/{far('work')}/keys", {"keys": ["C-d"]})
    assert (await here.wait(far("work"), exit=True))["outcome"] == "exited"
    assert (await here.post(f"/sessions/{far('work')}/restart"))["state"] == "running"
    assert (await here.post(f"/sessions/{far('work')}/signal", {"signal": "TERM"}))["computer"] == "south"
    assert (await here.wait(far("work"), exit=True))["outcome"] == "exited"
    closed = await here.delete(f"/sessions/{far('work')}", params={"purge": "true"})
    assert closed["exit"]["signal"] == "TERM"
    assert await refused(here, "GET", f"/sessions/{far('work')}") == (404, "not_found")


async def test_the_location_of_a_new_session_leads_to_it(here: Client, there: Client) -> None:
    body = {"computer": "south", "name": "work", "cwd": os.environ["TMPDIR"], "command": ["cat"]}
    async with here.http.post(here.url("/sessions"), json=body) as response:
        location = response.headers["Location"]
    assert (await here.get(location.removeprefix("/v1")))["name"] == "work"


async def test_text_arrives_byte_exact(here: Client, there: Client) -> None:
    text = "'\"`$(x)#{y};\\ \t ~%% ünïcödé 🚀 e\u0301 \u202e\nline two;\n  third\n"
    script = f"stty raw -echo; echo ready; head -c {len(text.encode())} | sha256sum"
    await start(here, script)
    await here.wait(far("work"), text="ready")
    await here.text(far("work"), text, submit=False)
    waited = await here.wait(far("work"), regex="[0-9a-f]{64}")
    sent = text.replace("\n", "\r").encode()
    assert waited["match"]["text"] in (hashlib.sha256(sent).hexdigest(), hashlib.sha256(text.encode()).hexdigest())


async def test_the_screen_in_every_format(here: Client, there: Client) -> None:
    await start(here, "printf '\\033[31mred\\033[0m\\n'; cat")
    await here.wait(far("work"), text="red")
    screen = await here.get(f"/sessions/{far('work')}/screen")
    assert screen["lines"][0] == "red"
    assert screen["cursor"]["y"] == 1
    async with here.http.get(here.url(f"/sessions/{far('work')}/screen"), params={"format": "ansi"}) as response:
        assert b"\x1b[31mred" in await response.read()
        assert int(response.headers["Teleclaude-Offset"]) > 0
    async with here.http.get(here.url(f"/sessions/{far('work')}/screen"), params={"format": "text"}) as response:
        assert (await response.read()).startswith(b"red\n")
    async with here.http.get(here.url(f"/sessions/{far('work')}/screen"), params={"format": "png"}) as response:
        assert response.status in (200, 503)
        assert response.status == 503 or (await response.read()).startswith(b"\x89PNG")


async def test_output_by_offset_is_the_same_bytes(here: Client, there: Client) -> None:
    await start(here, "head -c 300000 /dev/urandom | base64; printf done; cat")
    await here.wait(far("work"), text="done")
    assert await here.all_output(far("work")) == await there.all_output("work")
    end = len(await there.all_output("work"))
    assert await here.output(far("work"), -4) == (end - 4, b"done")
    assert await here.output(far("work"), end) == (end, b"")
    query = {"from": str(end), "wait_ms": "5000"}
    response, _ = await asyncio.gather(
        here.http.get(here.url(f"/sessions/{far('work')}/output"), params=query), there.text("work", "later")
    )
    assert (await response.read()).startswith(b"later")
    found = await here.get(f"/sessions/{far('work')}/search", params={"text": "done"})
    assert len(found["matches"]) == 1


async def events_of(response: Any) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    name = ""
    async for line in response.content:
        if line.startswith(b"event: "):
            name = line[7:].strip().decode()
        elif line.startswith(b"data: "):
            yield name, json.loads(line[6:])


async def test_a_stream_is_followed_to_its_end_byte_for_byte(here: Client, there: Client) -> None:
    await start(here, "read x; head -c 3000000 /dev/urandom | base64; printf end")
    got = bytearray()
    async with here.http.get(here.url(f"/sessions/{far('work')}/stream"), params={"from": "0"}) as response:
        await here.text(far("work"), "")
        async for name, data in events_of(response):
            if name == "output":
                assert data["from"] == len(got)
                got += base64.b64decode(data["b64"])
            elif name == "exit":
                assert data["code"] == 0
                break
    assert bytes(got) == await there.all_output("work")


async def test_a_stream_as_text(here: Client, there: Client) -> None:
    await start(here, "read x; printf '\\033[31mgr\\303\\274n\\033[0m'; read x")
    async with here.http.get(here.url(f"/sessions/{far('work')}/stream"), params={"format": "text"}) as response:
        await here.text(far("work"), "")
        async with asyncio.timeout(10):
            text = ""
            async for name, data in events_of(response):
                text += data.get("text", "") if name == "output" else ""
                if "grün" in text:
                    break
    assert "\x1b" not in text


async def test_the_relay_lives_only_while_somebody_watches(fleet: Fleet, here: Client, there: Client) -> None:
    made = await start(here, ["cat"])
    key = f"teleclaude:output:{{south}}:{made['id']}"
    async with fleet.server.client() as redis:
        assert not await redis.exists(key)
        async with here.http.get(here.url(f"/sessions/{far('work')}/stream")) as response:
            await here.text(far("work"), "seen")
            async for name, _ in events_of(response):
                if name == "output":
                    break
            assert await redis.exists(key)
            assert await redis.pttl(key) > 0
        await eventually(lambda: gone(redis, key), timeout=10)
        await here.text(far("work"), "unseen")
        await here.wait(far("work"), text="unseen")
        assert not await redis.exists(key)


async def gone(redis: Any, key: str) -> bool:
    return not await redis.exists(key)


async def test_a_slow_watcher_harms_nobody(fleet: Fleet, here: Client, there: Client) -> None:
    made = await start(here, "read x; head -c 15000000 /dev/urandom | base64; printf end")
    key = f"teleclaude:output:{{south}}:{made['id']}"
    path = here.url(f"/sessions/{far('work')}/stream")
    async with here.http.get(path, params={"from": "0"}) as stalled, here.http.get(path, params={"from": "0"}) as quick:
        await here.text(far("work"), "")
        size = 0
        async for name, data in events_of(quick):
            if name == "output":
                assert data["from"] == size
                size = data["to"]
            elif name == "exit":
                break
        async with fleet.server.client() as redis:
            assert await redis.xlen(key) <= 128
        assert size == (await there.get("/sessions/work"))["output"]["end"]
        caught_up = hashlib.sha256()
        async for name, data in events_of(stalled):
            if name == "output":
                caught_up.update(base64.b64decode(data["b64"]))
            elif name == "exit":
                break
    assert caught_up.hexdigest() == hashlib.sha256(await there.all_output("work")).hexdigest()


async def test_a_live_terminal_over_websocket(here: Client, there: Client) -> None:
    await start(here, "stty raw -echo; printf go; cat")
    await here.wait(far("work"), text="go")
    everything = bytes(range(1, 256))
    async with here.http.ws_connect(here.url(f"/sessions/{far('work')}/tty?from=0")) as socket:
        hello = await socket.receive_json(timeout=5)
        assert hello["type"] == "hello"
        await socket.send_json({"type": "resize", "cols": 77, "rows": 22})
        await socket.send_bytes(everything)
        got = b""
        async with asyncio.timeout(10):
            while not got.endswith(everything):
                got += (await socket.receive_bytes(timeout=5)) or b""
    assert got == b"go" + everything
    assert (await there.get("/sessions/work"))["cols"] == 77


async def test_commands_run_over_there(here: Client, there: Client) -> None:
    ran = await here.post(
        "/executions", {"computer": "south", "argv": ["sh", "-c", "echo out; echo err >&2; exit 3"], "wait_ms": 5000}
    )
    assert (ran["status"], ran["exit_code"]) == ("failed", 3)
    again = await here.get(f"/executions/{far(ran['id'])}")
    assert again["id"] == ran["id"]
    async with here.http.get(here.url(f"/executions/{far(ran['id'])}/output"), params={"stream": "stderr"}) as response:
        assert await response.read() == b"err\n"
    sleeping = await here.post("/executions", {"computer": "south", "argv": ["sleep", "60"]})
    await here.post(f"/executions/{far(sleeping['id'])}/cancel")
    ended = await here.get(f"/executions/{far(sleeping['id'])}", params={"wait_ms": "5000"})
    assert ended["status"] == "cancelled"


async def test_python_over_there(here: Client, there: Client) -> None:
    await here.post("/sessions", {"computer": "south", "name": "py", "kind": "python"})
    first = await here.post(f"/sessions/{far('py')}/executions", {"code": "x = 20 + 1", "wait_ms": 5000})
    assert first["status"] == "completed"
    second = await here.post(f"/sessions/{far('py')}/executions", {"code": "x * 2", "wait_ms": 5000})
    assert second["result"]["repr"] == "42"
    listed = await here.get(f"/sessions/{far('py')}/variables")
    assert [one["name"] for one in listed["variables"]] == ["x"]


async def test_json_rpc_goes_there_too(here: Client, there: Client) -> None:
    async with here.http.ws_connect(here.url("/rpc")) as socket:

        async def ask(method: str, **params: Any) -> Any:
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            answer = await socket.receive_json(timeout=10)
            assert "error" not in answer, answer
            return answer["result"]

        made = await ask("session.create", computer="south", name="work", command=["cat"])
        await ask("session.input", id="south/work", text="by rpc")
        waited = await ask("session.wait", id=f"south/{made['id']}", until={"text": "by rpc"})
        assert waited["outcome"] == "matched"
        read = await ask("output.read", id="south/work", **{"from": 0})
        assert base64.b64decode(read["b64"]).startswith(b"by rpc")


async def test_what_is_bound_to_a_connection_ends_with_it(here: Client, there: Client) -> None:
    async with here.http.ws_connect(here.url("/rpc")) as socket:
        params = {"computer": "south", "argv": ["sleep", "60"], "lifetime": "connection"}
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "execution.start", "params": params})
        started = (await socket.receive_json(timeout=10))["result"]
    ended = await there.get(f"/executions/{started['id']}", params={"wait_ms": "8000"})
    assert ended["status"] == "cancelled"


async def test_a_repeat_with_the_same_key_does_nothing_twice(here: Client, there: Client) -> None:
    await start(here, ["cat"])
    headers = {"Idempotency-Key": "once"}
    path = f"/sessions/{far('work')}/input"
    first = await here.post(path, {"text": "only once"}, headers=headers)
    assert await here.post(path, {"text": "only once"}, headers=headers) == first
    assert await refused(here, "POST", path, {"text": "other"}, headers=headers) == (409, "key_reused")
    await here.text(far("work"), "end")
    await here.wait(far("work"), text="end")
    await eventually(lambda: twice(there))


async def twice(there: Client) -> bool:
    """Echo and cat's copy, and nothing more."""
    return (await there.all_output("work")).count(b"only once") == 2


async def test_its_own_name_is_this_computer(here: Client, there: Client) -> None:
    await here.new(["cat"], "mine", computer="north")
    assert (await here.get("/sessions/north%2Fmine"))["computer"] == "north"
    await here.delete("/sessions/mine", params={"purge": "true"})


async def test_errors_come_back_as_they_are(here: Client, there: Client) -> None:
    assert await refused(here, "GET", f"/sessions/{far('nobody')}") == (404, "not_found")
    assert await refused(here, "GET", "/sessions/nowhere%2Fwork") == (404, "not_found")
    assert await refused(here, "POST", "/sessions", {"computer": "nowhere"}) == (404, "not_found")
    assert await refused(here, "GET", "/sessions/no%20computer%2Fwork") == (404, "not_found")
    body = {"computer": "south", "cwd": "/"}
    assert await refused(here, "POST", "/sessions", body) == (403, "forbidden")
    await start(here, ["true"])
    await here.wait(far("work"), exit=True)
    assert await refused(here, "POST", f"/sessions/{far('work')}/input", {"text": "x"}) == (409, "exited")
    status, code = await refused(here, "GET", f"/sessions/{far('work')}/output", params={"from": "-0"})
    assert (status, code) == (422, "invalid")


async def test_who_asked_from_afar_is_in_the_audit(here: Client, there: Client) -> None:
    await start(here, ["cat"])
    entries = (await there.get("/audit", params={"limit": "1000"}))["entries"]
    mine = [entry for entry in entries if entry["operation"] == "session.create"][-1]
    assert (mine["principal"], mine["result"]) == ("node:north", "ok")


async def test_the_computers_and_how_they_are(fleet: Fleet, here: Client) -> None:
    found = (await here.get("/computers"))["computers"]
    assert [(one["name"], one["state"], one["problem"]) for one in found] == [
        ("north", "online", None),
        ("south", "online", None),
    ]


class Cli:
    """The real command line against one of the daemons."""

    def __init__(self, fleet: Fleet, name: str) -> None:
        self.environ = {**fleet[name].environ, "PYTHONWARNINGS": "error"}

    async def __call__(self, *argv: str) -> tuple[int, str, str]:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "teleclaude", *argv, env=self.environ, stdin=pipe, stdout=pipe, stderr=pipe
        )
        out, err = await asyncio.wait_for(process.communicate(b""), 20)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()


async def test_the_command_line_reaches_other_computers(fleet: Fleet, here: Client, there: Client) -> None:
    cli = Cli(fleet, "north")
    assert (await cli("new", "south/work", "--", "cat"))[0] == 0
    assert (await cli("send", "south/work", "from the shell"))[0] == 0
    assert (await cli("wait", "south/work", "--text", "from the shell"))[0] == 0
    assert "from the shell" in (await cli("logs", "south/work"))[1]
    assert "work" in (await cli("ls", "--computer", "south"))[1]
    code, out, err = await cli("run", "--computer", "south", "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert (code, out, err) == (7, "out\n", "err\n")
    assert (await cli("py", "south/calc", "-c", "6 * 7"))[:2] == (0, "42\n")
    code, out, _ = await cli("computers")
    assert code == 0
    assert [line.split()[:2] for line in out.splitlines()[1:]] == [["north", "online"], ["south", "online"]]
    assert (await cli("kill", "south/work"))[0] == 0


async def test_attach_gives_a_live_terminal(fleet: Fleet, here: Client, there: Client) -> None:
    await start(here, "printf 'before\\n'; while read line; do printf '<%s>\\n' \"$line\"; done")
    await here.wait(far("work"), text="before")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 66, 0, 0))
    os.set_blocking(ours, False)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "teleclaude",
        "attach",
        "south/work",
        env=fleet["north"].environ,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    shown = bytearray()

    def sees(text: bytes) -> bool:
        with suppress(BlockingIOError):
            shown.extend(os.read(ours, 1 << 16))
        return text in shown

    try:
        await eventually(lambda: sees(b"before"), timeout=10)
        await eventually(lambda: resized(there), timeout=5)
        os.write(ours, b"typed\r")
        await eventually(lambda: sees(b"<typed>"), timeout=10)
        os.write(ours, b"\x1d")
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert sees(b"[detached]")
        assert (await there.get("/sessions/work"))["state"] == "running"
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(ours)
        os.close(theirs)


async def resized(there: Client) -> bool:
    return bool((await there.get("/sessions/work"))["cols"] == 66)


async def test_a_wait_that_is_given_up_ends_over_there(here: Client, there: Client) -> None:
    await start(here, ["cat"])
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await here.wait(far("work"), text="never", timeout_ms=60_000)
    assert time.monotonic() - began < 5


async def test_events_of_another_computer(here: Client, there: Client) -> None:
    async with here.http.get(here.url("/events"), params={"computer": "south"}) as response:
        assert response.status == 200
        made = await start(here, ["true"])
        seen: list[dict[str, Any]] = []
        async with asyncio.timeout(10):
            async for name, event in events_of(response):
                if event["session_id"] == made["id"]:
                    seen.append(event)
                if name == "session.exit":
                    break
    assert seen[0]["type"] == "session.created"
    before = str(seen[0]["seq"] - 1)
    async with here.http.get(here.url("/events"), params={"computer": "south", "after": before}) as response:
        async for _, event in events_of(response):
            assert event == seen[0]
            break
    assert await refused(here, "GET", "/events", params={"computer": "nowhere"}) == (404, "not_found")


async def test_a_cell_over_there_asks_and_is_answered(fleet: Fleet, here: Client, there: Client) -> None:
    pipe = asyncio.subprocess.PIPE
    words = ("py", "south/asking", "-c", "'<' + input('who? ') + '>'")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "teleclaude", *words, env=fleet["north"].environ, stdin=pipe, stdout=pipe, stderr=pipe
    )
    out, err = await asyncio.wait_for(process.communicate(b"me\n"), 20)
    assert (process.returncode, err) == (0, b"")
    assert out.decode() == "who? '<me>'\n"
