"""Python sessions through a real daemon's HTTP surface."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psutil
import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.faults import fill, small_disk
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """Its interpreter takes its time where the session's environment asks for that."""
    interpreter = tmp_path_factory.mktemp("bin") / "python"
    interpreter.write_text(f'#!/bin/sh\nsleep "${{SLOW_START:-0}}"\nexec {sys.executable} "$@"\n')
    interpreter.chmod(0o755)
    with asyncio.Runner() as runner:
        opened = daemon_process({"TELECLAUDE_PYTHON__MAX": "3", "TELECLAUDE_PYTHON__INTERPRETER": str(interpreter)})
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.socket) as opened:
        yield opened
        for session in (await opened.get("/sessions"))["sessions"]:
            await opened.delete(f"/sessions/{session['id']}", params={"purge": "true"})


@pytest.fixture
async def session(client: Client) -> Any:
    return await client.new(kind="python", name="py")


async def run(client: Client, session: Any, code: str, **fields: Any) -> Any:
    """A cell, once it has ended."""
    body = {"code": code, "wait_ms": 20_000, **fields}
    return await client.post(f"/sessions/{session['id']}/executions", body, expect=201)


async def output(client: Client, execution: Any, stream: str = "stdout") -> str:
    url = client.url(f"/executions/{execution['id']}/output")
    async with client.http.get(url, params={"stream": stream}) as response:
        return (await response.read()).decode()


async def ended(client: Client, execution: Any) -> Any:
    return await client.get(f"/executions/{execution['id']}", params={"wait_ms": "20000"})


async def test_a_session_and_its_cells(client: Client, session: Any) -> None:
    assert (session["kind"], session["state"], session["epoch"], session["command"]) == ("python", "running", 1, None)
    first = await run(client, session, "x = 40\nprint('hello')")
    assert (first["status"], first["result"], first["session_id"]) == ("completed", None, session["id"])
    assert await output(client, first) == "hello\n"
    second = await run(client, session, "x + 2")
    assert second["result"] == {
        "repr": "42",
        "value": 42,
        "execution_count": 2,
        "display": None,
        "truncated": False,
    }
    assert second["command"] == "x + 2"
    listed = await client.get("/executions", params={"session": session["id"]})
    assert [item["id"] for item in listed["executions"]] == [second["id"], first["id"]]


async def test_an_error_says_where(client: Client, session: Any) -> None:
    failed = await run(client, session, "def f():\n    return 1 / 0\nf()")
    assert (failed["status"], failed["reason"], failed["exit_code"]) == ("failed", "exception", None)
    assert failed["error"]["type"] == "ZeroDivisionError"
    assert any("return 1 / 0" in line for line in failed["error"]["traceback"])
    wrong = await run(client, session, "x = = 1")
    assert (wrong["error"]["type"], wrong["error"]["line"], wrong["error"]["offset"]) == ("SyntaxError", 1, 5)


async def test_busy_queued_and_cancelled(client: Client, session: Any) -> None:
    path = f"/sessions/{session['id']}/executions"
    slow = await client.post(path, {"code": "import time; time.sleep(60)"}, expect=201)
    await eventually(lambda: _has_status(client, slow, "running"))
    refused = await client.post(path, {"code": "1"}, expect=409)
    assert refused["code"] == "busy"
    assert (await client.get(f"/sessions/{session['id']}"))["activity"] == "working"
    queued = await client.post(path, {"code": "1", "queue": True}, expect=201)
    assert queued["status"] == "queued"
    await client.post(f"/executions/{slow['id']}/interrupt")
    interrupted = await ended(client, slow)
    assert (interrupted["status"], interrupted["reason"]) == ("failed", "exception")
    assert interrupted["error"]["type"] == "KeyboardInterrupt"
    assert (await ended(client, queued))["result"]["value"] == 1
    assert (await client.get(f"/sessions/{session['id']}"))["activity"] == "idle"


async def test_d16_a_cancel_that_costs_the_namespace_says_so(client: Client, session: Any) -> None:
    code = "import time\nwhile True:\n  try:\n    time.sleep(60)\n  except BaseException: pass"
    cell = await client.post(f"/sessions/{session['id']}/executions", {"code": code}, expect=201)
    await eventually(lambda: _has_status(client, cell, "running"))
    await client.post(f"/executions/{cell['id']}/cancel")
    cancelled = await ended(client, cell)
    assert (cancelled["status"], cancelled["namespace_lost"], cancelled["signal"]) == ("cancelled", True, "KILL")
    assert (await run(client, session, "1 + 1"))["result"]["value"] == 2
    assert (await client.get(f"/sessions/{session['id']}"))["epoch"] == 2


