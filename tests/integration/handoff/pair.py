"""Two daemons and what the tests of handing over do with them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from tests.support.daemon import Client
from tests.support.fleet import Fleet

HERE, THERE = "north", "south"
RECORD = "prompts.jsonl"
"""Where the agents of both keep their conversations, in the directory of the first."""

COUNTER = "printf 'begin\\n'; while read line; do printf '<%s on %s>\\n' \"$line\" \"$PWD\"; done"
"""A program that says what it was told."""


@contextmanager
def places() -> Iterator[dict[str, Path]]:
    """A directory for each computer."""
    folders = {name: Path(tempfile.mkdtemp(prefix=f"tc-{name}-")) for name in (HERE, THERE)}
    try:
        yield folders
    finally:
        for folder in folders.values():
            shutil.rmtree(folder, ignore_errors=True)


def settings(folder: Path, record: Path) -> dict[str, str]:
    """Of a computer whose project is in ``folder``. Its agent keeps its conversations in ``record``."""
    agent = [sys.executable, "-m", "teleclaude.testing.fake_agent", "--record", str(record)]
    return {
        "computer__trusted_dirs": json.dumps([{"path": str(folder), "name": "project"}]),
        "rest__listen": "127.0.0.1:0",
        "agents__fake__command": json.dumps([*agent, "--session-id", "{conversation_id}"]),
        "agents__fake__resume": json.dumps([*agent, "--resume", "{conversation_id}"]),
        "agents__once__command": json.dumps([*agent, "--session-id", "{conversation_id}"]),
    }


class Pair:
    def __init__(self, fleet: Fleet, folders: dict[str, Path]) -> None:
        self.fleet = fleet
        self.folders = folders
        self.here: Client
        self.there: Client

    @asynccontextmanager
    async def clients(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            self.here = await stack.enter_async_context(self.fleet.client(HERE))
            self.there = await stack.enter_async_context(self.fleet.client(THERE))
            yield

    async def clear(self) -> None:
        for client in (self.here, self.there):
            for session in (await client.get("/sessions"))["sessions"]:
                await client.delete(f"/sessions/{session['id']}", params={"grace_ms": "0", "purge": "true"})
        for folder in self.folders.values():
            for entry in folder.iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()

    async def start(self, command: Any = COUNTER, name: str = "work", **fields: Any) -> Any:
        made = await self.here.new(command, name, cwd=str(self.folders[HERE]), **fields)
        if command == COUNTER:
            await self.here.wait(name, text="begin")
        return made

    async def move(self, name: str = "work", **fields: Any) -> Any:
        return await self.here.post(f"/sessions/{name}/handoff", {"computer": THERE, "timeout_ms": 15_000, **fields})

    async def back(self, name: str = "work", **fields: Any) -> Any:
        return await self.there.post(f"/sessions/{name}/handoff", {"computer": HERE, "timeout_ms": 15_000, **fields})


def git(folder: Path, *words: str) -> str:
    environ = {
        **os.environ,
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_SYSTEM": "/dev/null",
        **{f"GIT_{who}_NAME": "Somebody" for who in ("AUTHOR", "COMMITTER")},
        **{f"GIT_{who}_EMAIL": "somebody@localhost" for who in ("AUTHOR", "COMMITTER")},
    }
    done = subprocess.run(
        ["git", *words], cwd=folder, env=environ, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


async def events_of(response: Any, timeout: float = 10) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Server-sent events; one of the name ``output`` has its bytes in ``data``."""
    name = ""
    async with asyncio.timeout(timeout):
        async for line in response.content:
            if line.startswith(b"event: "):
                name = line[7:].strip().decode()
            elif line.startswith(b"data: "):
                data = json.loads(line[6:])
                if name == "output" and "b64" in data:
                    data["data"] = base64.b64decode(data["b64"])
                yield name, data
