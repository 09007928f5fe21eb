"""Recorders that are killed, stopped or robbed of their files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import time
from contextlib import suppress

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.faults import ECHO_OFF_CAT, answers, gaps, numbers, recorder_pid
from tests.support.wait import eventually


async def test_x6_recording_goes_on_within_two_seconds_and_no_offset_changes(
    daemon: DaemonProcess, client: Client
) -> None:
    made = await client.new(ECHO_OFF_CAT, name="cat")
    await client.wait("cat", text="ready\n")
    for turn in range(4):
        before = await client.all_output("cat")
        killed = recorder_pid(daemon, made["id"])
        os.kill(killed, signal.SIGKILL)
        began = time.monotonic()
        await answers(client, "cat", f"turn-{turn}", timeout=max(0.1, 2 - (time.monotonic() - began)))
        assert recorder_pid(daemon, made["id"]) != killed
        assert (await client.all_output("cat")).startswith(before)
    told = gaps(client, made["id"])
    assert (await anext(told))["reason"] == "recorder_died"
    await told.aclose()


async def test_x7_a_stopped_recorder_loses_nothing(daemon: DaemonProcess, client: Client) -> None:
    go = daemon.home / "go"
    script = f"until [ -e {go} ]; do sleep 0.05; done; seq 1 60000; touch {go}.done; exec cat"
    made = await client.new(["bash", "-c", script], name="numbers")
    recorder = recorder_pid(daemon, made["id"])
    os.kill(recorder, signal.SIGSTOP)
    try:
        go.touch()
        # The program is not held up by it.
        await eventually(lambda: go.with_suffix(".done").exists(), timeout=15)
        assert (await client.get("/health"))["status"] == "ok"
    finally:
        os.kill(recorder, signal.SIGCONT)
    await client.wait("numbers", text="\n60000\n")
    assert numbers(await client.all_output("numbers")) == list(range(1, 60001))


async def test_x7_a_recorder_that_was_stopped_is_let_go_on() -> None:
    """Nobody has to notice: nothing is lost, and tmux does not keep output in its memory for long."""
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        made = await client.new(["bash", "-c", "read x; seq 1 60000; exec cat"], name="numbers")
        recorder = recorder_pid(daemon, made["id"])
        os.kill(recorder, signal.SIGSTOP)
        await client.text("numbers", "go")
        assert (await client.wait("numbers", text="\n60000\n", timeout_ms=8000))["outcome"] == "matched"
        assert numbers(await client.all_output("numbers")) == list(range(1, 60001))
        assert recorder_pid(daemon, made["id"]) == recorder
        assert "recorder_was_stopped" in daemon.log


async def test_x7_what_a_stopped_recorder_holds_is_there_when_its_session_has_ended(
    daemon: DaemonProcess, client: Client
) -> None:
    made = await client.new(["bash", "-c", "read x; seq 1 2000; sleep 0.1"], name="numbers")
    os.kill(recorder_pid(daemon, made["id"]), signal.SIGSTOP)
    await client.text("numbers", "go")
    assert (await client.wait("numbers", exit=True))["outcome"] == "exited"
    assert numbers(await client.all_output("numbers")) == list(range(1, 2001))


async def test_x7_one_that_was_stopped_when_it_was_replaced_changes_nothing_later(
    daemon: DaemonProcess, client: Client
) -> None:
    """Its rest is a named hole, and what it writes when it wakes is in nobody's way."""
    made = await client.new(ECHO_OFF_CAT, name="cat")
    await client.wait("cat", text="ready\n")
    stopped = recorder_pid(daemon, made["id"])
    os.kill(stopped, signal.SIGSTOP)
    await client.text("cat", "unheard")
    daemon.tmux("pipe-pane", "-t", made["attach"]["argv"][-1])
    await eventually(lambda: recorder_pid(daemon, made["id"]) != stopped, timeout=6)
    await answers(client, "cat", "heard", timeout=12)
    await client.wait("cat", text="heard\n", timeout_ms=10_000)
    seen = await client.all_output("cat")
    with suppress(ProcessLookupError):
        os.kill(stopped, signal.SIGCONT)
    await answers(client, "cat", "later", timeout=8)
    assert (await client.all_output("cat")).startswith(seen)


async def test_x50_a_truncated_file_is_a_named_hole() -> None:
    async with (
        daemon_process({"TELECLAUDE_SESSIONS__SEGMENT_BYTES": "4096"}) as daemon,
        Client(daemon.socket) as client,
    ):
        made = await client.new(["bash", "-c", "seq 1 5000; exec cat"], name="numbers")
        await client.wait("numbers", text="\n5000\n")
        whole = await client.all_output("numbers")
        segments = sorted(
            path
            for path in (daemon.state / "streams" / made["id"]).rglob("*")
            if path.is_file() and path.stat().st_size == 4096
        )
        os.truncate(segments[2], 100)
        told = gaps(client, made["id"])
        gap = await anext(told)
        await told.aclose()
        assert (gap["reason"], gap["bytes"]) == ("truncated", 3996)
        assert (gap["from"], gap["to"]) == (2 * 4096 + 100, 3 * 4096)
        _, after = await client.output("numbers", gap["to"])
        assert after == whole[gap["to"] :]
        refused = await client.get("/sessions/numbers/output", params={"from": str(gap["from"])}, expect=410)
        assert refused["start"] == gap["to"]


@pytest.mark.parametrize("what", ["session", "all"])
async def test_x50_a_removed_folder_is_a_named_hole_and_recording_goes_on(what: str) -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        made = await client.new(ECHO_OFF_CAT, name="cat")
        await client.wait("cat", text="ready\n")
        end = (await client.get("/sessions/cat"))["output"]["end"]
        streams = daemon.state / "streams"
        await asyncio.to_thread(shutil.rmtree, streams if what == "all" else streams / made["id"])
        assert (await client.new(["cat"], name="another"))["state"] == "running"

        async def recorded() -> bool:
            await client.text("cat", "after")
            params = {"from": str(end)}
            async with client.http.get(client.url("/sessions/cat/output"), params=params) as reply:
                return b"after" in await reply.read()

        await eventually(recorded, timeout=8)
        told = gaps(client, made["id"])
        assert (await anext(told))["reason"] in {"truncated", "recorder_died"}
        await told.aclose()
        assert stat.S_IMODE(streams.stat().st_mode) == 0o700
        assert (await client.delete("/sessions/cat"))["state"] == "exited"


@pytest.mark.parametrize("how", ["kill", "terminate"])
async def test_x3_what_is_printed_with_no_daemon_is_there(how: str) -> None:
    async with daemon_process() as daemon:
        go = daemon.home / "go"
        async with Client(daemon.socket) as client:
            script = f"until [ -e {go} ]; do sleep 0.05; done; seq 1 100000; touch {go}.done; exec cat"
            made = await client.new(["bash", "-c", script], name="numbers")
        await (daemon.kill() if how == "kill" else daemon.terminate())
        go.touch()
        await eventually(lambda: go.with_suffix(".done").exists(), timeout=15)
        await daemon.start()
        async with Client(daemon.socket) as client:
            assert (await client.get("/sessions/numbers"))["id"] == made["id"]
            await client.wait("numbers", text="\n100000\n")
            assert numbers(await client.all_output("numbers")) == list(range(1, 100001))
