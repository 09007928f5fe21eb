"""Sessions of a tmux server that is the user's own: followed, never ended by the daemon."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teleclaude.tasks import process_start_time
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.users_tmux import UsersTmux, users_tmux
from tests.support.wait import eventually


@pytest.fixture
async def tmux() -> AsyncIterator[UsersTmux]:
    async with users_tmux() as opened:
        opened.new("My Work", "bash", "--norc", "--noediting")
        opened.new("other", "cat")
        yield opened


@pytest.fixture
async def own(tmux: UsersTmux) -> AsyncIterator[DaemonProcess]:
    """A daemon of the test's own, which it may kill."""
    async with daemon_process() as opened:
        yield opened


async def adopt(client: Client, tmux: UsersTmux, target: str = "My Work", **fields: Any) -> Any:
    body = {"target": target, "socket": str(tmux.socket), **fields}
    return await client.post("/sessions/adopt", body, expect=201)


def recorder_pid(daemon: DaemonProcess, session_id: str) -> int:
    [pid_file] = (daemon.state / "streams" / session_id).rglob("*.pid")
    return int(pid_file.read_text().split()[0])


async def state(client: Client, session: str, wanted: str) -> Any:
    async def reached() -> Any:
        found = await client.get(f"/sessions/{session}")
        return found if found["state"] == wanted else None

    return await eventually(reached, timeout=8)


async def test_it_is_driven_like_any_other(client: Client, tmux: UsersTmux) -> None:
    made = await adopt(client, tmux)
    assert (made["name"], made["state"], made["cols"], made["rows"]) == ("my-work", "running", 80, 20)
    assert made["attach"]["argv"][1:3] == ["-S", str(tmux.socket)]
    await client.text("my-work", "echo $((6 * 7))")
    assert (await client.wait("my-work", text="\n42\n"))["outcome"] == "matched"
    await client.post("/sessions/my-work/keys", {"keys": ["e", "c", "h", "o", "Space", "k", "Enter"]})
    assert (await client.wait("my-work", text="\nk\n"))["outcome"] == "matched"
    assert any("42" in line for line in (await client.get("/sessions/my-work/screen"))["lines"])
    assert tmux.sessions() == {"My Work", "other"}


async def test_closing_lets_go_and_leaves_no_trace(client: Client, tmux: UsersTmux) -> None:
    made = await adopt(client, tmux, name="mine")
    await client.text("mine", "sleep 1000 & echo started")
    await client.wait("mine", text="started")
    pid = tmux.pane("My Work", "#{pane_pid}")
    ended = await client.delete("/sessions/mine")
    assert (ended["state"], ended["exit"]["reason"], ended["exit"]["code"]) == ("exited", "detached", None)
    assert tmux.pane("My Work", "#{pane_pid} #{pane_pipe} #{pane_dead} [#{@teleclaude_id}]") == f"{pid} 0 0 []"
    assert tmux("show-options", "-p", "-t", "My Work") == ""
    await client.post("/sessions/mine/input", {"text": "x"}, expect=409)
    again = await adopt(client, tmux, name="mine")
    assert again["id"] != made["id"]
    await client.delete("/sessions/mine", params={"purge": "true"})
    assert tmux.pane("My Work", "#{pane_pid}") == pid


async def test_of_several_who_adopt_one_pane_at_once_one_gets_it(
    client: Client, tmux: UsersTmux, daemon: DaemonProcess
) -> None:
    async def ask(name: str) -> int:
        body = {"target": "other", "socket": str(tmux.socket), "name": name}
        async with client.http.post(client.url("/sessions/adopt"), json=body) as response:
            return response.status

    before = daemon.log.count("recorder_replaced")
    assert sorted(await asyncio.gather(*(ask(f"s{n}") for n in range(6)))) == [201, 409, 409, 409, 409, 409]
    [session] = (await client.get("/sessions"))["sessions"]
    await client.text(session["id"], "hello")
    assert (await client.wait(session["id"], text="hello\nhello"))["outcome"] == "matched"
    assert daemon.log.count("recorder_replaced") == before


async def test_names_and_sizes_stay_the_users(client: Client, tmux: UsersTmux) -> None:
    await adopt(client, tmux, name="mine")
    await client.call("PATCH", "/sessions/mine", {"name": "renamed"})
    assert tmux.sessions() == {"My Work", "other"}
    refused = await client.post("/sessions/renamed/resize", {"cols": 100, "rows": 30}, expect=422)
    assert "adopted" in refused["detail"]
    assert tmux.pane("My Work", "#{pane_width}x#{pane_height}") == "80x20"


async def test_its_end_is_noticed_and_the_rest_of_its_session_stays(client: Client, tmux: UsersTmux) -> None:
    tmux("split-window", "-d", "-t", "My Work", "cat")
    await adopt(client, tmux, name="mine")
    await client.text("mine", "exit 7")
    ended = await state(client, "mine", "exited")
    assert (ended["exit"]["code"], ended["exit"]["reason"]) == (7, "exited")
    await eventually(lambda: tmux("list-panes", "-t", "My Work", "-F", "#{pane_current_command}") == "cat")


async def test_a_dead_pane_stays_where_the_user_wants_it(
    client: Client, tmux: UsersTmux, daemon: DaemonProcess
) -> None:
    tmux("set-option", "-g", "remain-on-exit", "on")
    made = await adopt(client, tmux, name="mine")
    recorder = recorder_pid(daemon, made["id"])
    await client.text("mine", "exit 3")
    assert (await state(client, "mine", "exited"))["exit"]["code"] == 3
    assert tmux.pane("My Work", "#{pane_dead} [#{@teleclaude_id}]") == "1 []"
    await eventually(lambda: process_start_time(recorder) is None)


