"""Process control over HTTP, against a real daemon and real processes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.executions import (
    control,
    end,
    events_of,
    marked,
    output,
    printed,
    run,
    shell,
    start,
    states,
)
from tests.support.wait import eventually

FAMILY = "sleep 600 & setsid sleep 600 & echo ready; wait"
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
GRACE = {"TELECLAUDE_EXECUTIONS__GRACE_MS": "600"}


@pytest.fixture(scope="module")
def settings() -> Mapping[str, str]:
    return GRACE


async def test_b01_a_lost_connection_ends_the_command_and_its_descendants(
    client: Client, daemon: DaemonProcess
) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as other:
        body = {"script": FAMILY, "lifetime": "connection"}
        async with other.post(client.url("/executions"), json=body) as response:
            execution = await response.json()
        await printed(client, execution, b"ready")
        assert len(marked(execution)) >= 3
    began = time.monotonic()
    ended = await end(client, execution)
    assert time.monotonic() - began < 2
    assert ended["status"] == "cancelled"
    assert marked(execution) == []


async def test_b01_a_detached_command_outlives_its_connection(client: Client, daemon: DaemonProcess) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as other,
        other.post(client.url("/executions"), json={"argv": ["sleep", "600"]}) as response,
    ):
        execution = await response.json()
    await asyncio.sleep(0.3)
    assert (await client.get(f"/executions/{execution['id']}"))["status"] == "running"


async def test_b02_group_session_and_process_are_one_number(client: Client) -> None:
    ended = await shell(client, "echo $$ $(ps -o pgid=,sid= -p $$)")
    pid, group, session = map(int, (await output(client, ended)).split())
    assert pid == group == session
    assert pid > 1


async def test_b03_a_child_left_by_its_leader_dies_with_the_cancel(client: Client) -> None:
    execution = await client.post("/executions", {"script": "(trap '' HUP; sleep 600) & echo $! ; exit 0"})
    ended = await end(client, execution)
    assert ended["status"] in ("completed", "cancelled")
    child = int(await output(client, execution))
    await eventually(lambda: not Path(f"/proc/{child}").exists())
    assert marked(execution) == []


async def test_b04_pauses_and_resumes_back_to_back_each_get_an_answer(client: Client) -> None:
    execution = await start(client, "sleep", "600")
    for _ in range(10):
        assert (await control(client, execution, "pause"))["status"] == "paused"
        assert (await control(client, execution, "resume"))["status"] == "running"
    await control(client, execution, "signal", {"signal": "KILL"})
    await end(client, execution)
    for verb in ("pause", "resume") * 10:
        assert (await control(client, execution, verb, expect=409))["code"] == "exited"
    assert (await client.get("/health"))["status"] == "ok"


async def test_b05_a_pause_stops_everybody_and_loses_nothing(client: Client) -> None:
    execution = await client.post(
        "/executions", {"script": "for i in $(seq 40); do seq 20000; sleep 0.02; done & wait"}
    )
    await printed(client, execution, b"20000")
    paused = await control(client, execution, "pause")
    assert paused["status"] == "paused"
    assert states(execution) <= {"T"}
    before = (await client.get(f"/executions/{execution['id']}"))["streams"]["stdout"]["total"]
    await asyncio.sleep(0.3)
    assert (await client.get(f"/executions/{execution['id']}"))["streams"]["stdout"]["total"] == before
    await control(client, execution, "resume")
    ended = await end(client, execution)
    assert ended["status"] == "completed"
    expected = "".join(f"{number}\n" for number in range(1, 20_001)).encode() * 40
    got = await output(client, execution)
    assert hashlib.sha256(got).digest() == hashlib.sha256(expected).digest()


async def test_b06_a_paused_one_can_be_cancelled(client: Client) -> None:
    execution = await start(client, "sleep", "600")
    await control(client, execution, "pause")
    began = time.monotonic()
    assert (await control(client, execution, "cancel"))["status"] == "stopping"
    ended = await end(client, execution)
    assert ended["status"] == "cancelled"
    assert time.monotonic() - began < 3


async def test_b07_who_ignores_the_polite_signal_is_killed_after_the_grace(client: Client) -> None:
    execution = await client.post("/executions", {"script": STUBBORN})
    await printed(client, execution, b"ready")
    began = time.monotonic()
    await control(client, execution, "cancel")
    ended = await end(client, execution)
    assert (ended["status"], ended["signal"], ended["exit_code"]) == ("cancelled", "KILL", None)
    assert 0.5 < time.monotonic() - began < 2
    assert marked(execution) == []


async def test_b08_two_cancels_and_one_end(client: Client) -> None:
    execution = await client.post("/executions", {"script": STUBBORN})
    await printed(client, execution, b"ready")
    answers = [await control(client, execution, "cancel") for _ in range(2)]
    assert [answer["status"] for answer in answers] == ["stopping", "stopping"]
    ended = await end(client, execution)
    events = await events_of(client, execution)
    assert [event["type"] for event in events].count("execution.exit") == 1
    assert events[-1]["type"] == "execution.exit"
    assert events[-1]["data"]["completed_at"] == ended["completed_at"]
    assert marked(execution) == []


async def test_b09_an_unknown_control_touches_nothing(client: Client) -> None:
    execution = await start(client, "sleep", "600")
    assert (await control(client, execution, "signal", {"signal": "INVALID"}, expect=422))["code"] == "invalid"
    await control(client, execution, "invalid", {}, expect=404)
    assert (await client.get(f"/executions/{execution['id']}"))["status"] == "running"


async def test_b15_lines_of_any_length_arrive_as_they_are(client: Client) -> None:
    sizes = (8192, 65_536, 200_000, 10_000_000)
    script = "; ".join(f"head -c {size} /dev/zero | tr '\\0' x; echo" for size in sizes)
    ended = await shell(client, script)
    expected = b"".join(b"x" * size + b"\n" for size in sizes)
    assert await output(client, ended) == expected


async def test_b16_a_client_that_leaves_mid_stream_harms_nobody(client: Client, daemon: DaemonProcess) -> None:
    execution = await start(client, "yes")
    other = await start(client, "sh", "-c", "sleep 0.5; echo still here")
    url = client.url(f"/executions/{execution['id']}/stream")
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as leaving,
        leaving.get(url, params={"from": "0"}) as response,
    ):
        await response.content.readexactly(100_000)
    ended = await end(client, other)
    assert ended["status"] == "completed"
    assert await output(client, ended) == b"still here\n"
    await control(client, execution, "cancel")
    await end(client, execution)
    assert "Traceback" not in daemon.log
    assert '"level": "error"' not in daemon.log


async def test_b17_an_error_waits_for_the_client_that_was_away(client: Client, daemon: DaemonProcess) -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(daemon.socket))) as other,
        other.post(client.url("/executions"), json={"script": "sleep 0.3; echo broken >&2; exit 9"}) as response,
    ):
        execution = await response.json()
    ended = await end(client, execution)
    assert (ended["status"], ended["reason"], ended["exit_code"]) == ("failed", "nonzero_exit", 9)
    assert await output(client, ended, "stderr") == b"broken\n"


async def test_b19_silence_ends_it_when_that_was_asked_for(client: Client) -> None:
    began = time.monotonic()
    ended = await run(client, "sleep", "3600", idle_timeout_ms=600)
    assert ended["status"] == "timed_out"
    assert 0.5 < time.monotonic() - began < 1.6
    assert marked(ended) == []
    talking = await shell(client, "for i in 1 2 3 4 5; do sleep 0.2; echo $i; done", idle_timeout_ms=600)
    assert talking["status"] == "completed"


async def test_b20_closed_streams_are_no_success_while_the_process_lives(client: Client) -> None:
    execution = await client.post("/executions", {"script": "exec >&- 2>&-; sleep 600"})
    await asyncio.sleep(0.5)
    found = await client.get(f"/executions/{execution['id']}")
    assert (found["status"], found["exit_code"]) == ("running", None)


async def test_b21_nothing_is_left_at_work_for_an_ended_one(client: Client) -> None:
    async def tasks() -> int:
        async with client.http.get("http://localhost/metrics") as response:
            text = await response.text()
        return int(float(text.partition("\nteleclaude_tasks_active ")[2].split("\n")[0]))

    before = await tasks()
    execution = await start(client, "sleep", "600")
    assert await tasks() > before
    await control(client, execution, "cancel")
    await end(client, execution)
    await eventually(lambda: _equals(tasks, before))


async def _equals(count: Callable[[], Awaitable[int]], wanted: int) -> bool:
    return await count() == wanted


@pytest.mark.timeout(90)
async def test_b23_a_stopping_daemon_ends_its_commands_in_time() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        script = f"trap '' TERM; {FAMILY}"
        executions = [await client.post("/executions", {"script": script}) for _ in range(10)]
        for execution in executions:
            await printed(client, execution, b"ready")
        followed = client.http.get(client.url(f"/executions/{executions[0]['id']}/stream"), params={"from": "0"})
        async with followed as response:
            began = time.monotonic()
            daemon.signal(signal.SIGTERM)
            text = (await response.content.read()).decode()
        assert await daemon.wait() == 0
        assert time.monotonic() - began < 10
        assert "event: exit" in text
        for execution in executions:
            assert marked(execution) == []
        await daemon.start()
        async with Client(daemon.socket) as later:
            for execution in executions:
                assert (await later.get(f"/executions/{execution['id']}"))["status"] == "cancelled"


@pytest.mark.timeout(90)
async def test_b23_a_killed_daemons_commands_are_lost_and_dead() -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            execution = await client.post("/executions", {"script": f"echo kept; {FAMILY}"})
            await printed(client, execution, b"ready")
            before = marked(execution)
            assert len(before) >= 3
            done = await run(client, "echo", "done")
        await daemon.kill()
        stranger = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
        try:
            await daemon.start()
            async with Client(daemon.socket) as client:
                lost = await client.get(f"/executions/{execution['id']}")
                assert (lost["status"], lost["exit_code"], lost["signal"]) == ("lost", None, None)
                assert marked(execution) == []
                assert await output(client, execution) == b"kept\nready\n"
                events = [event["data"]["status"] for event in await events_of(client, execution)]
                assert events[-1] == "lost"
                assert (await client.get(f"/executions/{done['id']}"))["status"] == "completed"
                assert await output(client, done) == b"done\n"
                assert stranger.returncode is None
        finally:
            stranger.kill()
            await stranger.wait()


async def test_b26_an_allow_list_is_not_talked_around() -> None:
    async with (
        daemon_process({"TELECLAUDE_EXECUTIONS__ALLOWED": '["echo"]'}) as daemon,
        Client(daemon.socket) as client,
    ):
        assert (await run(client, "echo", "x; id"))["status"] == "completed"
        for body in ({"script": "echo x; id"}, {"argv": ["/usr/bin/id"]}, {"argv": ["id"]}):
            refused = await client.post("/executions", body, expect=403)
            assert refused["code"] == "forbidden"
        wrapper = daemon.home / "echo"
        wrapper.write_text("#!/bin/sh\nid\n")
        wrapper.chmod(0o755)
        await client.post("/executions", {"argv": [str(wrapper)]}, expect=403)
        sly = {"argv": ["echo", "x"], "env": {"PATH": str(daemon.home)}, "wait_ms": 5000}
        assert await output(client, await client.post("/executions", sly)) == b"x\n"


async def test_b30_directory_and_environment_reach_the_child(client: Client, daemon: DaemonProcess) -> None:
    ended = await shell(client, 'pwd; echo "$COLOUR:$HOME"', cwd="/usr", env={"COLOUR": "blå"})
    assert (await output(client, ended)).decode() == f"/usr\nblå:{daemon.home}\n"


async def test_b31_an_execution_is_named_in_every_line_about_it(client: Client, daemon: DaemonProcess) -> None:
    async with client.http.post(client.url("/executions"), json={"argv": ["true"], "wait_ms": 5000}) as response:
        ended, request_id = await response.json(), response.headers["X-Request-Id"]

    def lines() -> list[dict[str, object]]:
        found = [json.loads(line) for line in daemon.log.splitlines() if line.startswith("{")]
        return [line for line in found if line.get("execution_id") == ended["id"]]

    await eventually(lambda: any(line["event"] == "execution_finished" for line in lines()))
    assert {line["event"] for line in lines()} >= {"execution_started", "execution_finished"}
    assert all(line["request_id"] == request_id for line in lines())
    assert all(event["execution_id"] == ended["id"] for event in await events_of(client, ended))
