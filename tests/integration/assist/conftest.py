"""The programs beside the daemon, run as a person runs them."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from teleclaude.testing.telegram import FakeBotApi

READ_SECONDS = 50.0
"""The demonstration waits for what a bot may say in a minute: 15 s, and more on a busy machine."""


@dataclass
class Dialog:
    """A program whose lines are read one by one."""

    process: asyncio.subprocess.Process
    said: list[str] = field(default_factory=list)

    async def until(self, part: str) -> str:
        """Read on until a line holds ``part``."""
        assert self.process.stdout is not None
        async with asyncio.timeout(READ_SECONDS):
            while True:
                raw = await self.process.stdout.readline()
                if not raw:
                    raise AssertionError(f"ended without saying {part!r}; it said:\n{''.join(self.said)}")
                self.said.append(raw.decode())
                if part in self.said[-1]:
                    return self.said[-1].strip()

    async def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        await self.process.stdin.drain()

    async def end(self) -> int:
        """What is left is read; answers the exit code."""
        async with asyncio.timeout(READ_SECONDS):
            out, _ = await self.process.communicate()
            self.said.append(out.decode())
            assert self.process.returncode is not None
            return self.process.returncode

    @property
    def text(self) -> str:
        return "".join(self.said)


@asynccontextmanager
async def dialog(environ: Mapping[str, str], *words: str) -> AsyncIterator[Dialog]:
    """``teleclaude WORD …``, both outputs together; ended at the end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "teleclaude", *words),
        env={**os.environ, **environ},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Dialog(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


@pytest.fixture
async def fake() -> AsyncIterator[FakeBotApi]:
    async with FakeBotApi(budgets=None) as fake:
        yield fake
