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
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        records = {f"fake-{number}": Path(folder) / f"{number}.jsonl" for number in range(AGENTS)}
        program = [sys.executable, "-m", "teleclaude.testing.fake_agent", "--record"]
        settings = {
            f"TELECLAUDE_AGENTS__{name.upper()}__COMMAND": json.dumps([*program, str(record)])
            for name, record in records.items()
        }
        async with daemon(settings) as (_, client):
            submitted = await asyncio.gather(*(_converse(client, *item) for item in records.items()))
    return [at_least(f"agents: prompts submitted of {AGENTS * PROMPTS}", sum(submitted), "", AGENTS * PROMPTS)]


async def _converse(client: Client, name: str, record: Path) -> int:
    """Send each prompt once the one before was taken. What counts is what the program says it was given, in order."""
    await client.post("/sessions", {"agent": name, "name": name})
    await client.wait(name, text="? for help")
    for number in range(PROMPTS):
        await client.text(name, f"prompt {number}")
        with suppress(AssertionError):
            await eventually(lambda: _count(record) > number, timeout=5)  # noqa: B023 - called before the next
    given = [json.loads(line)["prompt"] for line in record.read_text().splitlines()]
    return sum(prompt == f"prompt {number}" for number, prompt in enumerate(given))


def _count(record: Path) -> int:
    return record.read_bytes().count(b"\n") if record.exists() else 0
