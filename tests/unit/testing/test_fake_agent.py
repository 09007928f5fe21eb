"""The fake agent on a real terminal: what trips a careless typist trips one here."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from teleclaude.testing.agent_script import Conversation, Rule, Script
from teleclaude.testing.fake_agent import Agent
from teleclaude.testing.typed_keys import Pressed, Typed
from tests.support.wait import eventually

LEISURELY = 0.3
"""Seconds; longer than the trap, so that an Enter is one."""


class Typist:
    """An agent on a pseudo-terminal and the hands in front of it."""

    def __init__(self, master: int, process: subprocess.Popen[bytes], record: Path) -> None:
        self.process = process
        self.output = b""
        self._master = master
        self._record = record

    def read(self) -> None:
        try:
            self.output += os.read(self._master, 65536)
        except OSError:  # the agent has ended
            asyncio.get_running_loop().remove_reader(self._master)

    def write(self, data: bytes) -> None:
        os.write(self._master, data)

    async def sees(self, text: str) -> None:
        await eventually(lambda: text.encode() in self.output, timeout=10)

    async def submit(self, text: str) -> None:
        """As a careful typist does: the Enter on its own, after a while."""
        self.write(text.encode())
        await asyncio.sleep(LEISURELY)
        self.write(b"\r")

    def prompts(self) -> list[str]:
        if not self._record.exists():
            return []
        return [json.loads(line)["prompt"] for line in self._record.read_text().splitlines()]

    def conversation_id(self) -> str:
        found = re.search(rb"conversation ([0-9a-f-]{36})", self.output)
        assert found is not None
        return found[1].decode()

    async def ended(self) -> int:
        return await asyncio.to_thread(self.process.wait, 10)


Start = Callable[..., AbstractAsyncContextManager[Typist]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    record = tmp_path / "prompts.jsonl"

    @asynccontextmanager
    async def start_agent(*arguments: str, rules: list[dict[str, object]] | None = None) -> AsyncIterator[Typist]:
        script = tmp_path / "script.json"
        script.write_text(json.dumps({"rules": rules or []}))
        master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
        argv = [sys.executable, "-m", "teleclaude.testing.fake_agent", "--record", str(record), *arguments, str(script)]
        process = await asyncio.to_thread(subprocess.Popen, argv, stdin=slave, stdout=slave, stderr=slave)
        os.close(slave)
        typist = Typist(master, process, record)
        loop = asyncio.get_running_loop()
        loop.add_reader(master, typist.read)
        try:
            yield typist
        finally:
            loop.remove_reader(master)
            process.kill()
            await typist.ended()
            os.close(master)

    return start_agent


async def test_it_takes_the_terminal_and_gives_it_back(start: Start) -> None:
    async with start() as agent:
        await agent.sees("? for help")
        assert agent.output.startswith(b"\x1b[?1049h\x1b[?2004h")
        await agent.submit("/exit")
        await agent.sees(f"--resume {agent.conversation_id()}")
        assert b"\x1b[?2004l\x1b[?1049l" in agent.output
        assert await agent.ended() == 0
        assert agent.prompts() == []


async def test_an_enter_right_after_text_is_a_line_break(start: Start) -> None:
    async with start() as agent:
        await agent.sees("? for help")
        agent.write(b"first\r")
        await agent.sees("> first")
        await agent.submit("second")
        await eventually(lambda: agent.prompts() == ["first\nsecond"])


async def test_a_paste_stays_a_draft_until_a_later_enter(start: Start) -> None:
    async with start() as agent:
        await agent.sees("? for help")
        await agent.submit("\x1b[200~one\rtwo\x1b[201~")
        await eventually(lambda: agent.prompts() == ["one\ntwo"])
        await agent.sees("● You said: one")


async def test_it_spins_while_it_works_and_is_silent_when_idle(start: Start) -> None:
    async with start(rules=[{"when": "think", "work_ms": 600, "say": "thought"}]) as agent:
        await agent.sees("? for help")
        await agent.submit("think")
        await agent.sees("● thought")
        assert agent.output.count(b"Working") > 3
        await eventually(lambda: agent.output.endswith(b"\x1b[J"))
        quiet = len(agent.output)
        with pytest.raises(AssertionError):
            await eventually(lambda: len(agent.output) > quiet, timeout=0.3)


@pytest.mark.parametrize(
    ("keys", "verdict"), [(b"1", "● done"), (b"\r", "● done"), (b"\x1b[B\r", "Denied"), (b"\x1b", "Denied")]
)
async def test_it_asks_for_permission(start: Start, keys: bytes, verdict: str) -> None:
    async with start(rules=[{"when": "delete", "ask": "Run rm -r build?", "say": "done"}]) as agent:
        await agent.sees("? for help")
        await agent.submit("delete it")
        await agent.sees("Run rm -r build?")
        await agent.sees("❯ 1. Yes")
        agent.write(keys)
        await agent.sees(verdict)


async def test_escape_interrupts_a_turn(start: Start) -> None:
    async with start(rules=[{"when": "long", "work_ms": 60_000}]) as agent:
        await agent.sees("? for help")
        await agent.submit("long one")
        await agent.sees("Working")
        agent.write(b"\x1b")
        await agent.sees("Interrupted")


async def test_a_conversation_is_taken_up_by_its_id(start: Start) -> None:
    async with start() as agent:
        await agent.sees("? for help")
        await agent.submit("remember me")
        await agent.sees("● You said: remember me")
        known = agent.conversation_id()
    async with start("--resume", known) as agent:
        await agent.sees("> remember me")
        assert agent.conversation_id() == known


async def test_an_unknown_conversation_is_refused(start: Start) -> None:
    async with start("--resume", "nobody") as agent:
        assert await agent.ended() == 1
        await agent.sees("No conversation found with id nobody")


async def test_ctrl_c_ends_it_the_second_time(start: Start) -> None:
    async with start() as agent:
        await agent.sees("? for help")
        agent.write(b"\x03")
        await agent.sees("Press Ctrl-C again to exit")
        agent.write(b"\x03")
        assert await agent.ended() == 130


async def test_a_script_can_end_it(start: Start) -> None:
    async with start(rules=[{"when": "crash", "exit": 3}]) as agent:
        await agent.sees("? for help")
        await agent.submit("crash")
        assert await agent.ended() == 3


async def test_a_signal_ends_it_and_the_terminal_is_given_back(start: Start) -> None:
    async with start() as agent:
        await agent.sees("? for help")
        agent.process.send_signal(signal.SIGTERM)
        assert await agent.ended() == 143
        await agent.sees("\x1b[?1049l")


def new_agent(*rules: Rule) -> Agent:
    return Agent(Script(rules=rules), Conversation(None, None))


@pytest.mark.parametrize(("delay", "submitted"), [(0.119, False), (0.121, True)])
def test_the_trap_is_120_ms_long(delay: float, submitted: bool) -> None:
    agent = new_agent(Rule(work_ms=1000))
    agent.take(Typed("hi"), 10.0)
    agent.take(Pressed("enter"), 10.0 + delay)
    assert agent.working is submitted


def test_a_single_key_and_enter_is_no_burst() -> None:
    agent = new_agent(Rule(work_ms=1000))
    agent.take(Typed("y"), 10.0)
    agent.take(Pressed("enter"), 10.01)
    assert agent.working


def test_a_screen_of_any_size_is_never_overfull() -> None:
    agent = new_agent()
    agent.take(Typed("x\n" * 100), time.monotonic())
    for columns, rows in ((1, 1), (10, 5), (80, 24)):
        lines = agent.lines(columns, rows)
        assert len(lines) <= rows
        assert all(len(line) <= columns for line in lines)
