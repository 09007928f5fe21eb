"""What the daemon survives: each a real process with real signals."""

from __future__ import annotations

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from teleclaude.tasks import process_start_time
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

PRINT_NUMBERS = ["bash", "-c", "for ((n=1; n<=200000; n++)); do echo $n; (( n % 100 )) || sleep 0.02; done; exec cat"]


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    """For what the daemon and its tmux survive; the other tests have one of their own."""
    with asyncio.Runner() as runner:
        opened = daemon_process()
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


def numbers(data: bytes) -> list[int]:
    return [int(match) for match in re.findall(rb"(\d+)\r\n", data)]


async def read_on(client: Client, session: str, offset: int) -> bytes:
    """Everything from ``offset`` to the end there is now."""
    parts: list[bytes] = []
    while True:
        _, data = await client.output(session, offset)
        if not data:
            return b"".join(parts)
        parts.append(data)
        offset += len(data)


@pytest.mark.timeout(180)  # so many starts of a daemon take their time on a busy machine
async def test_x1_twenty_kills_lose_and_repeat_nothing() -> None:
    chance = random.Random(7)
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            made = await client.new(PRINT_NUMBERS, name="numbers")
        seen = bytearray()
        for _ in range(20):
            async with Client(daemon.socket) as client:
                await client.wait("numbers", regex=r"\d", timeout_ms=5000)
                seen += await read_on(client, "numbers", len(seen))
                await client.post(
                    "/sessions/numbers/wait",
                    {"until": {"regex": r"\d\n"}, "from": len(seen) + chance.randrange(2000), "timeout_ms": 3000},
                )
            await daemon.kill()
            await daemon.start()
        async with Client(daemon.socket) as client:
            assert (await client.get("/sessions/numbers"))["id"] == made["id"]
            seen += await read_on(client, "numbers", len(seen))
            await client.delete("/sessions/numbers")
            seen += await read_on(client, made["id"], len(seen))
        complete = bytes(seen).rpartition(b"\r\n")[0] + b"\r\n"
        found = numbers(complete)
        assert len(found) > 100
        assert found == list(range(1, len(found) + 1))


async def test_x2_fifty_sessions_are_adopted_with_their_ids() -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            made = await asyncio.gather(*(client.new(["cat"], name=f"s{n}") for n in range(50)))
        assert await daemon.terminate() == 0
        await daemon.start()
        async with Client(daemon.socket) as client:
            listed = (await client.get("/sessions", params={"state": "running"}))["sessions"]
            assert {s["id"] for s in listed} == {s["id"] for s in made}
            await client.text("s49", "still here")
            assert (await client.wait("s49", text="still here\nstill here"))["outcome"] == "matched"


async def test_x3_output_and_exit_while_the_daemon_is_away() -> None:
    async with daemon_process() as daemon:
        go = daemon.home / "go"
        async with Client(daemon.socket) as client:
            made = await client.new(
                ["bash", "-c", f"until [ -e {go} ]; do sleep 0.05; done; seq 1 50000; sleep 0.1; exit 5"]
            )
        pane = made["id"]
        pid = int(daemon.tmux("list-panes", "-a", "-f", "#{!=:#{session_name},_teleclaude}", "-F", "#{pane_pid}"))
        await daemon.kill()
        go.touch()
        # Asked of the kernel: tmux itself may miss the end of a process until somebody makes it look.
        await eventually(lambda: process_start_time(pid) is None, timeout=20)
        await daemon.start()
        async with Client(daemon.socket) as client:
            await client.wait(pane, exit=True)
            ended = await client.get(f"/sessions/{pane}")
            assert ended["state"] == "exited"
            assert ended["exit"]["code"] == 5
            assert numbers(await client.all_output(pane)) == list(range(1, 50001))


