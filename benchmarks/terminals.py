"""Terminals: how soon an echo and a death are seen, what a hundred of them cost, what a flood does to the others."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from benchmarks import _terminals_echo, _terminals_flood, _terminals_many
from benchmarks._terminals import daemon
from benchmarks.frame import Row, at_least
from tests.support.daemon import Client
from tests.support.wait import eventually

AGENTS, PROMPTS = 5, 200


async def measure() -> list[Row]:
    return [
        *await _terminals_echo.measure(),
        *await _terminals_many.measure(),
        *await _terminals_flood.measure(),
        *await _prompts(),
    ]


async def _prompts() -> list[Row]:
    """Several agents at once, with the delay before Enter that they have by default."""
    async with daemon() as (_, client):
        submitted = sum(await asyncio.gather(*(_converse(client, f"agent-{n}") for n in range(AGENTS))))
    return [at_least(f"agents: prompts submitted of {AGENTS * PROMPTS}", submitted, "", AGENTS * PROMPTS)]


async def _converse(client: Client, name: str) -> int:
    """Send each prompt once the one before was taken. What counts is what the program says it was given, in order."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        record = Path(folder) / "prompts.jsonl"
        command = [sys.executable, "-m", "teleclaude.testing.fake_agent", "--record", str(record)]
        await client.post("/sessions", {"command": command, "agent": "claude", "name": name})
        await client.wait(name, text="? for help")
        for number in range(PROMPTS):
            await client.text(name, f"prompt {number}")
            with suppress(AssertionError):
                await eventually(lambda: _count(record) > number, timeout=5)  # noqa: B023 - called before the next
        given = [json.loads(line)["prompt"] for line in record.read_text().splitlines()]
        return sum(prompt == f"prompt {number}" for number, prompt in enumerate(given))


def _count(record: Path) -> int:
    return record.read_bytes().count(b"\n") if record.exists() else 0
