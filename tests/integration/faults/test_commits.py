"""The daemon is killed while it commits: what it has confirmed is there afterwards."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from contextlib import closing
from pathlib import Path

import aiohttp

from tests.support.daemon import Client, DaemonProcess, daemon_process

KILLS = 4
WRITERS = 4


async def write(client: Client, session: str, confirmed: dict[str, list[str]]) -> None:
    """Change the session's tags for ever; what was confirmed last is noted, and what was asked for last."""
    for number in range(1_000_000):
        tag = f"t{number}"
        confirmed[session] = [*confirmed[session][-1:], tag]
        try:
            await client.call("PATCH", f"/sessions/{session}", {"tags": [tag]})
        except (aiohttp.ClientError, ConnectionError):
            return
        confirmed[session] = [tag]


async def kill_after(daemon: DaemonProcess, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await daemon.kill()


def quick_check(path: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA quick_check").fetchall()


async def test_x21_no_confirmed_row_is_lost() -> None:
    """Each session has the tag that was confirmed last, or the one that was on its way when the daemon was killed."""
    chance = random.Random(21)
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            made = [(await client.new(["cat"], name=f"s{n}"))["id"] for n in range(WRITERS)]
            await client.delete(f"/sessions/{made[0]}")
        confirmed: dict[str, list[str]] = {session: [] for session in made}
        for _ in range(KILLS):
            async with Client(daemon.socket) as client:
                writers = [write(client, session, confirmed) for session in made]
                await asyncio.gather(kill_after(daemon, 0.1 + chance.random() * 0.2), *writers)
            assert await asyncio.to_thread(quick_check, daemon.state / "teleclaude.db") == [("ok",)]
            await daemon.start()
            async with Client(daemon.socket) as client:
                for session in made:
                    tags = (await client.get(f"/sessions/{session}"))["tags"]
                    assert tags[0] in confirmed[session], (tags, confirmed[session])
        assert all(int(tags[-1][1:]) > 3 for tags in confirmed.values())
