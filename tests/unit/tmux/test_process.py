"""What the kernel says about a pane's processes."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
from collections.abc import Iterator

import pytest

from teleclaude.tmux.process import foreground_group


@pytest.fixture
def on_a_terminal() -> Iterator[tuple[int, int]]:
    """The leader of a session on a terminal of its own, and its child."""
    master, slave = pty.openpty()
    # The leader of a session gets the first terminal that it opens.
    script = f"exec <{os.ttyname(slave)}; sleep 100 & echo $!; wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as leader:
        assert leader.stdout is not None
        yield leader.pid, int(leader.stdout.readline())
        os.killpg(leader.pid, signal.SIGKILL)
    os.close(master)
    os.close(slave)


async def test_only_who_leads_a_session_has_a_foreground(on_a_terminal: tuple[int, int]) -> None:
    """A program that tmux has forked and that has not run yet is on tmux's own terminal, if that has one."""
    leader, child = on_a_terminal
    assert await foreground_group(leader) == leader
    assert await foreground_group(child) is None
