"""A whole daemon in a group that is delegated to it, as a service manager starts one (version 2)."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from teleclaude.process.afterwards import CONTROL
from teleclaude.process.cgroup import LEAF, Cgroup, CgroupRoot, parse_mount
from tests.support.commands import is_alive
from tests.support.daemon import Client, DaemonProcess

HIDDEN = "(env -i setsid /bin/sh -c 'echo $$; exec sleep 600' &) ; echo $$; sleep 600"
"""Writes two pids: of a descendant that nothing but its control group gives away, and its own."""


@pytest.fixture
def root() -> Iterator[CgroupRoot]:
    mount = parse_mount(Path("/proc/self/mountinfo").read_text())
    if mount is None:
        pytest.skip("no version 2 hierarchy here")
    directory = Path(mount[1]) / f"tc-test-{secrets.token_hex(4)}"
    try:
        directory.mkdir()
        os.setxattr(directory, "trusted.delegate" if os.geteuid() == 0 else "user.delegate", b"1")
    except OSError as error:
        pytest.skip(f"the version 2 hierarchy is not writable: {error}")
    yield CgroupRoot(directory)
    Cgroup(directory).kill()
    Cgroup(directory).remove()


class DelegatedDaemon(DaemonProcess):
    group: Path

    def command(self) -> list[str]:
        return entering(self.group, "-m", "teleclaude", "serve")


def entering(group: Path, *arguments: str) -> list[str]:
    """Python with ``arguments``, in ``group`` from its first moment."""
    return ["/bin/sh", "-c", 'echo 0 >"$0"; exec "$@"', str(group / "cgroup.procs"), sys.executable, *arguments]


@pytest.fixture
async def daemon(tmp_path: Path, root: CgroupRoot) -> AsyncIterator[DelegatedDaemon]:
    daemon = DelegatedDaemon(tmp_path)
    daemon.group = root.directory
    await daemon.start()
    try:
        yield daemon
    finally:
        await daemon.aclose()


def afterwards(group: Path) -> tuple[int, str]:
    """What the service manager runs in ``group``: its exit code and what it said."""
    argv = entering(group, "-m", "teleclaude.process.afterwards")
    done = subprocess.run(argv, capture_output=True, text=True, timeout=20, check=False)
    return done.returncode, done.stderr


def groups(root: CgroupRoot) -> list[str]:
    return [path.name for path in root.directory.glob("execution-*")]


async def start_hidden(daemon: DaemonProcess) -> list[int]:
    async with Client(daemon.socket) as client:
        execution = (await client.post("/executions", {"script": HIDDEN}))["id"]

        async def read() -> bytes:
            async with client.http.get(client.url(f"/executions/{execution}/output")) as response:
                return await response.read()

        output = b""
        while output.count(b"\n") < 2:
            output = await read()
    return [int(line) for line in output.split()]


async def test_it_keeps_apart_from_its_commands_and_the_next_one_ends_what_hid_from_it(
    daemon: DelegatedDaemon, root: CgroupRoot
) -> None:
    """With a single process of its own left in the group, such as the client of tmux, no command would have a cap."""
    assert (root.directory / "cgroup.procs").read_text() == ""
    beside = (root.directory / LEAF / "cgroup.procs").read_text().split()
    assert str(daemon.pid) in beside
    assert len(beside) > 1
    pids = await start_hidden(daemon)
    assert len(groups(root)) == 1
    await daemon.kill()
    assert all(map(is_alive, pids))
    await daemon.start()
    assert not any(map(is_alive, pids))
    assert groups(root) == []


def test_once_the_daemon_has_ended_its_commands_are_ended_and_the_group_takes_another(root: CgroupRoot) -> None:
    group = root.create("e1")
    assert group is not None
    (root.directory / CONTROL).mkdir()
    left = subprocess.Popen(entering(group.directory, "-c", "input()"), stdin=subprocess.PIPE)
    with left:
        while left.pid not in group.pids():
            assert left.poll() is None
        assert afterwards(root.directory / CONTROL) == (0, "")
        assert left.wait(10) == -signal.SIGKILL
    assert groups(root) == []
    assert (root.directory / "cgroup.subtree_control").read_text().split() == []


def test_what_is_no_group_of_a_daemon_is_left_alone(root: CgroupRoot) -> None:
    group = root.create("e1")
    assert group is not None
    (root.directory / "service").mkdir()
    assert afterwards(root.directory / "service") == (0, "")
    assert groups(root) == [group.directory.name]