async def test_d24_a_dead_worker_ends_the_session_until_it_is_restarted(client: Client, session: Any) -> None:
    died = await run(client, session, "import os; os._exit(3)")
    assert (died["status"], died["reason"], died["exit_code"]) == ("failed", "worker_died", 3)
    assert died["namespace_lost"] is True
    await eventually(lambda: _has_state(client, session, "exited"))
    seen = await client.get(f"/sessions/{session['id']}")
    assert (seen["exit"]["code"], seen["exit"]["reason"]) == (3, "exited")
    refused = await client.post(f"/sessions/{session['id']}/executions", {"code": "1"}, expect=409)
    assert refused["code"] == "exited"
    again = await client.post(f"/sessions/{session['id']}/restart")
    assert (again["state"], again["epoch"], again["name"]) == ("running", 2, "py")
    assert (await run(client, session, "1 + 1"))["result"]["value"] == 2


async def test_a_cell_sent_while_the_worker_starts_waits_for_it(client: Client) -> None:
    async def meanwhile(task: asyncio.Task[Any]) -> None:
        await eventually(lambda: _has_state(client, {"id": "slow"}, "starting"))
        cell = await run(client, {"id": "slow"}, "6 * 7")
        assert (cell["status"], cell["result"]["value"]) == ("completed", 42)
        assert (await task)["state"] == "running"

    async with asyncio.TaskGroup() as group:
        await meanwhile(group.create_task(client.new(kind="python", name="slow", env={"SLOW_START": "0.3"})))
        await client.delete("/sessions/slow")
        await meanwhile(group.create_task(client.post("/sessions/slow/restart")))
        first = group.create_task(client.post("/sessions/slow/restart"))
        await eventually(lambda: _has_activity(client, {"id": "slow"}, "working"))
        assert (await run(client, {"id": "slow"}, "1"))["result"]["value"] == 1
        await first


async def test_what_waits_for_a_start_that_fails_is_told(client: Client) -> None:
    async with asyncio.TaskGroup() as group:
        environ = {"SLOW_START": "0.3", "PYTHONHOME": "/nowhere"}
        made = group.create_task(client.post("/sessions", {"kind": "python", "name": "no", "env": environ}, expect=503))
        await eventually(lambda: _has_state(client, {"id": "no"}, "starting"))
        cell = await client.post("/sessions/no/executions", {"code": "1"}, expect=409)
        assert cell["code"] == "exited"
        assert (await made)["code"] == "unavailable"


async def test_a_restart_of_a_live_session(client: Client, session: Any) -> None:
    await run(client, session, "x = 1")
    assert (await client.post(f"/sessions/{session['id']}/restart"))["epoch"] == 2
    assert (await run(client, session, "x"))["error"]["type"] == "NameError"


async def test_questions_and_answers(client: Client, session: Any) -> None:
    code = "input('name? ') + '!'"
    cell = await client.post(f"/sessions/{session['id']}/executions", {"code": code, "allow_stdin": True}, expect=201)
    await eventually(lambda: _has_activity(client, session, "needs_input"))
    await client.post(f"/executions/{cell['id']}/input", {"text": "Ada\n"})
    assert (await ended(client, cell))["result"]["value"] == "Ada!"
    refused = await run(client, session, "input()")
    assert refused["error"]["type"] == "EOFError"
    events = await _events(client, refused)
    asked = [event["data"] for event in events if event["execution_id"] == cell["id"] and "prompt" in event["data"]]
    assert asked == [{"prompt": "name? "}]


async def test_variables_over_http(client: Client, session: Any) -> None:
    path = f"/sessions/{session['id']}/variables"
    await run(client, session, "x = 1\ndef f(): pass")
    assert await client.get(path) == {
        "variables": [
            {"name": "x", "type": "int", "repr": "1"},
            {"name": "f", "type": "function", "repr": (await client.get(path))["variables"][1]["repr"]},
        ],
        "total": 2,
    }
    merged = await client.call("PATCH", path, {"values": {"x": [1, None], "f": 5, "Out": 6}, "strategy": "smart"})
    assert merged == {"updated": ["x"], "skipped": ["f", "Out"]}
    assert (await run(client, session, "x"))["result"]["value"] == [1, None]
    wrong = await client.call("PATCH", path, {"values": {}, "strategy": "clever"}, expect=422)
    assert wrong["code"] == "invalid"
    assert await client.delete(path) == {"cleared": 2}
    assert (await run(client, session, "x"))["error"]["type"] == "NameError"


