"""Signalling what lives on a terminal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from teleclaude.service.hangup import kill_session, signal_session
from teleclaude.tasks import process_start_time

AS_NOBODY = """
import os, signal, sys
from teleclaude.service.hangup import kill_session, signal_session
os.setuid(65534)
leader = int(sys.argv[1]), int(sys.argv[2])
print(signal_session(*leader, [signal.SIGHUP]), kill_session(*leader))
"""


@pytest.fixture
def job() -> Iterator[subprocess.Popen[bytes]]:
    """The leader of a kernel session with a child."""
    script = "sleep 100 & echo started; wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        kill_session(process.pid, started(process.pid))


@pytest.fixture
def fork() -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """A process and its child, which is in its session and group: tmux and what it has forked, before that one runs."""
    script = "sleep 100 & echo $!; wait $!; echo ended by $?"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        yield parent, child
        kill_session(parent.pid, started(parent.pid))


def started(pid: int) -> int:
    return process_start_time(pid) or 0


def test_what_was_killed_is_gone(job: subprocess.Popen[bytes]) -> None:
    leader = job.pid, started(job.pid)
    assert kill_session(*leader)
    assert job.wait(5) == -9
    assert kill_session(*leader)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGKILL])
def test_a_leader_that_has_no_session_yet_is_ended_alone(
    fork: tuple[subprocess.Popen[bytes], int], number: signal.Signals
) -> None:
    parent, child = fork
    leader = child, started(child)
    if number is signal.SIGKILL:
        assert kill_session(*leader)
    else:
        assert signal_session(*leader, [number]) == 1
    assert parent.communicate(timeout=5)[0].decode() == f"ended by {128 + number}\n"
    assert parent.returncode == 0


def test_a_stranger_with_the_number_of_the_leader_is_spared(fork: tuple[subprocess.Popen[bytes], int]) -> None:
    _, child = fork
    assert signal_session(child, started(child) - 1, [signal.SIGKILL]) == 0
    assert kill_session(child, started(child) - 1)
    assert process_start_time(child) is not None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_processes_of_another_user_are_spared_and_no_error(job: subprocess.Popen[bytes]) -> None:
    """As after sudo."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(job.pid), str(started(job.pid))],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert (done.stdout, done.stderr) == ("2 False\n", "")
    assert job.poll() is None
