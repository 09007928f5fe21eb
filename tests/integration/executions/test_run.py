"""``teleclaude run`` against a real daemon: a command elsewhere, as if it ran here."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import pytest

from tests.support.daemon import Client, DaemonProcess
from tests.support.executions import all_events, marked
from tests.support.wait import eventually

SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: bytes
    err: bytes


@asynccontextmanager
async def started(
    daemon: DaemonProcess, *words: str, stdin: int = subprocess.DEVNULL, out: int = subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    command = (sys.executable, "-m", "teleclaude", "run", *words)
    process = await asyncio.create_subprocess_exec(
        *command, env=daemon.environ, cwd=daemon.home, stdin=stdin, stdout=out, stderr=out
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def run(daemon: DaemonProcess, *words: str, stdin: bytes = b"") -> Ended:
    async with started(daemon, *words, stdin=subprocess.PIPE) as process:
        out, err = await asyncio.wait_for(process.communicate(stdin), SECONDS)
        assert process.returncode is not None
        return Ended(process.returncode, out, err)


async def test_both_streams_and_the_code_are_the_commands(daemon: DaemonProcess) -> None:
    ended = await run(daemon, "--", "sh", "-c", "echo out; echo err >&2; exit 7")
    assert ended == Ended(7, b"out\n", b"err\n")


async def test_it_runs_where_it_was_typed(daemon: DaemonProcess) -> None:
    ended = await run(daemon, "--env", "COLOUR=red", "--shell", 'pwd; echo "$COLOUR"')
    assert ended.out.decode() == f"{daemon.home}\nred\n"


async def test_bytes_pass_unchanged_through_a_pipe(daemon: DaemonProcess) -> None:
    source = daemon.home / "blob"
    source.write_bytes(os.urandom(500_000) + b"\x1b[31m\r\n\0")
    ended = await run(daemon, "--", "cat", str(source))
    assert (ended.code, ended.err) == (0, b"")
    assert ended.out == source.read_bytes()


@pytest.mark.parametrize(
    ("words", "code", "remark"),
    [
        (("--shell", "kill -SEGV $$"), 139, b"SEGV"),
        (("--timeout", "0.2", "--", "sleep", "60"), 124, b"timed_out"),
        (("--", "no-such-program"), 126, b"no-such-program"),
        (("--",), 2, b"missing"),
        (("--shell", "true", "--", "true"), 2, b"--shell"),
    ],
)
async def test_the_code_says_how_it_ended(
    daemon: DaemonProcess, words: tuple[str, ...], code: int, remark: bytes
) -> None:
    ended = await run(daemon, *words)
    assert ended.code == code
    assert remark in ended.err


async def test_input_is_passed_on_when_asked_for(daemon: DaemonProcess) -> None:
    assert (await run(daemon, "-i", "--", "tr", "a-z", "A-Z", stdin=b"shout\n")).out == b"SHOUT\n"
    assert (await run(daemon, "--", "wc", "-c", stdin=b"not sent")).out == b"0\n"


async def test_json_is_the_execution(daemon: DaemonProcess) -> None:
    ended = await run(daemon, "--json", "--", "sh", "-c", "echo hidden; exit 3")
    found = json.loads(ended.out)
    assert ended.code == 3
    assert (found["status"], found["exit_code"]) == ("failed", 3)
    assert found["streams"]["stdout"]["end"] == len("hidden\n")


async def test_without_a_reader_the_command_ends(daemon: DaemonProcess, client: Client) -> None:
    read, write = os.pipe()
    async with started(daemon, "--", "yes", out=write) as process:
        os.close(write)
        assert os.read(read, 2) == b"y\n"
        os.close(read)
        assert await asyncio.wait_for(process.wait(), SECONDS) == 141

    async def ended() -> bool:
        return bool((await client.get("/executions"))["executions"][0]["completed_at"])

    await eventually(ended)


async def test_without_a_place_for_its_output_the_command_ends(daemon: DaemonProcess, client: Client) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    async with started(daemon, "--", "yes", out=full) as process:
        os.close(full)
        assert await asyncio.wait_for(process.wait(), SECONDS) == 1

    async def ended() -> bool:
        return bool((await client.get("/executions"))["executions"][0]["completed_at"])

    await eventually(ended)


async def test_output_that_was_cut_is_said(daemon: DaemonProcess) -> None:
    ended = await run(daemon, "--shell", "head -c 17000000 /dev/zero; exit 3")
    assert (ended.code, len(ended.out)) == (3, 16 << 20)
    assert b"stdout" in ended.err
    assert b"16777216 of 17000000 bytes" in ended.err


async def test_ctrl_c_interrupts_and_a_second_one_ends_it(daemon: DaemonProcess) -> None:
    script = "trap 'echo caught' INT; echo ready; while :; do sleep 0.05; done"
    async with started(daemon, "--", "sh", "-c", script) as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(signal.SIGINT)
        assert await process.stdout.readline() == b"caught\n"
        process.send_signal(signal.SIGINT)
        _, err = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 128 + signal.SIGTERM, err


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
async def test_being_ended_ends_the_command(daemon: DaemonProcess, client: Client, number: signal.Signals) -> None:
    async with started(daemon, "--", "sh", "-c", "echo ready; sleep 600") as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
        process.send_signal(number)
        _, err = await asyncio.wait_for(process.communicate(), SECONDS)
        assert process.returncode == 128 + signal.SIGTERM, err
    newest = [event for event in await all_events(client) if event["type"] == "execution.exit"][-1]
    assert newest["data"]["status"] == "cancelled"
    assert marked({"id": newest["execution_id"]}) == []


async def test_a_terminal_shows_progress_of_long_work_and_no_stray_sequences(daemon: DaemonProcess) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    script = "printf 'a\\033]0;title\\007b\\n'; sleep 3; echo done"
    try:
        async with started(daemon, "--shell", script, out=theirs) as process:
            assert await asyncio.wait_for(process.wait(), SECONDS) == 0
        shown = os.read(ours, 65536)
    finally:
        os.close(ours)
        os.close(theirs)
    assert 1 <= shown.count(b"running for") <= 3
    assert b"ab\r\n" in shown
    assert b"title" not in shown
    assert shown.endswith(b"done\r\n")
