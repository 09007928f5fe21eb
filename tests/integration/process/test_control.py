"""Pausing, interrupting and ending commands, with everything they started."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import psutil
import pytest

from teleclaude.api import TaskPolicy
from teleclaude.errors import ConflictError, ExitedError, InvalidError, TeleclaudeError
from teleclaude.model import (
    CancelledState,
    CompletedState,
    FailedState,
    FailureReason,
    PausedState,
    RunningState,
    StoppingState,
    TimedOutState,
)
from teleclaude.process import ExecutionPolicy, runner
from teleclaude.tasks import TaskRegistry
from tests.support.commands import Command, Commands, is_alive, state_of
from tests.support.files import open_descriptors
from tests.support.wait import eventually

TREE = "sleep 600 & echo $!; sh -c 'sleep 600 & echo $!; wait' & wait"
"""A command with two descendants that print their numbers."""


async def pids_of(command: Command, count: int) -> list[int]:
    """The numbers that ``command`` printed, once there are ``count``."""
    await eventually(lambda: command.stdout.data.count(b"\n") >= count)
    return [int(pid) for pid in command.stdout.data.split()]


async def test_b01_a_cancelled_command_takes_its_descendants_along(commands: Commands, subreaper: bool) -> None:
    command = await commands.start(TREE)
    pids = await pids_of(command, 2)
    await command.execution.cancel()
    outcome = await command.outcome()
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.signal == "TERM"
    assert not any(map(is_alive, [*pids, command.pid]))


async def test_b03_the_leader_is_gone_and_its_child_dies(commands: Commands, subreaper: bool) -> None:
    commands.use(drain_ms=60_000)
    command = await commands.start("trap '' TERM; sleep 600 & echo $!; exit 0")
    [child] = await pids_of(command, 1)
    await eventually(lambda: not is_alive(command.pid))
    with pytest.raises(ExitedError):
        await command.execution.pause()
    began = time.monotonic()
    await command.execution.cancel()
    assert isinstance(command.execution.state, StoppingState)
    outcome = await command.outcome()
    assert time.monotonic() - began < 2
    assert not is_alive(child)
    # The leader had ended by itself before anybody asked.
    assert isinstance(outcome, CompletedState)


async def test_b04_pauses_back_to_back_while_it_ends(commands: Commands) -> None:
    command = await commands.start("sleep 0.1; echo done")
    answers: list[str] = []
    for _ in range(10):
        for control in (command.execution.pause, command.execution.resume):
            try:
                await control()
                answers.append("ok")
            except ExitedError:
                answers.append("exited")
    assert answers[0] == "ok"
    outcome = await command.outcome()
    assert isinstance(outcome, CompletedState)
    for control in (command.execution.pause, command.execution.resume, command.execution.interrupt):
        with pytest.raises(ExitedError):
            await control()
    with pytest.raises(ExitedError):
        await command.execution.cancel()
    with pytest.raises(ExitedError):
        await command.execution.signal("TERM")


async def test_b04_controls_all_at_once(commands: Commands) -> None:
    command = await commands.start("sleep 0.2; echo done")
    controls = [command.execution.pause, command.execution.resume] * 10
    answers = await asyncio.gather(*(control() for control in controls), return_exceptions=True)
    assert all(answer is None or isinstance(answer, ExitedError) for answer in answers)
    assert isinstance(await command.outcome(), CompletedState)
    assert command.stdout.data == b"done\n"


COUNTER = "i=0; while :; do i=$((i+1)); echo $i; done"
BUSY = "setsid sh -c 'echo $$ >&2; while :; do sleep 0.01; done' & " + COUNTER


async def test_b05_paused_everybody_is_stopped_and_nothing_is_read(commands: Commands, subreaper: bool) -> None:
    command = await commands.start(BUSY)
    await eventually(lambda: command.stderr.data and command.stdout.data.count(b"\n") > 1000)
    await command.execution.pause()
    assert isinstance(command.execution.state, PausedState)
    family = [command.pid, *(child.pid for child in psutil.Process(command.pid).children(recursive=True))]
    assert int(command.stderr.data) in family
    assert {state_of(pid) for pid in family} <= {"T", "Z"}
    assert state_of(command.pid) == state_of(int(command.stderr.data)) == "T"
    size = len(command.stdout.data)
    await command.execution.pause()
    await asyncio.sleep(0.2)
    assert len(command.stdout.data) == size
    await command.execution.resume()
    assert isinstance(command.execution.state, RunningState)
    await eventually(lambda: len(command.stdout.data) > size + 1000)
    await command.execution.cancel()
    await command.outcome()
    lines = command.stdout.data.split(b"\n")[:-1]
    assert lines == [b"%d" % number for number in range(1, len(lines) + 1)]
    assert [type(state) for state in command.states] == [PausedState, RunningState, StoppingState]


async def test_b05_a_pause_is_quick_whatever_is_being_started(commands: Commands) -> None:
    """A shell that starts programs all the time is often caught in the middle of it."""
    command = await commands.start("while :; do /bin/true; done")
    times = []
    for _ in range(30):
        began = time.monotonic()
        await command.execution.pause()
        times.append(time.monotonic() - began)
        assert state_of(command.pid) == "T"
        await command.execution.resume()
    assert sorted(times)[15] < 0.2
    await command.execution.cancel()
    await command.outcome()


async def test_b06_a_paused_command_can_be_cancelled(commands: Commands) -> None:
    command = await commands.start("echo on; sleep 600 & wait")
    await command.printed(b"on")
    await command.execution.pause()
    began = time.monotonic()
    await command.execution.cancel()
    with pytest.raises(ConflictError):
        await command.execution.resume()
    outcome = await command.outcome()
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.signal == "TERM"
    assert time.monotonic() - began < 1


async def test_b06_cancelled_in_the_middle_of_a_pause(commands: Commands) -> None:
    for _ in range(10):
        command = await commands.start("echo on; sleep 600 & wait")
        await command.printed(b"on")
        pause, _ = await asyncio.gather(command.execution.pause(), command.execution.cancel(), return_exceptions=True)
        assert pause is None or isinstance(pause, TeleclaudeError)
        began = time.monotonic()
        assert isinstance(await command.outcome(), CancelledState)
        assert time.monotonic() - began < 1


async def test_b07_who_ignores_term_is_killed_after_the_grace(commands: Commands) -> None:
    commands.use(grace_ms=300)
    command = await commands.start("trap '' TERM; echo on; while :; do sleep 0.1; done")
    await command.printed(b"on")
    began = time.monotonic()
    await command.execution.cancel()
    outcome = await command.outcome()
    assert 0.3 <= time.monotonic() - began < 2
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.signal == "KILL"


async def test_b07_who_tidies_up_in_time_keeps_its_code(commands: Commands) -> None:
    command = await commands.start("trap 'echo bye; exit 9' TERM; echo on; while :; do sleep 0.05; done")
    await command.printed(b"on")
    await command.execution.cancel()
    outcome = await command.outcome()
    assert isinstance(outcome, CancelledState)
    assert (outcome.ending.exit_code, outcome.ending.signal) == (9, None)
    assert command.stdout.data == b"on\nbye\n"


async def test_b08_cancelled_twice_it_ends_once(commands: Commands) -> None:
    commands.use(grace_ms=200)
    command = await commands.start("trap '' TERM; echo on; sleep 600 & wait; sleep 600")
    await command.printed(b"on")
    for _ in range(2):
        await command.execution.cancel()
        assert isinstance(command.execution.state, StoppingState)
        assert is_alive(command.pid)
    assert isinstance(await command.outcome(), CancelledState)
    assert [type(state) for state in command.states] == [StoppingState]


async def test_b09_an_unknown_signal_touches_nothing(commands: Commands) -> None:
    command = await commands.start("read x; echo fine", stdin=True)
    with pytest.raises(InvalidError):
        await command.execution.signal("INVALID")
    await command.execution.write_stdin(b"\n")
    assert isinstance(await command.outcome(), CompletedState)


async def test_interrupted_it_may_live_on(commands: Commands) -> None:
    command = await commands.start("trap 'echo caught' INT; echo on; read x; read x; echo end", stdin=True)
    await command.printed(b"on")
    await command.execution.interrupt()
    await command.execution.write_stdin(b"\n\n")
    await command.printed(b"caught")
    assert isinstance(await command.outcome(), CompletedState)


async def test_signals_by_name(commands: Commands) -> None:
    command = await commands.start("trap 'echo usr1' USR1; echo on; while :; do sleep 0.02; done")
    await command.printed(b"on")
    await command.execution.signal("SIGUSR1")
    await command.printed(b"usr1")
    await command.execution.signal("STOP")
    assert isinstance(command.execution.state, PausedState)
    assert state_of(command.pid) == "T"
    await command.execution.signal("CONT")
    assert isinstance(command.execution.state, RunningState)
    await command.execution.signal("KILL")
    outcome = await command.outcome()
    assert isinstance(outcome, FailedState)
    assert (outcome.reason, outcome.ending.signal) == (FailureReason.SIGNAL, "KILL")


async def test_a_paused_command_is_not_idle_but_its_time_runs(commands: Commands) -> None:
    command = await commands.start("echo on; sleep 600", idle_timeout_ms=500, timeout_ms=1300)
    await command.printed(b"on")
    await command.execution.pause()
    outcome = await command.outcome()
    assert isinstance(outcome, TimedOutState)
    assert outcome.ending.duration_ms is not None
    assert outcome.ending.duration_ms >= 1300


class FailingTasks:
    """A registry that refuses its ``allowed`` + first spawn: the fault between spawn and registration."""

    def __init__(self, tasks: TaskRegistry, allowed: int) -> None:
        self._tasks = tasks
        self._left = allowed

    def spawn(
        self,
        work: Coroutine[Any, Any, None] | Callable[[], Coroutine[Any, Any, None]],
        *,
        name: str,
        owner: str,
        policy: TaskPolicy = TaskPolicy.REPORT,
    ) -> asyncio.Task[None]:
        if self._left == 0:
            if asyncio.iscoroutine(work):
                work.close()
            raise RuntimeError("no more tasks")
        self._left -= 1
        return self._tasks.spawn(work, name=name, owner=owner, policy=policy)

    async def cancel_owner(self, owner: str, timeout: float) -> list[str]:
        return await self._tasks.cancel_owner(owner, timeout)


async def test_b11_a_fault_after_the_spawn_leaves_nothing(tasks: TaskRegistry, tmp_path: Path) -> None:
    async with Commands(FailingTasks(tasks, 0), str(tmp_path)) as commands:
        await asyncio.to_thread(os.getpid)
        before = open_descriptors()
        with pytest.raises(RuntimeError, match="no more tasks"):
            await commands.start("sleep 600", stdin="x" * 200_000)
        assert commands.runner.running == {}
        assert open_descriptors() == before
        assert psutil.Process().children() == []


@pytest.mark.parametrize("allowed", [1, 2, 3])
async def test_b11_a_fault_while_it_is_followed_ends_it(tasks: TaskRegistry, tmp_path: Path, allowed: int) -> None:
    async with Commands(FailingTasks(tasks, allowed), str(tmp_path)) as commands:
        command = await commands.start("sleep 600", timeout_ms=60_000)
        outcome = await command.outcome()
        assert isinstance(outcome, FailedState)
        assert outcome.reason is FailureReason.STREAM_ERROR
        assert not is_alive(command.pid)
        assert (command.stdout.closed, command.stderr.closed) == (1, 1)


async def test_b11_a_cancelled_start_leaves_nothing(commands: Commands) -> None:
    for turns in range(30):
        starting = asyncio.gather(commands.start("sleep 600"))
        for _ in range(turns):
            await asyncio.sleep(0)
        starting.cancel()
        try:
            [command] = await starting
        except asyncio.CancelledError:
            continue
        await command.execution.cancel()
        await command.outcome()
    await eventually(lambda: not commands.runner.running and not psutil.Process().children())


async def test_b11_a_task_that_never_ran_leaves_nothing(tasks: TaskRegistry, tmp_path: Path) -> None:
    async with Commands(tasks, str(tmp_path)) as commands:
        command = await commands.start("sleep 600")
        # Before the task that follows it had its first turn.
        await tasks.cancel_owner(f"execution:{command.execution.id}", 5)
        assert isinstance(await command.outcome(), CancelledState)
        await eventually(lambda: not psutil.Process().children())


async def test_b23_the_daemon_that_drains_its_tasks_ends_commands(tasks: TaskRegistry, tmp_path: Path) -> None:
    commands = Commands(tasks, str(tmp_path), ExecutionPolicy(grace_ms=100))
    command = await commands.start("trap '' TERM; echo on; sleep 600")
    await command.printed(b"on")
    assert await tasks.drain(5) == []
    assert isinstance(await command.outcome(), CancelledState)
    assert not is_alive(command.pid)


async def test_b23_ten_commands_end_with_the_runner(tasks: TaskRegistry, tmp_path: Path) -> None:
    async with Commands(tasks, str(tmp_path)) as commands:
        started = [await commands.start(TREE) for _ in range(10)]
        pids = [pid for command in started for pid in await pids_of(command, 2)]
    assert not any(map(is_alive, pids))
    for command in started:
        assert isinstance(await command.outcome(), CancelledState)


async def test_b23_a_long_grace_does_not_keep_the_daemon(
    tasks: TaskRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "STOP_GRACE_SECONDS", 0.2)
    async with Commands(tasks, str(tmp_path), ExecutionPolicy(grace_ms=60_000)) as commands:
        command = await commands.start("trap '' TERM; echo on; sleep 600 & wait; sleep 600")
        await command.printed(b"on")
        began = time.monotonic()
    assert time.monotonic() - began < 2
    assert not is_alive(command.pid)
    outcome = await command.outcome()
    assert isinstance(outcome, CancelledState)
    assert outcome.ending.signal == "KILL"


async def test_b25_many_groups_at_once_do_not_hold_the_loop(commands: Commands, adopting: None) -> None:
    started = [await commands.start("sleep 600 & wait") for _ in range(50)]
    turns: list[float] = []

    async def measure() -> None:
        # In time of ours on the processor, to which what else goes on here adds nothing.
        while commands.runner.running:
            began = time.process_time()
            await asyncio.sleep(0.001)
            turns.append(time.process_time() - began)

    for command in started:
        await command.execution.cancel()
    await asyncio.wait_for(measure(), 20)
    for command in started:
        assert isinstance(await command.outcome(), CancelledState)
    assert sorted(turns)[int(len(turns) * 0.99) - 1] < 0.1


async def test_e8_who_took_a_session_of_its_own_is_ended_too(commands: Commands, adopting: None) -> None:
    commands.use(drain_ms=200)
    script = "setsid sleep 600 & echo $!; (setsid sh -c 'echo $$; exec sleep 600' &); sleep 0.1; %s"
    for end, kind in (("exit 0", CompletedState), ("sleep 600", TimedOutState)):
        outcome, command = await commands.run(script % end, timeout_ms=500)
        assert isinstance(outcome, kind)
        pids = await pids_of(command, 2)
        assert not any(map(is_alive, pids))
    # What was adopted was reaped, too.
    assert psutil.Process().children() == []


async def test_strangers_are_never_touched(commands: Commands, adopting: None) -> None:
    commands.use(drain_ms=100)
    other = await commands.start("setsid sleep 600 & echo $!; exec sleep 600")
    [escaped] = await pids_of(other, 1)
    stranger = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    try:
        for _ in range(5):
            outcome, _ = await commands.run("setsid sleep 600 & setsid sleep 600 & exit 0")
            assert isinstance(outcome, CompletedState)
            await commands.run("sleep 600", timeout_ms=10)
        assert is_alive(stranger.pid)
        assert is_alive(escaped)
        assert is_alive(other.pid)
    finally:
        stranger.send_signal(signal.SIGKILL)
        await stranger.wait()
    await other.execution.cancel()
    await other.outcome()
    assert not is_alive(escaped)


async def test_e11_what_multiplies_is_ended(commands: Commands, adopting: None) -> None:
    """A family that forks on and on, in and out of the group, while it is being killed."""
    commands.use(grace_ms=100)
    script = "trap '' TERM; while :; do setsid sleep 600 & sleep 0.005; sleep 600 & done"
    command = await commands.start(script)
    await eventually(lambda: len(psutil.Process(command.pid).children()) > 20)
    await command.execution.cancel()
    assert isinstance(await command.outcome(), CancelledState)
    await eventually(lambda: not psutil.Process().children())
