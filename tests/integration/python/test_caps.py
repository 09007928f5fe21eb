"""Control groups of workers, for real where this machine has a writable version 2 hierarchy; caps without one."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from teleclaude.model import FailedState, FailureReason
from teleclaude.process import CgroupRoot
from teleclaude.process.cgroup import parse_mount
from tests.support.commands import is_alive
from tests.support.python import Sessions
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
    directory.rmdir()


ESCAPE = """\
import subprocess
subprocess.run("(env -i setsid /bin/sh -c 'echo $$; exec sleep 600' &) ; sleep 0.2", shell=True)
"""


def groups(root: CgroupRoot) -> list[Path]:
    return list(root.directory.glob("execution-*"))


async def test_a_worker_and_all_it_starts_are_in_a_group_of_their_own(sessions: Sessions, root: CgroupRoot) -> None:
    """Own session, no parent, no mark: nothing but the group knows where the child comes from."""
    python = await sessions.start(cgroups=root)
    child = int((await python.run(ESCAPE)).stdout.data)
    (group,) = groups(root)
    assert {python.session.pid, child} <= set(map(int, (group / "cgroup.procs").read_text().split()))
    assert await python.session.restart() == 2
    assert not is_alive(child)
    assert not group.exists()
    assert await python.value("1 + 1") == 2
    await python.session.aclose()
    assert groups(root) == []


async def test_a_death_leaves_no_group(sessions: Sessions, root: CgroupRoot) -> None:
    python = await sessions.start(cgroups=root)
    outcome = await (await python.run("import os; os._exit(1)")).outcome()
    assert isinstance(outcome, FailedState)
    assert outcome.reason is FailureReason.WORKER_DIED
    assert groups(root) == []


async def test_without_a_group_all_works_the_same(sessions: Sessions, tmp_path: Path) -> None:
    """A group that cannot be made is said, and costs nothing else."""
    python = await sessions.start(cgroups=CgroupRoot(tmp_path / "nowhere"))
    assert await python.value("1 + 1") == 2


async def test_warm_workers_of_other_caps_are_ended(sessions: Sessions, root: CgroupRoot) -> None:
    pool = await sessions.pool(warm=1, cgroups=root)
    await eventually(lambda: pool.warm == 1)
    (before,) = groups(root)
    pool.resettle(sessions.settings_with(warm=1, cgroups=CgroupRoot(root.directory, pids_max=100)))
    await eventually(lambda: not before.exists())
    await eventually(lambda: pool.warm == 1)
    await pool.aclose()
    assert groups(root) == []
