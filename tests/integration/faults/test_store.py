"""A store that is damaged or full."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.daemon import Client, daemon_process
from tests.support.faults import ECHO_OFF_CAT, answers, small_disk
from tests.support.wait import eventually

ROOT = os.geteuid() == 0


def _header(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"no database at all")


def _page(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096 * 3)


def _truncation(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _emptied(path: Path) -> None:
    os.truncate(path, 0)


@pytest.mark.parametrize("damage", [_header, _page, _truncation, _emptied])
async def test_x20_sessions_are_rebuilt_from_tmux_and_their_streams(damage: Callable[[Path], None]) -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            made = [await client.new(ECHO_OFF_CAT, name=f"cat{n}") for n in range(3)]
            for session in made:
                await answers(client, session["id"], "before")
            before = {session["id"]: await client.all_output(session["id"]) for session in made}
        await daemon.terminate()
        for leftover in daemon.state.glob("teleclaude.db-*"):
            leftover.unlink()
        damage(daemon.state / "teleclaude.db")
        await daemon.start()
        async with Client(daemon.socket) as client:
            found = {session["id"]: session for session in (await client.get("/sessions"))["sessions"]}
            assert set(found) == set(before)
            for session_id, data in before.items():
                assert found[session_id]["state"] == "running"
                assert (await client.all_output(session_id)).startswith(data)
                await answers(client, session_id, "after")


@pytest.mark.skipif(not ROOT, reason="a small disk is mounted")
async def test_x18_x19_a_full_disk_is_said_and_left_behind() -> None:
    async with daemon_process(start=False) as daemon:
        with small_disk(daemon.state, "24m") as disk:
            await daemon.start()
            async with Client(daemon.socket) as client:
                made = await client.new(ECHO_OFF_CAT, name="cat")
                await client.wait("cat", text="ready\n")
                before = await client.all_output("cat")
                fill(disk / "fill")
                # Input still goes in, and the screen shows what came of it.
                await client.text("cat", "while-full")
                await eventually(lambda: on_screen(client, "while-full"), timeout=8)
                async with client.http.post(client.url("/sessions"), json={"command": ["cat"], "name": "no"}) as reply:
                    assert reply.status == 507, await reply.text()
                    assert (await reply.json())["code"] == "no_space"
                assert (await client.get("/health"))["status"] == "ok"
                (disk / "fill").unlink()
                await answers(client, "cat", "with-room", timeout=15)
                assert (await client.all_output("cat")).startswith(before)
                names = {session["name"] for session in (await client.get("/sessions"))["sessions"]}
                assert names == {"cat"}
                assert (await client.new(["cat"], name="yes"))["state"] == "running"
                await client.delete(f"/sessions/{made['id']}", params={"purge": "true"})
            await daemon.terminate()


def fill(path: Path) -> None:
    """Until nothing fits any more."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 64, 1):
            try:
                while True:
                    file.write(b"x" * size)
            except OSError:
                continue


async def on_screen(client: Client, text: str) -> bool:
    return any(text in line for line in (await client.get("/sessions/cat/screen"))["lines"])
