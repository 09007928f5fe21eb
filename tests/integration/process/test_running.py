"""What a command gives: its output, its exit, its streams and limits."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import resource
import sys
import time
from pathlib import Path

import pytest

from teleclaude.errors import ConflictError, ExitedError, InvalidError, UnavailableError
from teleclaude.model import (
    CancelledState,
    CompletedState,
    ExecutionSpec,
    FailedState,
    FailureReason,
    Overflow,
    StreamTotals,
    TimedOutState,
)
from teleclaude.process import ExecutionPolicy
from teleclaude.tasks import TaskRegistry
from tests.support.commands import Commands, MemorySink, is_alive
from tests.support.wait import eventually

PYTHON = sys.executable


def reason(outcome: object) -> FailureReason:
    assert isinstance(outcome, FailedState), outcome
    return outcome.reason


async def test_a_command_and_its_output(commands: Commands) -> None:
    outcome, command = await commands.run("echo out; echo err >&2")
    assert isinstance(outcome, CompletedState)
    assert (bytes(command.stdout.data), bytes(command.stderr.data)) == (b"out\n", b"err\n")
    assert command.execution.totals == {"stdout": StreamTotals(0, 4, 4), "stderr": StreamTotals(0, 4, 4)}
    assert (command.stdout.closed, command.stderr.closed) == (1, 1)
    assert commands.runner.running == {}


async def test_b02_group_session_and_pid_are_one(commands: Commands) -> None:
    command = await commands.start("read x", stdin=True)
    assert os.getpgid(command.pid) == os.getsid(command.pid) == command.pid
    assert command.execution.process.start_time > 0
    await command.execution.close_stdin()
    await command.outcome()


@pytest.mark.parametrize("size", [8_192, 65_536, 200_000, 10_000_000])
async def test_b15_long_lines_are_exact(commands: Commands, size: int) -> None:
    _, command = await commands.run(f"head -c {size} /dev/zero | tr '\\0' x")
    assert command.stdout.data == b"x" * size


async def test_b19_silence_ends_it_when_asked(commands: Commands) -> None:
    began = time.monotonic()
    outcome, command = await commands.run("sleep 3600", idle_timeout_ms=300)
    assert isinstance(outcome, TimedOutState)
    assert 0.3 <= time.monotonic() - began < 2
    assert not is_alive(command.pid)


async def test_b19_what_talks_is_not_idle(commands: Commands) -> None:
    outcome, _ = await commands.run("for i in 1 2 3 4 5 6; do sleep 0.1; echo $i; done", idle_timeout_ms=400)
    assert isinstance(outcome, CompletedState)


async def test_b21_no_task_is_left_at_the_end(commands: Commands, tasks: TaskRegistry) -> None:
    for timeout_ms in (None, 50, 5000):
        command = await commands.start("sleep 0.1; echo x", timeout_ms=timeout_ms, idle_timeout_ms=timeout_ms)
        await command.outcome()
        assert f"execution:{command.execution.id}" not in tasks.counts.active


async def test_b30_environment_and_directory(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    _, command = await commands.run("echo $A:$PWD", env={"A": "1"}, cwd=str(tmp_path / "deep"))
    assert command.stdout.data.decode().strip() == f"1:{tmp_path / 'deep'}"


async def test_nothing_but_the_three_descriptors_is_passed_on(commands: Commands) -> None:
    _, command = await commands.run(argv=("ls", "/proc/self/fd"))
    # ls has one more: the directory it reads.
    assert command.stdout.data.split() == [b"0", b"1", b"2", b"3"]


async def test_c01_over_the_cap_is_a_failure_whatever_the_exit(commands: Commands) -> None:
    for _ in range(30):
        outcome, command = await commands.run("echo 0123456789", max_output_bytes=5, overflow=Overflow.FAIL)
        assert reason(outcome) is FailureReason.OUTPUT_LIMIT
        assert command.stdout.data == b"01234"


async def test_c02_one_stream_over_the_cap_is_enough(commands: Commands) -> None:
    outcome, command = await commands.run("echo ok; echo toomuch >&2", max_output_bytes=4, overflow=Overflow.FAIL)
    assert reason(outcome) is FailureReason.OUTPUT_LIMIT
    assert b"ok\n".startswith(command.stdout.data)


async def test_at_the_cap_is_not_over_it(commands: Commands) -> None:
    outcome, _ = await commands.run("printf 01234", max_output_bytes=5, overflow=Overflow.FAIL)
    assert isinstance(outcome, CompletedState)


async def test_c03_a_sink_that_breaks_ends_it(commands: Commands) -> None:
    began = time.monotonic()
    script = "echo first; sleep 0.2; while :; do echo more; done"
    outcome, command = await commands.run(script, stdout=MemorySink(fails_after=10))
    assert reason(outcome) is FailureReason.STREAM_ERROR
    assert isinstance(outcome, FailedState)
    assert outcome.error is not None
    assert "no space left" in outcome.error.message
    assert bytes(command.stdout.data).startswith(b"first\n")
    assert (command.stdout.closed, command.stderr.closed) == (1, 1)
    assert not is_alive(command.pid)
    assert time.monotonic() - began < 5


async def test_c03_a_sink_that_cannot_be_closed_is_a_broken_stream(commands: Commands) -> None:
    class Unclosable(MemorySink):
        async def close(self) -> None:
            raise OSError("disk is gone")

    outcome, command = await commands.run("echo x", stderr=Unclosable())
    assert reason(outcome) is FailureReason.STREAM_ERROR
    assert (bytes(command.stdout.data), command.stdout.closed) == (b"x\n", 1)


async def test_c04_truncated_output_changes_nothing_else(commands: Commands) -> None:
    program = "import sys; sys.stdout.write('0123456789' * 1000); sys.stdout.flush(); sys.exit(7)"
    outcome, command = await commands.run(argv=(PYTHON, "-c", program), max_output_bytes=1000)
    assert reason(outcome) is FailureReason.NONZERO_EXIT
    assert outcome.ending.exit_code == 7
    assert command.stdout.data == b"0123456789" * 100
    assert command.execution.totals["stdout"] == StreamTotals(0, 1000, 10_000, truncated=True)


async def test_c05_over_the_cap_it_is_dead_within_a_second(commands: Commands) -> None:
    began = time.monotonic()
    outcome, command = await commands.run("trap '' TERM; yes", max_output_bytes=10_000, overflow=Overflow.FAIL)
    assert reason(outcome) is FailureReason.OUTPUT_LIMIT
    assert time.monotonic() - began < 1
    assert len(command.stdout.data) == 10_000


async def test_c06_a_spool_keeps_more(commands: Commands) -> None:
    commands.use(max_output_bytes=10, max_spool_bytes=5000)
    _, command = await commands.run("head -c 4000 /dev/zero", overflow=Overflow.SPOOL)
    assert command.execution.totals["stdout"] == StreamTotals(0, 4000, 4000)
    _, command = await commands.run("head -c 6000 /dev/zero", overflow=Overflow.SPOOL)
    assert command.execution.totals["stdout"] == StreamTotals(0, 5000, 6000, truncated=True)


async def test_c07_a_hundred_thousand_lines(commands: Commands) -> None:
    began = time.monotonic()
    _, command = await commands.run("seq 1 100000")
    assert time.monotonic() - began < 5
    assert command.stdout.data == b"".join(b"%d\n" % number for number in range(1, 100_001))


async def test_c09_a_line_is_there_at_once(commands: Commands) -> None:
    command = await commands.start("while read line; do echo got $line; done", stdin=True)
    for number in range(5):
        await command.execution.write_stdin(b"%d\n" % number)
        began = time.monotonic()
        await command.printed(b"got %d\n" % number)
        assert time.monotonic() - began < 0.2
    await command.execution.close_stdin()
    await command.outcome()


async def test_c10_everything_is_written_before_the_end(commands: Commands) -> None:
    class Slow(MemorySink):
        async def write(self, data: bytes) -> None:
            await asyncio.sleep(0.02)
            await super().write(data)

    commands.use(drain_ms=50)
    _, command = await commands.run("head -c 1000000 /dev/zero", stdout=Slow())
    assert len(command.stdout.data) == 1_000_000
    assert command.stdout.closed == 1


async def test_c11_who_listens_and_fails_changes_nothing(commands: Commands) -> None:
    def refuse(state: object) -> None:
        raise RuntimeError("not interested")

    spec = ExecutionSpec(cwd=commands.cwd, script="echo on; sleep 600")
    prepared = await commands.runner.prepare(spec, "c11")
    sinks = {"stdout": MemorySink(), "stderr": MemorySink()}
    execution = await commands.runner.start(prepared, sinks, refuse)
    await eventually(lambda: sinks["stdout"].data)
    await execution.pause()
    await execution.resume()
    await execution.cancel()
    assert isinstance(await execution.wait(), CancelledState)


async def test_c13_times_are_taken_once(commands: Commands) -> None:
    outcome, command = await commands.run("sleep 0.1")
    ending = outcome.ending
    assert ending.started_at == command.execution.started_at
    assert ending.duration_ms is not None
    assert 100 <= ending.duration_ms < 3000
    assert command.execution.outcome is outcome is await command.outcome()


async def test_c16_codes_and_signals(commands: Commands) -> None:
    outcome, _ = await commands.run("exit 3")
    assert (reason(outcome), outcome.ending.exit_code) == (FailureReason.NONZERO_EXIT, 3)
    outcome, _ = await commands.run("kill -SEGV $$")
    assert (reason(outcome), outcome.ending.exit_code) == (FailureReason.SIGNAL, None)
    assert outcome.ending.signal == "SEGV"


async def test_c17_a_time_out_keeps_what_was_printed(commands: Commands, adopting: None) -> None:
    script = "setsid sleep 600 & echo $!; sh -c 'echo $$; exec sleep 600' & wait"
    began = time.monotonic()
    outcome, command = await commands.run(script, timeout_ms=300)
    assert isinstance(outcome, TimedOutState)
    assert time.monotonic() - began < 0.3 + 2
    pids = [int(pid) for pid in command.stdout.data.split()]
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in [*pids, command.pid])


async def test_c18_too_long_a_time_is_refused_before_the_start(commands: Commands) -> None:
    commands.use(max_timeout_ms=1000)
    with pytest.raises(InvalidError, match="timeout_ms"):
        await commands.start("true", timeout_ms=1001)


async def test_c20_without_input_there_is_none(commands: Commands) -> None:
    outcome, command = await commands.run(argv=("cat",))
    assert isinstance(outcome, CompletedState)
    assert command.stdout.data == b""
    with pytest.raises(ExitedError):
        await command.execution.write_stdin(b"x")
    command = await commands.start("sleep 600")
    with pytest.raises(ConflictError, match="without standard input"):
        await command.execution.write_stdin(b"x")
    await command.execution.cancel()
    await command.outcome()


async def test_c20_a_text_is_the_whole_input(commands: Commands) -> None:
    text = "ä\n" * 100_000
    _, command = await commands.run(argv=("cat",), stdin=text)
    assert command.stdout.data == text.encode()


async def test_c20_input_and_its_end(commands: Commands) -> None:
    command = await commands.start(argv=("cat",), stdin=True)
    await command.execution.write_stdin(b"a\0\xff")
    await command.printed(b"a\0\xff")
    await command.execution.write_stdin(b"b")
    await command.execution.close_stdin()
    with pytest.raises((ConflictError, ExitedError)):
        await command.execution.write_stdin(b"c")
    assert isinstance(await command.outcome(), CompletedState)
    assert command.stdout.data == b"a\0\xffb"


async def test_c21_e9_the_leaders_exit_is_the_end(commands: Commands, subreaper: bool) -> None:
    commands.use(drain_ms=200)
    began = time.monotonic()
    outcome, command = await commands.run("sleep 600 & echo $!; echo hi")
    assert isinstance(outcome, CompletedState)
    assert time.monotonic() - began < 2
    pid, hi = command.stdout.data.split()
    assert hi == b"hi"
    assert not is_alive(int(pid))


async def test_c21_what_ends_in_time_is_let_end(commands: Commands, tmp_path: Path, subreaper: bool) -> None:
    commands.use(drain_ms=5000)
    began = time.monotonic()
    await commands.run("(sleep 0.2; touch done) >/dev/null 2>&1 &")
    assert (tmp_path / "done").exists()
    assert time.monotonic() - began < 3


async def test_c22_any_bytes_are_exact(commands: Commands, tmp_path: Path) -> None:
    data = os.urandom(1_000_000) + b"\r\n\xe4\xf6\r" + "€".encode()[:2]
    (tmp_path / "data").write_bytes(data)
    _, command = await commands.run("cat data; cat data >&2")
    assert command.stdout.data == data
    assert command.stderr.data == data


async def test_c23_a_flood_without_newlines_takes_no_memory(commands: Commands) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    _, command = await commands.run("head -c 300000000 /dev/zero", max_output_bytes=1000)
    assert command.execution.totals["stdout"].total == 300_000_000
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


async def test_b13_a_flood_leaves_the_loop_to_others(commands: Commands) -> None:
    command = await commands.start(argv=("yes",), max_output_bytes=0)
    lags = []
    for _ in range(100):
        began = time.monotonic()
        await asyncio.sleep(0.001)
        lags.append(time.monotonic() - began)
    await command.execution.cancel()
    await command.outcome()
    assert sorted(lags)[98] < 0.1


@pytest.mark.parametrize("spec", [{"argv": ("no-such-program",)}, {"script": "true", "cwd": "/no/such"}])
async def test_c24_what_cannot_run_is_refused_before_anything(commands: Commands, spec: dict[str, object]) -> None:
    with pytest.raises(InvalidError):
        await commands.start(**spec)  # type: ignore[arg-type]


async def test_c24_a_file_the_kernel_does_not_run(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "noise").write_bytes(b"\x00\x01\x02")
    (tmp_path / "script").write_text("#!/no/such/interpreter\n")
    for name, advice in (("noise", "name its interpreter"), ("script", "on its first line")):
        (tmp_path / name).chmod(0o755)
        with pytest.raises(InvalidError, match=f"cannot be started: .*{advice}"):
            await commands.start(argv=(f"./{name}",))
    assert commands.runner.running == {}


async def test_b24_a_machine_that_cannot_start_programs_is_not_asked_again(commands: Commands) -> None:
    await commands.run("true")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        for _ in range(5):
            with pytest.raises(UnavailableError, match="Too many open files"):
                await commands.start("true")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert commands.runner.is_failing
    with pytest.raises(UnavailableError, match="attempts"):
        await commands.start("true")
    assert commands.runner.running == {}


async def test_c27_each_stream_keeps_its_order(commands: Commands) -> None:
    _, command = await commands.run("for i in $(seq 500); do echo o$i; echo e$i >&2; done")
    assert command.stdout.data.split() == [b"o%d" % number for number in range(1, 501)]
    assert command.stderr.data.split() == [b"e%d" % number for number in range(1, 501)]


async def test_c27_one_order_over_both_streams(commands: Commands) -> None:
    script = "for i in 1 2 3; do printf out; sleep 0.05; printf error >&2; sleep 0.05; done"
    order = MemorySink()
    command = await commands.start(script, order=order)
    await command.outcome()
    assert [json.loads(line) for line in order.data.splitlines()] == [
        {"seq": 1, "stream": "stdout", "from": 0, "to": 3},
        {"seq": 2, "stream": "stderr", "from": 0, "to": 5},
        {"seq": 3, "stream": "stdout", "from": 3, "to": 6},
        {"seq": 4, "stream": "stderr", "from": 5, "to": 10},
        {"seq": 5, "stream": "stdout", "from": 6, "to": 9},
        {"seq": 6, "stream": "stderr", "from": 10, "to": 15},
    ]
    assert order.closed == 1


async def test_c27_an_order_that_cannot_be_kept_changes_nothing_else(commands: Commands) -> None:
    command = await commands.start("echo x; sleep 0.1; echo y >&2; sleep 0.1; echo z", order=MemorySink(fails_after=0))
    assert isinstance(await command.outcome(), CompletedState)
    assert command.stdout.data == b"x\nz\n"


async def test_e12_a_program_that_reads_or_wants_a_tty_does_not_hang(commands: Commands) -> None:
    outcome, _ = await commands.run("cat; echo x >/dev/tty")
    assert reason(outcome) is FailureReason.NONZERO_EXIT


async def test_a_stopped_daemon_starts_nothing(tasks: TaskRegistry, tmp_path: Path) -> None:
    commands = Commands(tasks, str(tmp_path), ExecutionPolicy(grace_ms=100))
    async with commands:
        command = await commands.start("trap '' TERM; echo on; sleep 600 & wait")
        await command.printed(b"on")
    assert command.execution.outcome is not None
    assert not is_alive(command.pid)
    with pytest.raises(UnavailableError):
        await commands.start("true")


async def test_output_of_many_commands_at_once(commands: Commands) -> None:
    started = [await commands.start(f"seq {number} {number + 2000}") for number in range(30)]
    for number, command in enumerate(started):
        await command.outcome()
        expected = b"".join(b"%d\n" % line for line in range(number, number + 2001))
        assert hashlib.sha256(command.stdout.data).digest() == hashlib.sha256(expected).digest()
    await eventually(lambda: not commands.runner.running)
