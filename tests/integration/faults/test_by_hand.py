"""Hands in the daemon's tmux, and a tmux that goes away."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from teleclaude.service.reconcile import SWEEP_SECONDS
from teleclaude.tasks import process_start_time
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.faults import ECHO_OFF_CAT, answers, gaps, in_state, numbers, pane_of
from tests.support.wait import eventually


async def test_x51_changes_by_hand_are_noticed_and_nothing_is_undone(daemon: DaemonProcess, client: Client) -> None:
    renamed = await client.new(ECHO_OFF_CAT, name="renamed")
    killed = await client.new(["cat"], name="killed")
    unpiped = await client.new(ECHO_OFF_CAT, name="unpiped")
    split = await client.new(ECHO_OFF_CAT, name="split")
    daemon.tmux("new-session", "-d", "-s", "strange", "cat")
    daemon.tmux("rename-session", "-t", "renamed", "other-name")
    daemon.tmux("pipe-pane", "-t", "unpiped")
    daemon.tmux("split-window", "-d", "-t", "split", "cat")
    daemon.tmux("kill-session", "-t", "killed")
    lost = await in_state(client, killed["id"], "lost", timeout=4)
    assert lost["exit"]["reason"] == "tmux_session_gone"
    for session in (renamed, unpiped, split):
        await answers(client, session["id"], f"hello-{session['name']}")
    assert (await client.get("/sessions/renamed"))["state"] == "running"
    names = set(daemon.tmux("list-sessions", "-F", "#{session_name}").splitlines())
    assert {"strange", "other-name", "unpiped", "split"} <= names
    assert len(pane_of(daemon, "split", "#{pane_id}").splitlines()) == 2


async def test_x51_who_takes_the_output_away_again_and_again_wears_nobody_out() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        made = await client.new(ECHO_OFF_CAT, name="cat")
        await client.wait("cat", text="ready\n")
        pane = pane_of(daemon, "cat", "#{pane_id}")
        began = time.monotonic()
        while time.monotonic() - began < 2:
            await asyncio.to_thread(daemon.tmux, "pipe-pane", "-t", pane, "cat >/dev/null")
        assert daemon.log.count("recorder_replaced") <= 8
        await answers(client, "cat", "recorded-again")
        assert (await client.all_output(made["id"])).startswith(b"ready\r\n")
        told = gaps(client, made["id"])
        assert (await anext(told))["reason"] == "recorder_died"
        await told.aclose()


async def test_x51_a_pane_respawned_by_hand_is_the_same_session(daemon: DaemonProcess, client: Client) -> None:
    made = await client.new(ECHO_OFF_CAT, name="cat")
    await client.wait("cat", text="ready\n")
    daemon.tmux("respawn-pane", "-k", "-t", made["attach"]["argv"][-1], "bash", "-c", "stty -echo; exec cat")
    await answers(client, "cat", "again", timeout=8)
    found = await client.get("/sessions/cat")
    assert (found["id"], found["state"]) == (made["id"], "running")


async def test_x13_a_deleted_socket_comes_back_and_no_session_is_harmed(daemon: DaemonProcess, client: Client) -> None:
    await client.new(ECHO_OFF_CAT, name="cat")
    server = daemon.tmux_pid()
    socket = Path(daemon.tmux("display-message", "-p", "#{socket_path}"))
    socket.unlink()
    await eventually(socket.exists, timeout=5)
    await answers(client, "cat", "hello")
    assert daemon.tmux_pid() == server


async def test_x52_after_a_reboot_sessions_are_lost_and_their_output_readable() -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            made = await client.new(["bash", "-c", "seq 1 3000; exec cat"], name="numbers")
            await client.wait("numbers", text="\n3000\n")
        server = daemon.tmux_pid()
        assert server is not None
        await daemon.kill()
        os.kill(server, signal.SIGKILL)
        await daemon.start()
        async with Client(daemon.socket) as client:
            lost = await in_state(client, made["id"], "lost")
            assert (lost["exit"]["reason"], lost["exit"]["code"]) == ("tmux_server_gone", None)
            assert numbers(await client.all_output("numbers")) == list(range(1, 3001))
            again = await client.post("/sessions/numbers/restart")
            assert again["id"] == made["id"]
            await client.wait("numbers", regex=r"3000\n1\n(?s:.*)\n3000\n")
            assert numbers(await client.all_output("numbers")) == [*range(1, 3001), *range(1, 3001)]


async def test_x15_a_shell_that_leaves_a_job_behind_has_ended(client: Client) -> None:
    await client.new(["bash", "-c", "trap '' HUP; (sleep 1; echo late) & echo $!; exit 4"], name="shell")
    assert (await client.wait("shell", exit=True))["outcome"] == "exited"
    ended = await client.get("/sessions/shell")
    assert (ended["state"], ended["exit"]["code"]) == ("exited", 4)
    [job] = numbers(await client.all_output("shell"))
    await eventually(lambda: process_start_time(job) is None)


async def test_x5_the_last_bytes_before_the_end_are_kept(client: Client) -> None:
    for turn in range(5):
        # The pause is for tmux, which on a busy machine may drop what a program printed in its very last moment.
        made = await client.new(["bash", "-c", "seq 1 20000; sleep 0.1"], name=f"s{turn}")
        await client.wait(made["id"], exit=True)
        assert numbers(await client.all_output(made["id"])) == list(range(1, 20001))


@pytest.mark.parametrize("how", ["exits", "closed"])
async def test_x51_what_somebody_put_beside_our_program_outlives_it(
    daemon: DaemonProcess, client: Client, how: str
) -> None:
    await client.new(["cat"], name="ours")
    daemon.tmux("split-window", "-d", "-t", "=ours:", "sh", "-c", "echo theirs; exec cat")
    daemon.tmux("new-window", "-d", "-t", "=ours:", "cat")
    if how == "closed":
        await client.delete("/sessions/ours")
    else:
        await client.post("/sessions/ours/keys", {"keys": ["C-d"]})
        await client.wait("ours", exit=True)
    assert (await client.get("/sessions/ours"))["state"] == "exited"
    await eventually(lambda: daemon.tmux("list-panes", "-s", "-t", "=ours:", "-F", "#{pane_dead}").split() == ["0"] * 2)
    # The name is theirs now; nothing of it is taken away.
    refused = await client.post("/sessions", {"name": "ours", "command": ["cat"]}, expect=409)
    assert "tmux" in refused["detail"]


async def test_x51_a_pane_moved_into_another_session_ends_alone(daemon: DaemonProcess, client: Client) -> None:
    await client.new(ECHO_OFF_CAT, name="host")
    moved = await client.new(ECHO_OFF_CAT, name="guest")
    daemon.tmux("join-pane", "-d", "-s", "=guest:", "-t", "=host:")
    await answers(client, "guest", "moved")
    began = time.monotonic()
    await client.delete("/sessions/guest")
    assert time.monotonic() - began < 3
    assert b"moved" in await client.all_output(moved["id"])
    # Two sweeps see to what was left.
    await asyncio.sleep(2 * SWEEP_SECONDS + 0.5)
    assert (await client.get("/sessions/host"))["state"] == "running"
    await answers(client, "host", "alive")
    assert len(daemon.tmux("list-panes", "-s", "-t", "=host:", "-F", "#{pane_id}").split()) == 1
