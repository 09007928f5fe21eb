"""Executions of a real daemon, in few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.daemon import Client
from tests.support.wait import eventually

LIVE = ("queued", "starting", "running", "paused", "stopping")


async def start(client: Client, *argv: str, **fields: Any) -> Any:
    """Begin an execution of ``argv``."""
    return await client.post("/executions", {"argv": list(argv), **fields}, expect=201)


async def run(client: Client, *argv: str, wait_ms: int = 20_000, **fields: Any) -> Any:
    """Run ``argv`` to its end."""
    ended = await start(client, *argv, wait_ms=wait_ms, **fields)
    assert ended["status"] not in LIVE, ended
    return ended


async def shell(client: Client, script: str, wait_ms: int = 20_000, **fields: Any) -> Any:
    """Run ``script`` to its end."""
    ended = await client.post("/executions", {"script": script, "wait_ms": wait_ms, **fields}, expect=201)
    assert ended["status"] not in LIVE, ended
    return ended


async def control(client: Client, execution: Any, verb: str, body: Any = None, expect: int | None = None) -> Any:
    return await client.post(f"/executions/{execution['id']}/{verb}", body, expect=expect)


async def end(client: Client, execution: Any, wait_ms: int = 15_000) -> Any:
    """How it ended."""
    ended = await client.get(f"/executions/{execution['id']}", params={"wait_ms": str(wait_ms)})
    assert ended["status"] not in LIVE, ended
    return ended


async def output(client: Client, execution: Any, stream: str = "stdout") -> bytes:
    """Every kept byte of one stream."""
    data, position = b"", 0
    while True:
        params = {"stream": stream, "from": str(position), "limit": str(1 << 20)}
        url = client.url(f"/executions/{execution['id']}/output")
        async with client.http.get(url, params=params) as response:
            piece = await response.read()
            assert response.status == 200, piece
            if not piece:
                return data
            data += piece
            position = int(response.headers["Teleclaude-To"])


async def printed(client: Client, execution: Any, text: bytes, stream: str = "stdout", timeout: float = 10) -> None:
    """Wait until ``text`` was written."""

    async def there() -> bool:
        return text in await output(client, execution, stream)

    await eventually(there, timeout)


async def events_of(client: Client, execution: Any) -> list[Any]:
    """Its events so far, oldest first, as the log has them."""
    return [event for event in await all_events(client) if event["execution_id"] == execution["id"]]


async def all_events(client: Client) -> list[Any]:
    """Every event up to now."""
    marker = await client.post("/executions", {"argv": ["true"], "wait_ms": 10_000})
    found: list[Any] = []
    async with client.http.get(client.url("/events"), params={"after": "0"}) as response:
        async for line in response.content:
            if not line.startswith(b"data: "):
                continue
            event = json.loads(line[6:])
            if event["execution_id"] == marker["id"]:
                if event["type"] == "execution.exit":
                    return found
                continue
            found.append(event)
    raise AssertionError("the stream of events ended")


def marked(execution: Any) -> list[int]:
    """Processes that carry the execution's mark in their environment."""
    mark = f"TELECLAUDE_EXECUTION_ID={execution['id']}".encode()
    return [pid for pid in _pids() if mark in _read(f"/proc/{pid}/environ").split(b"\0") and _state(pid) != "Z"]


def states(execution: Any) -> set[str]:
    """The states of its processes, as /proc shows them."""
    return {_state(pid) for pid in marked(execution)}


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _state(pid: int) -> str:
    return _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()[:1][0].decode() if _read(f"/proc/{pid}/stat") else "Z"


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""
