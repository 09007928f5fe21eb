"""What fault tests ask and do again and again."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.daemon import Client, DaemonProcess
from tests.support.wait import eventually

ECHO_OFF_CAT = ["bash", "-c", "stty -echo; echo ready; exec cat"]
"""Prints each line it is typed, once."""


def numbers(data: bytes) -> list[int]:
    return [int(match) for match in re.findall(rb"(\d+)\r\n", data)]


def recorder_pid(daemon: DaemonProcess, session_id: str) -> int:
    """The process that records the session's newest generation."""
    files = sorted((daemon.state / "streams" / session_id).rglob("*.pid"))
    return int(files[-1].read_text().split()[0])


def pane_of(daemon: DaemonProcess, name: str, what: str) -> str:
    return daemon.tmux("list-panes", "-a", "-f", f"#{{==:#{{session_name}},{name}}}", "-F", what)


async def in_state(client: Client, session: str, state: str, timeout: float = 5) -> Any:
    async def reached() -> Any:
        found = await client.get(f"/sessions/{session}")
        return found if found["state"] == state else None

    return await eventually(reached, timeout)


async def answers(client: Client, session: str, text: str, timeout: float = 5) -> None:
    """Typing ``text`` is answered with it, as of some moment before ``timeout``."""

    async def answered() -> bool:
        await client.text(session, text)
        return text.encode() in (await client.output(session, -4096))[1]

    await eventually(answered, timeout)


async def gaps(client: Client, session_id: str) -> AsyncGenerator[dict[str, Any], None]:
    """The gaps that a reader of the whole stream is told."""
    name = b""
    params = {"from": "0"}
    async with client.http.get(client.url(f"/sessions/{session_id}/stream"), params=params) as stream:
        async for line in stream.content:
            if line.startswith(b"event:"):
                name = line.split()[1]
            elif line.startswith(b"data:") and name == b"gap":
                yield json.loads(line[5:])


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A file system of its own at ``folder``; needs root."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "none", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(path: Path) -> None:
    """Write to ``path`` until nothing fits on its disk any more."""
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 64, 1):
            with suppress(OSError):
                while file.write(b"x" * size):
                    pass