async def test_snapshots_over_http(client: Client, session: Any) -> None:
    path = f"/sessions/{session['id']}/snapshots"
    await run(client, session, "x = [1]\ndef f(): pass")
    taken = await client.post(path, {"name": "one"}, expect=201)
    assert (taken["carried"], [entry["name"] for entry in taken["dropped"]]) == (["x"], ["f"])
    assert (await client.post(path, {"name": "one"}, expect=409))["code"] == "conflict"
    await client.post(f"/sessions/{session['id']}/restart")
    restored = await client.post(f"{path}/one/restore")
    assert (restored["restored"], restored["missing"]) == (["x"], ["f"])
    assert (await run(client, session, "x"))["result"]["value"] == [1]
    assert [entry["name"] for entry in (await client.get(path))["snapshots"]] == ["one"]
    await client.post(f"{path}/two/restore", expect=404)


async def test_the_session_has_a_transcript(client: Client, session: Any) -> None:
    await run(client, session, "print('one')\n2")
    await run(client, session, "1 / 0")
    await run(client, session, "import threading, time\nthreading.Timer(0.05, print, ['late']).start()")
    await eventually(lambda: _transcript_has(client, session, "late"))
    text = (await client.all_output(session["id"])).decode()
    assert text.startswith("one\n2\nTraceback")
    assert "ZeroDivisionError: division by zero\n" in text
    waited = await client.wait(session["id"], text="late")
    assert waited["outcome"] == "matched"


async def test_what_a_cell_showed_is_in_the_transcript_once_it_has_ended(client: Client, session: Any) -> None:
    for number in range(10):
        await run(client, session, f"print('printed {number}')\n'value {number}'")
        text = (await client.all_output(session["id"])).decode()
        assert text.endswith(f"printed {number}\n'value {number}'\n")


async def test_a_terminals_commands_are_refused_plainly(client: Client, session: Any) -> None:
    for path, body in (("input", {"text": "1"}), ("keys", {"keys": ["Up"]}), ("resize", {"cols": 80, "rows": 24})):
        refused = await client.post(f"/sessions/{session['id']}/{path}", body, expect=422)
        assert "executions" in refused["detail"]
    terminal = await client.new(["sleep", "600"], name="term")
    cell = await client.post(f"/sessions/{terminal['id']}/executions", {"code": "1"}, expect=422)
    listing = await client.get(f"/sessions/{terminal['id']}/variables", expect=422)
    assert "terminal" in cell["detail"]
    assert "terminal" in listing["detail"]
    await client.post("/sessions", {"kind": "python", "command": ["ls"]}, expect=422)


async def test_limits(client: Client, session: Any) -> None:
    for _ in range(2):
        await client.new(kind="python")
    assert (await client.post("/sessions", {"kind": "python"}, expect=429))["code"] == "limit"
    await client.post(f"/sessions/{session['id']}/executions", {"code": "1", "timeout_ms": 10**9}, expect=422)
    await client.post(f"/sessions/{session['id']}/executions", {"code": 1}, expect=422)
    await client.post(f"/sessions/{session['id']}/executions", {"code": "1", "more": 1}, expect=422)
    timed = await run(client, session, "import time; time.sleep(60)", timeout_ms=100)
    assert timed["status"] == "timed_out"


async def test_closing_ends_everything(client: Client, daemon: DaemonProcess, session: Any) -> None:
    cell = await client.post(
        f"/sessions/{session['id']}/executions",
        {"code": "import subprocess; subprocess.run(['sleep', '600'])"},
        expect=201,
    )
    await eventually(lambda: any(child.name() == "sleep" for child in _children(daemon)))
    closed = await client.delete(f"/sessions/{session['id']}")
    assert (closed["state"], closed["exit"]["reason"]) == ("exited", "closed")
    assert (await ended(client, cell))["status"] == "cancelled"
    assert not any(child.name() == "sleep" for child in _children(daemon))
    await client.delete(f"/sessions/{session['id']}", params={"purge": "true"})
    await client.get(f"/sessions/{session['id']}", expect=404)


async def test_a_purge_drops_the_cells_and_their_files(client: Client, daemon: DaemonProcess, session: Any) -> None:
    cells = [await run(client, session, "print('out'); import sys; print('err', file=sys.stderr)") for _ in range(2)]
    await client.post(f"/sessions/{session['id']}/snapshots")
    other = await run(client, await client.new(kind="python"), "print('stays')")
    await client.delete(f"/sessions/{session['id']}")
    assert await output(client, cells[0]) == "out\n"
    await client.delete(f"/sessions/{session['id']}", params={"purge": "true"})
    for cell in cells:
        await client.get(f"/executions/{cell['id']}", expect=404)
    kept = {entry.name for entry in (daemon.state / "streams").iterdir()}
    assert kept.isdisjoint({session["id"], *(cell["id"] for cell in cells)})
    assert await output(client, other) == "stays\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="a small disk is mounted")
