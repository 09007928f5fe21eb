from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from teleclaude.errors import SubprocessTimeoutError, TooLargeError, UnavailableError
from teleclaude.tasks import process_start_time, run_bounded
from tests.support.files import open_descriptors
from tests.support.wait import eventually


async def test_output_and_code() -> None:
    done = await run_bounded(["sh", "-c", "echo out; echo err >&2; exit 3"], operation="test", timeout=5)
    assert (done.returncode, done.stdout, done.stderr) == (3, b"out\n", b"err\n")


async def test_signal_is_a_negative_code() -> None:
    done = await run_bounded(["sh", "-c", "kill -9 $$"], operation="test", timeout=5)
    assert done.returncode == -signal.SIGKILL


async def test_stdin_env_and_cwd(tmp_path: Path) -> None:
    done = await run_bounded(
        ["/bin/sh", "-c", 'cat; pwd; echo "$WORD"'],
        operation="test",
        timeout=5,
        stdin=b"x" * 300_000,
        env={"WORD": "hello"},
        cwd=tmp_path,
    )
    assert done.stdout == b"x" * 300_000 + f"{tmp_path}\nhello\n".encode()


async def test_no_stdin_is_null() -> None:
    done = await run_bounded(["cat"], operation="test", timeout=5)
    assert (done.returncode, done.stdout) == (0, b"")


async def test_program_that_does_not_read_its_input() -> None:
    done = await run_bounded(["true"], operation="test", timeout=5, stdin=b"x" * 1_000_000)
    assert done.returncode == 0


async def test_missing_program_is_unavailable() -> None:
    with pytest.raises(UnavailableError, match="no-such-program") as caught:
        await run_bounded(["no-such-program"], operation="test.run", timeout=5)
    assert caught.value.operation == "test.run"


async def test_deadline_ends_the_whole_group(tmp_path: Path) -> None:
    script = f"sleep 60 & echo $! >{tmp_path}/pid; sleep 60"
    with pytest.raises(SubprocessTimeoutError) as caught:
        await run_bounded(["sh", "-c", script], operation="test.slow", timeout=0.3)
    assert (caught.value.operation, caught.value.timeout) == ("test.slow", 0.3)
    assert process_start_time(caught.value.pid) is None
    child = int((tmp_path / "pid").read_text())
    await eventually(lambda: process_start_time(child) is None)


async def test_deadline_kills_what_ignores_term() -> None:
    began = time.monotonic()
    with pytest.raises(SubprocessTimeoutError):
        await run_bounded(
            ["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"], operation="test", timeout=0.3, grace=0.1
        )
    assert time.monotonic() - began < 3


async def test_deadline_kills_a_stopped_process() -> None:
    with pytest.raises(SubprocessTimeoutError):
        await run_bounded(["sh", "-c", "kill -STOP $$"], operation="test", timeout=0.2, grace=0.1)


async def test_a_descendant_that_holds_the_pipes_delays_nobody(tmp_path: Path) -> None:
    script = f"setsid sleep 30 & echo $! >{tmp_path}/pid; echo hi"
    began = time.monotonic()
    done = await run_bounded(["sh", "-c", script], operation="test", timeout=10, grace=0.1)
    assert done.stdout == b"hi\n"
    assert time.monotonic() - began < 5
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_deadline_with_pipes_held_elsewhere_returns(tmp_path: Path) -> None:
    script = f"setsid sleep 30 & echo $! >{tmp_path}/pid; sleep 30"
    began = time.monotonic()
    with pytest.raises(SubprocessTimeoutError):
        await run_bounded(["sh", "-c", script], operation="test", timeout=0.3, grace=0.1, stdin=b"x" * 1_000_000)
    assert time.monotonic() - began < 5
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


async def test_too_much_output_is_refused() -> None:
    with pytest.raises(TooLargeError, match="1000 bytes"):
        await run_bounded(["yes"], operation="test", timeout=10, max_output=1000)


async def test_cancellation_ends_the_process(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    run = asyncio.get_running_loop().create_task(
        run_bounded(
            ["sh", "-c", f"echo $$ >{pid_file}.new; mv {pid_file}.new {pid_file}; sleep 60"],
            operation="test",
            timeout=60,
        )
    )
    await eventually(pid_file.exists)
    run.cancel()
    await asyncio.wait([run])
    assert run.cancelled()
    assert process_start_time(int(pid_file.read_text())) is None


async def test_no_descriptor_is_left() -> None:
    await run_bounded(["true"], operation="test", timeout=5)
    before = open_descriptors()
    for _ in range(5):
        await run_bounded(["cat"], operation="test", timeout=5, stdin=b"hello")
    await eventually(lambda: open_descriptors() <= before)