async def test_x10_a_stopped_tmux_is_said_and_recovers() -> None:
    async with (
        daemon_process({"TELECLAUDE_TMUX__COMMAND_TIMEOUT_MS": "500"}) as daemon,
        Client(daemon.socket) as client,
    ):
        await client.new(["bash", "-c", "stty -echo; exec cat"], name="cat")
        server = daemon.tmux_pid()
        assert server is not None
        os.kill(server, signal.SIGSTOP)
        try:
            first = await client.post("/sessions/cat/input", {"text": "first"}, expect=504)
            assert first["code"] == "indeterminate"
            began = time.monotonic()
            refused = await asyncio.gather(
                *(client.post("/sessions/cat/input", {"text": f"no {n}"}, expect=503) for n in range(10))
            )
            assert {reply["code"] for reply in refused} == {"unavailable"}
            assert time.monotonic() - began < 3
            ready = await client.get("/ready", expect=503)
            assert ready["checks"]["tmux"]["ok"] is False
            assert (await client.get("/health"))["status"] == "ok"
        finally:
            os.kill(server, signal.SIGCONT)

        async def works() -> bool:
            async with client.http.get(client.url("/ready")) as response:
                return response.status == 200

        await eventually(works, timeout=10)
        await client.text("cat", "last")
        await client.wait("cat", text="last\n")
        text = (await client.all_output("cat")).decode().replace("\r\n", "\n")
        assert text.count("first") <= 1  # what is indeterminate happened once or not at all
        assert "no " not in text


async def test_x12_a_killed_tmux_loses_sessions_but_not_their_output() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        made = await client.new(["bash", "-c", "seq 1 1000; exec cat"], name="seq")
        await client.wait("seq", text="1000\n")
        server = daemon.tmux_pid()
        assert server is not None
        os.kill(server, signal.SIGKILL)

        async def lost() -> bool:
            return bool((await client.get(f"/sessions/{made['id']}"))["state"] == "lost")

        await eventually(lost, timeout=3)
        ended = (await client.get("/sessions/seq"))["exit"]
        assert (ended["code"], ended["signal"], ended["reason"]) == (None, None, "tmux_server_gone")
        assert numbers(await client.all_output("seq")) == list(range(1, 1001))

        async def can_make() -> bool:
            async with client.http.post(client.url("/sessions"), json={"name": "new", "command": ["cat"]}) as response:
                return response.status == 201

        await eventually(can_make, timeout=10)
        await client.text("new", "alive")
        assert (await client.wait("new", text="alive"))["outcome"] == "matched"


async def test_x14_a_killed_pane_leaves_an_exit_record(daemon: DaemonProcess, client: Client) -> None:
    await client.new(["cat"], name="cat")
    pid = int(daemon.tmux("list-panes", "-a", "-f", "#{==:#{session_name},cat}", "-F", "#{pane_pid}"))
    os.kill(pid, signal.SIGKILL)
    assert (await client.wait("cat", exit=True))["outcome"] == "exited"
    ended = (await client.get("/sessions/cat"))["exit"]
    assert (ended["code"], ended["signal"], ended["reason"]) == (None, "KILL", "signal")
    assert ended["at"] is not None


async def test_x44_sigterm_in_the_middle_of_work_ends_in_order() -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            await client.new(PRINT_NUMBERS, name="numbers")

            async def stop() -> float:
                # From the beginning: what is typed meanwhile moves the place where a wait begins by itself.
                until = {"until": {"regex": r"\n5\d\d\n"}, "from": 0, "timeout_ms": 10_000}
                assert (await client.post("/sessions/numbers/wait", until))["outcome"] == "matched"
                began = time.monotonic()
                assert await daemon.terminate() == 0
                return time.monotonic() - began

            work = [client.text("numbers", f"t{n}") for n in range(200)]
            waiting = client.wait("numbers", text="never", timeout_ms=30_000)
            took, *_ = await asyncio.gather(stop(), waiting, *work, return_exceptions=True)
            assert isinstance(took, float)
            assert took < 10
        assert daemon.tmux("list-sessions", "-F", "#{session_name}").split().count("numbers") == 1
        await daemon.start()
        async with Client(daemon.socket) as client:
            assert (await client.get("/sessions/numbers"))["state"] == "running"


