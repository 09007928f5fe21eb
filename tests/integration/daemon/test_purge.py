"""A purge beside everything else that can be done to a session: one of them wins, and nothing is left half done."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

ROUNDS = 4

Deed = Callable[[Client, str], Awaitable[int]]


async def status(client: Client, method: str, path: str, **kw: Any) -> int:
    async with client.http.request(method, client.url(path), **kw) as response:
        await response.read()
        return response.status


async def restart(client: Client, session: str) -> int:
    return await status(client, "POST", f"/sessions/{session}/restart")


async def purge(client: Client, session: str) -> int:
    return await status(client, "DELETE", f"/sessions/{session}", params={"purge": "true"})


async def tag(client: Client, session: str) -> int:
    return await status(client, "PATCH", f"/sessions/{session}", json={"tags": ["x"]})


async def type_text(client: Client, session: str) -> int:
    return await status(client, "POST", f"/sessions/{session}/input", json={"text": "x"})


async def read(client: Client, session: str) -> int:
    return await status(client, "GET", f"/sessions/{session}/output")


async def follow(client: Client, session: str) -> int:
    """Ends by itself when the session is gone."""
    return await status(client, "GET", f"/sessions/{session}/stream", params={"from": "0"})


async def look(client: Client, session: str) -> int:
    return await status(client, "GET", f"/sessions/{session}/screen")


async def put_file(client: Client, session: str) -> int:
    return await status(client, "PUT", f"/sessions/{session}/files/note", data=b"x" * 100)


def nothing_left(state: Path, session: str) -> bool:
    return not list(state.rglob(f"*{session}*"))


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process()
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("deed", [restart, purge, tag, type_text, read, follow, look, put_file])
async def test_a_purge_and_another_operation_at_once(
    client: Client, daemon: DaemonProcess, deed: Deed, ended: bool
) -> None:
    for turn in range(ROUNDS):
        made = (await client.new(["bash", "-c", "echo said; exec cat"], name=f"s{turn}"))["id"]
        await client.wait(made, text="said")
        if ended:
            await client.delete(f"/sessions/{made}", params={"grace_ms": "0"})

        async def later(made: str = made, turn: int = turn) -> int:
            await asyncio.sleep(turn * 0.002)
            return await deed(client, made)

        purged, other = await asyncio.gather(purge(client, made), later())
        assert purged in (200, 404, 409), purged
        assert other < 500, other
        found = await status(client, "GET", f"/sessions/{made}")
        if found == 200:
            assert deed is restart
            await client.delete(f"/sessions/{made}", params={"purge": "true", "grace_ms": "0"})
        await eventually(partial(nothing_left, daemon.state, made))
    assert daemon.tmux("list-sessions", "-F", "#{session_name}").split() == ["_teleclaude"]
    assert "Traceback" not in daemon.log
    assert '"level": "error"' not in daemon.log
