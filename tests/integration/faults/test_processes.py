"""Sessions that fork without end."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from teleclaude.process.proctable import all_processes
from tests.support.daemon import Client, daemon_process
from tests.support.faults import ECHO_OFF_CAT, answers, pane_of
from tests.support.wait import eventually

PIDS = Path("/sys/fs/cgroup/pids")
BOMB = "trap '' HUP TERM; until [ -e {go} ]; do sleep 0.02; done; f() {{ while :; do (f) & done 2>/dev/null; }}; f"
DODGER = "trap '' HUP; echo ready; f() {{ (sleep 0.002; f) & }}; {twenty} while :; do sleep 1; done"


@pytest.fixture
def at_most_fifty() -> Iterator[Path]:
    """A control group in which there can be fifty processes."""
    group = PIDS / f"tc-test-{secrets.token_hex(4)}"
    try:
        group.mkdir()
        (group / "pids.max").write_text("50")
    except OSError as error:
        pytest.skip(f"no control group for a number of processes can be made: {error}")
    yield group
    group.rmdir()


def members(leader: int) -> list[int]:
    return [stat.pid for stat in all_processes() if stat.session == leader and not stat.has_ended]


async def test_x49_a_fork_bomb_within_its_limit_harms_nobody_else_and_is_closed_whole(at_most_fifty: Path) -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.new(ECHO_OFF_CAT, name="other")
        go = daemon.home / "go"
        await client.new(["bash", "-c", BOMB.format(go=go)], name="bomb")
        leader = int(pane_of(daemon, "bomb", "#{pane_pid}"))
        (at_most_fifty / "cgroup.procs").write_text(str(leader))
        go.touch()
        await eventually(lambda: int((at_most_fifty / "pids.current").read_text()) == 50)
        server = daemon.tmux_pid()
        began = time.monotonic()
        assert (await client.get("/health"))["status"] == "ok"
        await answers(client, "other", "alive")
        assert time.monotonic() - began < 5
        ended = await client.delete("/sessions/bomb", params={"grace_ms": "100"})
        assert (ended["state"], ended["exit"]["signal"], ended["exit"]["reason"]) == ("exited", "KILL", "closed")
        await eventually(lambda: (at_most_fifty / "cgroup.procs").read_text() == "")
        assert daemon.tmux_pid() == server
        await answers(client, "other", "still-alive")


async def test_what_forks_while_it_is_killed_does_not_get_away() -> None:
    """Twenty processes that each live for a moment and start the next one."""
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.new(["bash", "-c", DODGER.format(twenty="f; " * 20)], name="dodger")
        await client.wait("dodger", text="ready")
        leader = int(pane_of(daemon, "dodger", "#{pane_pid}"))
        await client.delete("/sessions/dodger", params={"grace_ms": "0"})
        looks = [await asyncio.to_thread(members, leader) for _ in range(20)]
        assert looks == [[]] * 20
