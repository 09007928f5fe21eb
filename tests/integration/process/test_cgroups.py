"""Control groups, version 2, for real where this machine has a writable hierarchy of them."""

from __future__ import annotations

import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from teleclaude.model import CompletedState
from teleclaude.process import CgroupRoot
from teleclaude.process.cgroup import LEAF, Cgroup, parse_mount
from teleclaude.tasks import TaskRegistry
from tests.support.commands import Commands, is_alive
from tests.support.wait import eventually


@pytest.fixture
def root() -> Iterator[CgroupRoot]:
    mount = parse_mount(Path("/proc/self/mountinfo").read_text())
    if mount is None:
        pytest.skip("no version 2 hierarchy here")
    directory = Path(mount[1]) / f"tc-test-{secrets.token_hex(4)}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"the version 2 hierarchy is not writable: {error}")
    yield CgroupRoot(directory)
    Cgroup(directory).remove()


@pytest.fixture
async def grouped(tasks: TaskRegistry, tmp_path: Path, root: CgroupRoot) -> AsyncIterator[Commands]:
    async with Commands(tasks, str(tmp_path), cgroups=root) as commands:
        yield commands


async def test_e8_who_hides_every_other_trace_is_ended_too(grouped: Commands, root: CgroupRoot) -> None:
    """Own session, no parent, no mark: nothing but the group knows where it comes from."""
    grouped.use(drain_ms=200)
    script = "(env -i setsid /bin/sh -c 'echo $$; exec sleep 600' &) ; sleep 0.2"
    outcome, command = await grouped.run(script)
    assert isinstance(outcome, CompletedState)
    assert not is_alive(int(command.stdout.data))
    assert list(root.directory.glob("execution-*")) == []


async def test_the_group_changes_nothing_else(grouped: Commands) -> None:
    _, command = await grouped.run(
        argv=("/bin/sh", "-c", 'echo "$0:$1:$A"; cat; exit 5', "x y", "*"), env={"A": "1"}, stdin="in"
    )
    outcome = await command.outcome()
    assert outcome.ending.exit_code == 5
    assert command.stdout.data == b"x y:*:1\nin"
    assert command.stderr.data == b""


async def test_b05_it_is_paused_too(grouped: Commands) -> None:
    command = await grouped.start("(env -i setsid /bin/sh -c 'while :; do echo on; done' &) ; sleep 600")
    await command.printed(b"on\n")
    await command.execution.pause()
    size = len(command.stdout.data)
    await command.execution.resume()
    await eventually(lambda: len(command.stdout.data) > size)
    await command.execution.cancel()
    await command.outcome()


_ENABLING = """
import os, sys
from pathlib import Path
from teleclaude.process import CgroupRoot, claim
from teleclaude.process.cgroup import find_delegated
root = Path(sys.argv[1])
(root / "cgroup.procs").write_text("0")
os.setxattr(root, "trusted.delegate" if os.geteuid() == 0 else "user.delegate", b"1")
for _ in range(2):
    assert claim() == CgroupRoot(root)
    assert find_delegated() is None
    CgroupRoot(root).enable(sys.argv[2])
print(Path("/proc/self/cgroup").read_text())
"""


def _enabling(root: CgroupRoot, controller: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _ENABLING, str(root.directory), controller],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def test_caps_reach_the_groups_although_the_daemon_lives_beside_them(root: CgroupRoot) -> None:
    """A group with a process in it passes no controller on, and the daemon starts in the one it divides."""
    controllers = (root.directory / "cgroup.controllers").read_text().split()
    if not controllers:
        pytest.skip("no controller of version 2 is passed on to us")
    done = _enabling(root, controllers[0])
    assert done.returncode == 0, done.stderr
    assert f"{root.directory.name}/{LEAF}\n" in done.stdout
    group = root.create("e1")
    assert group is not None
    assert controllers[0] in (group.directory / "cgroup.controllers").read_text().split()


def test_a_controller_that_is_not_there_is_said(root: CgroupRoot) -> None:
    done = _enabling(root, "nonsense")
    assert done.returncode != 0
    assert "OSError" in done.stderr


def test_caps_that_cannot_be_enforced_cost_nothing_else(root: CgroupRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_root: CgroupRoot, *_controllers: str) -> None:
        raise OSError("no such controller")

    monkeypatch.setattr(CgroupRoot, "enable", refuse)
    capped = root.with_caps(pids_max=5, memory_max_bytes=None)
    assert capped == CgroupRoot(root.directory)
    assert capped.create("e1") is not None
