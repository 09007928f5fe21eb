"""Agents by their profiles: started, typed to, restarted and resumed, with a program of their habits."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

PROMPTS = 20
AGENTS = 10
FAKE_AGENT = [sys.executable, "-m", "teleclaude.testing.fake_agent"]


@pytest.fixture
def record(tmp_path: Path) -> Path:
    return tmp_path / "prompts.jsonl"


@asynccontextmanager
async def with_agent(record: Path, **profile: Any) -> AsyncIterator[tuple[DaemonProcess, Client]]:
    start = [*FAKE_AGENT, "--record", str(record)]
    settings = {
        "command": [*start, "--session-id", "{conversation_id}"],
        "resume": [*start, "--resume", "{conversation_id}"],
        **profile,
    }
    environ = {f"TELECLAUDE_AGENTS__FAKE__{key.upper()}": json.dumps(value) for key, value in settings.items()}
    async with daemon_process(environ) as daemon, Client(daemon.socket) as client:
        yield daemon, client


def rows(record: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in record.read_text().splitlines()] if record.exists() else []


def prompts(record: Path) -> list[str]:
    return [row["prompt"] for row in rows(record)]


async def test_every_prompt_is_submitted(record: Path) -> None:
    """200 of 200, several agents at once: their programs compete for the machine as real ones do."""
    texts = [f"prompt {n}: what is {n} + {n}?" if n % 5 else f"first line {n}\nsecond line" for n in range(PROMPTS)]

    async def converse(client: Client, name: str) -> str:
        made = await client.post("/sessions", {"agent": "fake", "name": name})
        assert made["agent"]["name"] == "fake"
        await client.wait(name, text="? for help")
        for text in texts:
            await client.text(name, text)
            said = f"You said: {text.splitlines()[0]}"
            assert (await client.wait(name, text=said))["outcome"] == "matched", text
        return str(made["agent"]["conversation_id"])

    async with with_agent(record) as (_, client):
        conversations = await asyncio.gather(*(converse(client, f"agent{n}") for n in range(AGENTS)))
    assert len(set(conversations)) == AGENTS
    for conversation in conversations:
        given = [row["prompt"] for row in rows(record) if row["conversation_id"] == conversation]
        assert given == texts


async def test_without_a_delay_the_agent_takes_enter_for_a_line_break(record: Path) -> None:
    """Shows that the fake agent has the habit which the delay is for."""
    async with with_agent(record, submit_delay_ms=0) as (_, client):
        await client.post("/sessions", {"agent": "fake", "name": "agent"})
        await client.wait("agent", text="? for help")
        await client.text("agent", "too fast")
        await client.wait("agent", idle_ms=500)
        assert rows(record) == []


async def test_resume_takes_up_the_conversation_and_restart_begins_another(record: Path) -> None:
    async with with_agent(record) as (daemon, client):
        first = await client.post("/sessions", {"agent": "fake", "name": "agent"})
        await client.wait("agent", text="? for help")
        await client.text("agent", "remember this")
        await eventually(lambda: prompts(record) == ["remember this"])
        await daemon.kill()
        await daemon.start()
        async with Client(daemon.socket) as later:
            resumed = await later.post("/sessions/agent/restart", {"resume": True})
            assert (resumed["id"], resumed["agent"]) == (first["id"], first["agent"])
            await eventually(lambda: shows(later, "> remember this"))
            await later.text("agent", "and this")
            await eventually(lambda: len(rows(record)) == 2)
            again = await later.post("/sessions/agent/restart")
            assert again["agent"]["conversation_id"] != first["agent"]["conversation_id"]
            await eventually(lambda: shows(later, again["agent"]["conversation_id"]))
            assert not await shows(later, "remember this")
    assert [row["conversation_id"] for row in rows(record)] == [first["agent"]["conversation_id"]] * 2


async def test_an_ended_agent_is_resumed(record: Path) -> None:
    async with with_agent(record) as (_, client):
        await client.post("/sessions", {"agent": "fake", "name": "agent"})
        await client.wait("agent", text="? for help")
        await client.text("agent", "one")
        await eventually(lambda: prompts(record) == ["one"])
        await client.text("agent", "/exit")
        assert (await client.wait("agent", exit=True))["outcome"] == "exited"
        await client.post("/sessions/agent/restart", {"resume": True})
        await eventually(lambda: shows(client, "> one"))


async def test_what_cannot_be_resumed_is_said(record: Path) -> None:
    async with with_agent(record, command=[*FAKE_AGENT, "--record", str(record)]) as (_, client):
        made = await client.post("/sessions", {"agent": "fake", "name": "agent"})
        assert made["agent"]["conversation_id"] is None
        refused = await client.post("/sessions/agent/restart", {"resume": True}, expect=409)
        assert "not known" in refused["detail"]
        assert (await client.get("/sessions/agent"))["state"] == "running"
        unknown = await client.post("/sessions", {"agent": "nobody"}, expect=422)
        assert "fake" in unknown["detail"]


async def test_the_profile_sets_the_environment(record: Path, tmp_path: Path) -> None:
    seen = tmp_path / "environment"
    command = ["sh", "-c", f'echo "$ONE $TWO" > {seen}; exec cat']
    async with with_agent(record, command=command, env={"ONE": "profile", "TWO": "profile"}) as (_, client):
        await client.post("/sessions", {"agent": "fake", "env": {"TWO": "request"}})
        await eventually(lambda: seen.exists() and seen.read_text() == "profile request\n")


async def shows(client: Client, text: str) -> bool:
    return any(text in line for line in (await client.get("/sessions/agent/screen"))["lines"])