async def test_x39_a_client_that_never_reads_harms_nobody(
    daemon: DaemonProcess, client: Client, tmp_path: Path
) -> None:
    await client.new(["bash", "-c", "yes | head -c 60000000; exec cat"], name="flood")
    _, writer = await asyncio.open_unix_connection(str(daemon.socket))
    writer.write(b"GET /v1/sessions/flood/stream?from=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await writer.drain()
    for _ in range(20):
        began = time.monotonic()
        await client.get("/health")
        assert time.monotonic() - began < 2
    await client.new(["cat"], name="other")
    await client.text("other", "fine")
    assert (await client.wait("other", text="fine\nfine"))["outcome"] == "matched"
    writer.close()
    await client.delete("/sessions/flood")


async def test_x45_a_second_daemon_is_refused_and_names_the_first() -> None:
    async with daemon_process() as daemon:
        second = DaemonProcess(daemon.home, {"TELECLAUDE_TMUX__SOCKET_NAME": daemon.tmux_socket})
        second.log_path = daemon.home / "second.log"
        second.spawn()
        assert await second.wait() == 75
        assert str(daemon.pid) in second.log


async def test_x6_a_killed_recorder_is_named_as_a_gap_and_replaced() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        made = await client.new(["bash", "-c", "stty -echo; exec cat"], name="cat")
        await client.text("cat", "before")
        await client.wait("cat", text="before\n")
        [pid_file] = Path(daemon.state / "streams").rglob("*.pid")
        os.kill(int(pid_file.read_text().split()[0]), signal.SIGKILL)

        async def recording_again() -> bool:
            await client.text("cat", "after")
            return b"after" in await client.all_output("cat")

        await eventually(recording_again, timeout=5)
        events = []
        async with client.http.get(client.url("/events"), params={"after": "0"}) as stream:
            async for line in stream.content:
                if line.startswith(b"data:"):
                    events.append(line)
                if b"output.gap" in line and made["id"].encode() in line:
                    break
        assert any(b"recorder_died" in line for line in events)


async def test_garbage_on_the_socket_harms_nobody(daemon: DaemonProcess, client: Client) -> None:
    for garbage in (
        b"\x00\xff" * 100,
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/sessions HTTP/1.1\r\n" + b"a" * 100_000,
    ):
        _, writer = await asyncio.open_unix_connection(str(daemon.socket))
        writer.write(garbage)
        writer.close()
    assert (await client.get("/health"))["status"] == "ok"


async def test_x10_a_daemon_that_meets_a_stopped_tmux_adopts_once_it_answers() -> None:
    async with daemon_process({"TELECLAUDE_TMUX__COMMAND_TIMEOUT_MS": "500"}) as daemon:
        async with Client(daemon.socket) as client:
            made = [await client.new(["bash", "-c", "stty -echo; exec cat"], name=f"s{n}") for n in range(3)]
        await daemon.kill()
        server = daemon.tmux_pid()
        assert server is not None
        os.kill(server, signal.SIGSTOP)
        try:
            await daemon.start()
            async with Client(daemon.socket) as client:
                assert (await client.get("/sessions/s1"))["state"] == "running"
                for method, path, body in [
                    ("POST", "/input", {"text": "x"}),
                    ("POST", "/keys", {"keys": ["a"]}),
                    ("GET", "/screen", None),
                    ("POST", "/restart", None),
                    ("DELETE", "", None),
                    ("DELETE", "?purge=true", None),
                ]:
                    refused = await client.call(method, f"/sessions/s1{path}", body, expect=503)
                    assert refused["code"] == "unavailable", path
                assert (await client.wait("s1", exit=True, timeout_ms=100))["outcome"] == "timeout"
                assert (await client.get("/ready", expect=503))["checks"]["tmux"]["ok"] is False
        finally:
            os.kill(server, signal.SIGCONT)
        async with Client(daemon.socket) as client:

            async def typed() -> bool:
                async with client.http.post(client.url("/sessions/s1/input"), json={"text": "back"}) as response:
                    return response.status == 200

            await eventually(typed, timeout=15)
            assert (await client.wait("s1", text="back\n"))["outcome"] == "matched"
            listed = (await client.get("/sessions", params={"state": "running"}))["sessions"]
            assert {session["id"] for session in listed} == {session["id"] for session in made}


async def test_x6_a_recorder_killed_in_silence_is_replaced_before_the_next_word() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.new(["bash", "-c", "stty -echo; exec cat"], name="cat")
        await client.text("cat", "before")
        await client.wait("cat", text="before\n")
        folder = next(Path(daemon.state / "streams").rglob("*.pid")).parent

        def recorders() -> list[int]:
            return sorted(int(file.read_text().split()[0]) for file in folder.glob("*.pid"))

        first = recorders()
        os.kill(first[-1], signal.SIGKILL)
        await eventually(lambda: recorders()[-1] != first[-1] or len(recorders()) > 1, timeout=3)
        await client.text("cat", "after")
        assert (await client.wait("cat", text="after\n"))["outcome"] == "matched"


async def test_what_the_daemon_keeps_is_private_and_its_children_have_the_users_umask() -> None:
    before = os.umask(0)
    try:
        async with daemon_process() as daemon, Client(daemon.socket) as client:
            await client.new(["cat"], name="cat")
            await client.text("cat", "a line\nand another\n" * 200)
            await client.wait("cat", text="another")
            done = await client.post("/executions", {"script": "umask", "wait_ms": 5000})
            async with client.http.get(client.url(f"/executions/{done['id']}/output")) as response:
                assert (await response.read()).strip() == b"0000"
            await client.delete("/sessions/cat")
            kept = [daemon.state, daemon.runtime, *daemon.state.rglob("*"), *daemon.runtime.rglob("*")]
            assert len(kept) > 8
            assert [path for path in kept if path.lstat().st_mode & 0o077 and not path.is_symlink()] == []
    finally:
        os.umask(before)


async def test_a_restart_that_cannot_succeed_leaves_the_program_running(daemon: DaemonProcess, client: Client) -> None:
    folder = daemon.home / "work"
    folder.mkdir()
    await client.new(["cat"], name="cat", cwd=str(folder))
    folder.rmdir()
    refused = await client.post("/sessions/cat/restart", expect=422)
    assert "work" in refused["detail"]
    await client.text("cat", "still here")
    assert (await client.wait("cat", text="still here\nstill here"))["outcome"] == "matched"


async def test_restarts_refused_while_tmux_is_away_cost_the_next_start_nothing() -> None:
    async with daemon_process({"TELECLAUDE_TMUX__COMMAND_TIMEOUT_MS": "500"}) as daemon:
        async with Client(daemon.socket) as client:
            for number in range(5):
                await client.new(["cat"], name=f"s{number}")
                await client.delete(f"/sessions/s{number}")
            server = daemon.tmux_pid()
            assert server is not None
            os.kill(server, signal.SIGSTOP)
            try:
                for number in range(5):
                    async with client.http.post(client.url(f"/sessions/s{number}/restart")) as response:
                        assert response.status in (503, 504)
            finally:
                os.kill(server, signal.SIGCONT)
        await daemon.kill()
        began = time.monotonic()
        await daemon.start()
        assert time.monotonic() - began < 8
        async with Client(daemon.socket) as client:

            async def settled() -> bool:
                listed = (await client.get("/sessions"))["sessions"]
                return all(session["state"] != "starting" for session in listed)

            await eventually(settled, timeout=20)


async def test_a_missing_tmux_is_one_line_and_a_status() -> None:
    async with daemon_process({"TELECLAUDE_TMUX__BINARY": "/nonexistent/tmux"}, start=False) as daemon:
        daemon.spawn()
        assert await daemon.wait() == 69
        assert "/nonexistent/tmux" in daemon.log
        assert "Traceback" not in daemon.log


async def test_a_session_is_closed_even_while_it_starts(client: Client) -> None:
    for number in range(20):
        name = f"s{number}"
        made, closed = await asyncio.gather(
            client.new(["cat"], name=name), client.http.delete(client.url(f"/sessions/{name}"))
        )
        assert closed.status in (200, 404)
        state = (await client.get(f"/sessions/{made['id']}"))["state"]
        assert state == ("exited" if closed.status == 200 else "running")