async def test_what_cannot_be_adopted_is_said(client: Client, tmux: UsersTmux, tmp_path: Path) -> None:
    for body, status, said in (
        ({"target": "nobody", "socket": str(tmux.socket)}, 404, "My Work, other"),
        ({"target": "x", "socket": str(tmp_path / "none")}, 503, "no tmux server"),
        ({"target": "x", "socket": "../x"}, 422, "socket"),
        ({"target": "other", "socket": str(tmux.socket), "name": "Bad Name"}, 422, "name"),
        ({"target": ""}, 422, "target"),
    ):
        assert said in (await client.post("/sessions/adopt", body, expect=status))["detail"]
    await adopt(client, tmux, name="mine")
    taken = await client.post("/sessions/adopt", {"target": "My Work", "socket": str(tmux.socket)}, expect=409)
    assert "mine" in taken["detail"]
    tmux("pipe-pane", "-t", "other", "cat >/dev/null")
    await client.post("/sessions/adopt", {"target": "other", "socket": str(tmux.socket)}, expect=409)
    assert tmux.pane("other", "#{pane_pipe}") == "1"
    names = {session["name"] for session in (await client.get("/sessions"))["sessions"]}
    assert names == {"mine"}
    await client.post("/sessions/mine/restart", expect=422)


async def test_it_survives_a_killed_daemon_with_all_it_printed(own: DaemonProcess, tmux: UsersTmux) -> None:
    async with Client(own.socket) as client:
        made = await adopt(client, tmux, name="mine")
    await own.kill()
    tmux("send-keys", "-t", "My Work", "seq 1000 1020", "Enter")
    await eventually(lambda: "1020" in tmux("capture-pane", "-p", "-t", "My Work"))
    await own.start()
    async with Client(own.socket) as client:
        assert (await client.get("/sessions/mine"))["id"] == made["id"]
        assert (await client.get("/sessions/mine"))["state"] == "running"
        assert b"\r\n".join(b"%d" % n for n in range(1000, 1021)) in await client.all_output("mine")
        await client.text("mine", "exit 5")
        assert (await state(client, "mine", "exited"))["exit"]["code"] == 5
    assert tmux.sessions() == {"other"}


async def test_an_end_while_the_daemon_is_away_is_found(own: DaemonProcess, tmux: UsersTmux) -> None:
    async with Client(own.socket) as client:
        await adopt(client, tmux, name="mine")
        await adopt(client, tmux, "other")
    assert await own.terminate() == 0
    tmux.new("third", "cat")
    pid = int(tmux.pane("My Work", "#{pane_pid}"))
    tmux("send-keys", "-t", "My Work", "exit 9", "Enter")
    # Asked of the kernel: tmux itself may miss the end of a process until somebody makes it look.
    await eventually(lambda: process_start_time(pid) is None, timeout=20)
    tmux("kill-session", "-t", "other")
    await own.start()
    async with Client(own.socket) as client:
        assert (await client.get("/sessions/mine"))["exit"]["code"] == 9
        lost = await client.get("/sessions/other")
        assert (lost["state"], lost["exit"]["reason"]) == ("lost", "tmux_session_gone")


async def test_the_end_of_the_users_server_is_told(own: DaemonProcess, tmux: UsersTmux) -> None:
    async with Client(own.socket) as client:
        await client.new(["cat"], name="ours")
        await adopt(client, tmux, name="mine")
        os.kill(tmux.pid, signal.SIGKILL)
        lost = await state(client, "mine", "lost")
        assert lost["exit"]["reason"] == "tmux_server_gone"
        assert (await client.get("/sessions/ours"))["state"] == "running"
        await client.post("/sessions/adopt", {"target": "other", "socket": str(tmux.socket)}, expect=503)
        await own.kill()
    await own.start()
    async with Client(own.socket) as client:
        assert (await client.get("/sessions/mine"))["state"] == "lost"
        assert (await client.get("/sessions/ours"))["state"] == "running"


async def test_a_server_that_ended_with_the_daemon_away_is_told(own: DaemonProcess, tmux: UsersTmux) -> None:
    async with Client(own.socket) as client:
        await adopt(client, tmux, name="mine")
    await own.kill()
    os.kill(tmux.pid, signal.SIGKILL)
    await own.start()
    async with Client(own.socket) as client:
        assert (await state(client, "mine", "lost"))["exit"]["reason"] == "tmux_server_gone"


async def test_a_stopped_server_holds_up_neither_start_nor_others(own: DaemonProcess, tmux: UsersTmux) -> None:
    async with Client(own.socket) as client:
        await client.new(["cat"], name="ours")
        await adopt(client, tmux, name="mine")
    await own.kill()
    os.kill(tmux.pid, signal.SIGSTOP)
    try:
        await own.start()
        async with Client(own.socket) as client:
            assert (await client.get("/sessions/mine"))["state"] == "running"
            assert (await client.post("/sessions/mine/input", {"text": "x"}, expect=503))["code"] == "unavailable"
            await client.text("ours", "hello")
            assert (await client.wait("ours", text="hello\nhello"))["outcome"] == "matched"
    finally:
        os.kill(tmux.pid, signal.SIGCONT)


async def test_a_killed_recorder_is_replaced(client: Client, tmux: UsersTmux, daemon: DaemonProcess) -> None:
    made = await adopt(client, tmux, "other")
    os.kill(recorder_pid(daemon, made["id"]), signal.SIGKILL)

    async def recording_again() -> bool:
        await client.text("other", "after")
        return b"after" in await client.all_output("other")

    await eventually(recording_again, timeout=5)