async def test_an_end_that_the_store_refuses_is_stored_later() -> None:
    async with daemon_process(start=False) as daemon:
        with small_disk(daemon.state, "24m") as disk:
            await daemon.start()
            async with Client(daemon.socket) as client:
                session = await client.new(kind="python", name="py")
                fill(disk / "fill")
                assert (await client.delete("/sessions/py", expect=507))["code"] == "no_space"
                refused = await client.post("/sessions/py/executions", {"code": "1"}, expect=409)
                assert refused["code"] == "exited"
                (disk / "fill").unlink()
                await eventually(lambda: _has_state(client, session, "exited"), timeout=15)
                assert (await client.delete("/sessions/py"))["exit"]["reason"] == "closed"
                assert (await client.post("/sessions/py/restart"))["state"] == "running"
            await daemon.terminate()


async def test_the_same_over_json_rpc(client: Client, session: Any) -> None:
    async with client.http.ws_connect(client.url("/rpc")) as socket:

        async def call(method: str, **params: Any) -> Any:
            await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
            return (await socket.receive_json(timeout=20))["result"]

        cell = await call("session.execute", id=session["id"], code="x = 20\nx + 1", wait_ms=20_000)
        assert cell["result"]["value"] == 21
        assert await call("session.set_variables", id="py", values={"x": 1}) == {"updated": ["x"], "skipped": []}
        assert (await call("session.variables", id="py"))["variables"] == [{"name": "x", "type": "int", "repr": "1"}]
        assert (await call("session.restart", id="py"))["epoch"] == 2


async def test_the_signal_of_a_session(client: Client, session: Any) -> None:
    await client.post(f"/sessions/{session['id']}/signal", {"signal": "KILL"})
    await eventually(lambda: _has_state(client, session, "exited"))
    assert (await client.get(f"/sessions/{session['id']}"))["exit"]["signal"] == "KILL"


@pytest.mark.parametrize("ending", ["terminate", "kill"])
async def test_python_sessions_end_with_the_daemon(ending: str) -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            session = await client.new(kind="python", name="py")
            cell = await client.post(
                f"/sessions/{session['id']}/executions", {"code": "import time; time.sleep(600)"}, expect=201
            )
            await eventually(lambda: _has_status(client, cell, "running"))
        workers = _children(daemon)
        await (daemon.terminate() if ending == "terminate" else daemon.kill())
        await eventually(lambda: not any(worker.is_running() and worker.status() != "zombie" for worker in workers), 2)
        await daemon.start()
        async with Client(daemon.socket) as client:
            seen = await client.get(f"/sessions/{session['id']}")
            state, reason = ("exited", "daemon_stopped") if ending == "terminate" else ("lost", "daemon_ended")
            assert (seen["state"], seen["exit"]["reason"]) == (state, reason)
            status = "cancelled" if ending == "terminate" else "lost"
            assert (await client.get(f"/executions/{cell['id']}"))["status"] == status
            assert (await client.post(f"/sessions/{session['id']}/restart"))["epoch"] == 2
            assert (await run(client, session, "1 + 1"))["result"]["value"] == 2


def _children(daemon: DaemonProcess) -> list[psutil.Process]:
    return [
        child
        for child in psutil.Process(daemon.pid).children(recursive=True)
        if not child.name().startswith("tmux") and child.status() != "zombie"
    ]


async def _has_status(client: Client, execution: Any, status: str) -> bool:
    return bool((await client.get(f"/executions/{execution['id']}"))["status"] == status)


async def _has_state(client: Client, session: Any, state: str) -> bool:
    found = {
        item["state"]
        for item in (await client.get("/sessions"))["sessions"]
        if session["id"] in (item["id"], item["name"])
    }
    return state in found


async def _has_activity(client: Client, session: Any, activity: str) -> bool:
    return bool((await client.get(f"/sessions/{session['id']}"))["activity"] == activity)


async def _transcript_has(client: Client, session: Any, text: str) -> bool:
    return text in (await client.all_output(session["id"])).decode()


async def _events(client: Client, last: Any) -> list[Any]:
    """All events up to the end of the execution ``last``."""
    events: list[Any] = []
    async with client.http.get(client.url("/events"), params={"after": "0"}) as response:
        async with asyncio.timeout(10):
            async for line in response.content:
                if line.startswith(b"data:"):
                    events.append(json.loads(line[5:]))
                    if events[-1]["type"] == "execution.exit" and events[-1]["execution_id"] == last["id"]:
                        break
    return events
