"""What executions leave behind: adopted, reaped, and ended after a daemon that died."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from teleclaude.clock import SystemClock
from teleclaude.model import ProcessIdentity
from teleclaude.process import OrphanReaper, ProcessGroup, become_subreaper, end_leftovers, is_subreaper
from teleclaude.process.orphans import SWEEP_SECONDS, reap
from teleclaude.process.proctable import read_stat
from teleclaude.tasks import TaskRegistry
from teleclaude.testing.clock import ManualClock
from tests.support.commands import is_alive
from tests.support.wait import eventually


def zombies() -> list[int]:
    return [child.pid for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE]


@pytest.fixture
def awaited() -> Iterator[subprocess.Popen[bytes]]:
    """A child that has ended and that somebody here will still ask for."""
    process = subprocess.Popen(["/bin/sh", "-c", "exit 3"], start_new_session=True)
    yield process
    assert process.wait(5) == 3


def test_adopting_is_asked_for_and_given_back() -> None:
    assert not is_subreaper()
    assert become_subreaper()
    assert is_subreaper()
    assert become_subreaper(adopt=False)
    assert not is_subreaper()


async def orphan(script: str) -> int:
    """Start ``script`` in the background of a shell that ends; answers the pid of the orphan."""
    line = f"{script} & echo $!"
    shell = await asyncio.create_subprocess_exec("sh", "-c", line, stdout=subprocess.PIPE, start_new_session=True)
    output, _ = await shell.communicate()
    return int(output)


async def test_an_adopted_child_is_reaped_at_the_first_look(adopting: None) -> None:
    pid = await orphan("exec sleep 0.05 >/dev/null")
    await eventually(lambda: zombies() == [pid])
    reaper = OrphanReaper(SystemClock(), lambda _: False)
    assert await asyncio.to_thread(reaper.sweep) == 1
    assert not psutil.Process().children()


async def test_one_that_may_be_awaited_is_reaped_at_the_second(adopting: None) -> None:
    pid = await orphan("exec setsid sleep 0.05 >/dev/null")
    await eventually(lambda: zombies() == [pid])
    reaper = OrphanReaper(SystemClock(), lambda _: False)
    assert await asyncio.to_thread(reaper.sweep) == 0
    assert await asyncio.to_thread(reaper.sweep) == 1


async def test_one_that_is_awaited_is_left_alone(adopting: None, awaited: subprocess.Popen[bytes]) -> None:
    await eventually(lambda: zombies() == [awaited.pid])
    reaper = OrphanReaper(SystemClock(), lambda pid: pid == awaited.pid)
    assert [await asyncio.to_thread(reaper.sweep) for _ in range(3)] == [0, 0, 0]


async def test_it_sweeps_from_time_to_time(adopting: None, tasks: TaskRegistry) -> None:
    clock = ManualClock()
    task = tasks.spawn(OrphanReaper(clock, lambda _: False).run(), name="reap", owner="test")
    pid = await orphan("exec sleep 0.05 >/dev/null")
    await eventually(lambda: zombies() == [pid])
    await clock.advance(SWEEP_SECONDS)
    await eventually(lambda: not psutil.Process().children())
    task.cancel()


def test_only_children_are_reaped() -> None:
    assert not reap(1)
    assert not reap(os.getpid())


@pytest.mark.parametrize("pid", [-1, 0, 1])
def test_b02_no_group_but_a_childs_is_ever_signalled(pid: int) -> None:
    with pytest.raises(ValueError, match="group"):
        ProcessGroup(ProcessIdentity(pid, 0), "e1")


DAEMON = """
import asyncio, os, sys
from teleclaude.clock import SystemClock
from teleclaude.model import ExecutionSpec
from teleclaude.process import ExecutionPolicy, Runner
from teleclaude.tasks import TaskRegistry
from tests.support.commands import MemorySink

async def main():
    clock = SystemClock()
    async with TaskRegistry(clock) as tasks, Runner(tasks, clock, ExecutionPolicy(), os.environ) as runner:
        script = "trap '' HUP TERM; sleep 600 & setsid sleep 600 & sleep 600"
        for name in ("e1", "e2"):
            prepared = await runner.prepare(ExecutionSpec(cwd="/", script=script), name)
            execution = await runner.start(prepared, {"stdout": MemorySink(), "stderr": MemorySink()})
            print(execution.process.pid, execution.process.start_time, file=sys.stderr, flush=True)
        await asyncio.sleep(600)

asyncio.run(main())
"""


def has_descendants(process: psutil.Process, count: int) -> bool:
    return len(process.children(recursive=True)) == count


async def test_what_a_killed_daemon_left_is_found_again() -> None:
    root = Path(__file__).parents[3]
    daemon = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DAEMON, cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert daemon.stderr is not None
    leaders = []
    for _ in range(2):
        pid, start_time = map(int, (await daemon.stderr.readline()).split())
        leaders.append(ProcessIdentity(pid, start_time))
    families = []
    for leader in leaders:
        family = psutil.Process(leader.pid)
        await eventually(partial(has_descendants, family, 3))
        families.append([leader.pid, *(child.pid for child in family.children(recursive=True))])
    daemon.kill()
    await daemon.communicate()
    assert all(map(is_alive, families[0]))

    later = ProcessIdentity(leaders[0].pid, leaders[0].start_time + 1_000_000)
    assert await end_leftovers(later, "e1") == []
    assert await end_leftovers(None, "another") == []
    assert all(map(is_alive, families[0])), "a stranger with the same number was taken for it"

    assert await end_leftovers(leaders[0], "e1") == []
    await eventually(lambda: not any(map(is_alive, families[0])))
    assert all(map(is_alive, families[1]))
    assert await end_leftovers(None, "e2") == []
    await eventually(lambda: not any(map(is_alive, families[1])))
    assert read_stat(leaders[1].pid) is None or not is_alive(leaders[1].pid)
