"""The tmux server of the unit, run as the unit says but without systemd, under a real daemon."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleclaude.cli.units import Install, render
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually


class Unit:
    """The lines of ``teleclaude-tmux.service``, run in the daemon's environment."""

    def __init__(self, daemon: DaemonProcess) -> None:
        self._text = render(Install(sys.executable))["teleclaude-tmux.service"]
        self._daemon = daemon

    def argv(self, key: str) -> list[str]:
        [line] = [line for line in self._text.splitlines() if line.startswith(f"{key}=")]
        return shlex.split(line.partition("=")[2])

    def step(self, key: str, **environ: str) -> subprocess.CompletedProcess[str]:
        env = {**self._daemon.environ, **environ}
        return subprocess.run(self.argv(key), env=env, capture_output=True, text=True, timeout=30, check=False)

    def start(self) -> subprocess.Popen[bytes]:
        # What a service manager gives to its own children must not reach the panes.
        env = {**self._daemon.environ, "INVOCATION_ID": "0", "NOTIFY_SOCKET": "/nowhere"}
        return subprocess.Popen(self.argv("ExecStart"), env=env, cwd=self._daemon.home, umask=0o077)


@pytest.fixture
async def daemon() -> AsyncIterator[DaemonProcess]:
    async with daemon_process(start=False) as process:
        yield process


@pytest.fixture
async def server(daemon: DaemonProcess) -> AsyncIterator[subprocess.Popen[bytes]]:
    unit = Unit(daemon)
    process = unit.start()
    try:
        ready = await asyncio.to_thread(unit.step, "ExecStartPost")
        assert ready.returncode == 0, ready.stderr
        yield process
    finally:
        process.kill()
        await asyncio.to_thread(process.wait, 10)


async def test_the_daemon_uses_it_and_a_restart_leaves_the_terminals_alone(
    daemon: DaemonProcess, server: subprocess.Popen[bytes]
) -> None:
    await daemon.start()
    assert await asyncio.to_thread(daemon.tmux_pid) == server.pid
    async with Client(daemon.socket) as client:
        await client.new("umask; env; echo over; exec cat", name="kept")
        assert (await client.wait("kept", text="over"))["outcome"] == "matched"
        said = (await client.all_output("kept")).decode().replace("\r", "").splitlines()
        assert said[0] == "0022"
        assert not [line for line in said if line.startswith(("INVOCATION_ID=", "NOTIFY_SOCKET=", "TELECLAUDE_STATE"))]
    program = await asyncio.to_thread(daemon.tmux, "list-panes", "-t", "kept", "-F", "#{pane_pid}")
    for end in (daemon.terminate, daemon.kill):
        await end()
        assert server.poll() is None
        await daemon.start()
        assert await asyncio.to_thread(daemon.tmux_pid) == server.pid
        async with Client(daemon.socket) as client:
            assert (await client.get("/sessions/kept"))["state"] == "running"
            await client.text("kept", f"still {end.__name__}")
            assert (await client.wait("kept", text=f"still {end.__name__}"))["outcome"] == "matched"
    assert Path(f"/proc/{program}").exists()
    async with Client(daemon.socket) as client:
        await client.delete("/sessions/kept", params={"purge": "true"})
    await daemon.terminate()


async def test_it_has_the_daemons_settings_from_the_start(
    daemon: DaemonProcess, server: subprocess.Popen[bytes]
) -> None:
    assert server.poll() is None
    shown = await asyncio.to_thread(daemon.tmux, "show-options", "-s")
    assert "exit-empty off" in shown
    assert "remain-on-exit on" in await asyncio.to_thread(daemon.tmux, "show-options", "-gw")


async def test_it_ends_when_the_service_is_stopped(server: subprocess.Popen[bytes]) -> None:
    server.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(server.wait, 10) == 0


async def test_a_second_one_is_never_started_over_a_live_one(
    daemon: DaemonProcess, server: subprocess.Popen[bytes]
) -> None:
    unit = Unit(daemon)
    checked = await asyncio.to_thread(unit.step, "ExecCondition")
    assert checked.returncode == 1
    assert f"tmux server {server.pid} already listens" in checked.stderr
    forced = await asyncio.to_thread(unit.step, "ExecStart")
    assert forced.returncode != 0
    assert await asyncio.to_thread(daemon.tmux_pid) == server.pid


async def test_a_live_one_without_its_socket_counts_too(daemon: DaemonProcess, server: subprocess.Popen[bytes]) -> None:
    socket = Path(os.environ["TMUX_TMPDIR"], f"tmux-{os.getuid()}", daemon.tmux_socket)
    socket.unlink()
    assert (await asyncio.to_thread(Unit(daemon).step, "ExecCondition")).returncode == 1
    server.send_signal(signal.SIGUSR1)
    await eventually(socket.exists)


async def test_the_condition_holds_on_a_free_socket(daemon: DaemonProcess) -> None:
    assert (await asyncio.to_thread(Unit(daemon).step, "ExecCondition")).returncode == 0


async def test_waiting_for_a_server_that_never_comes_ends(daemon: DaemonProcess) -> None:
    waited = await asyncio.to_thread(Unit(daemon).step, "ExecStartPost")
    assert waited.returncode == 1
    assert "no tmux server listens" in waited.stderr


@pytest.mark.parametrize(
    ("environ", "code"),
    [({"TELECLAUDE_TMUX__SOCKET_NAME": "a/b"}, 78), ({"TELECLAUDE_RUNTIME_DIR": "/proc/none"}, 71)],
)
async def test_what_cannot_be_run_is_said(daemon: DaemonProcess, environ: dict[str, str], code: int) -> None:
    done = await asyncio.to_thread(Unit(daemon).step, "ExecStart", **environ)
    assert done.returncode == code
    assert done.stderr.startswith("teleclaude: ")
