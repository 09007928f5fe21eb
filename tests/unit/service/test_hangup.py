"""Signalling what lives on a terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from teleclaude.service.hangup import kill_session

AS_NOBODY = """
import os, signal, sys
from teleclaude.service.hangup import kill_session, signal_session
os.setuid(65534)
print(signal_session(int(sys.argv[1]), [signal.SIGHUP]), kill_session(int(sys.argv[1])))
"""


@pytest.fixture
def job() -> Iterator[subprocess.Popen[bytes]]:
    """The leader of a kernel session with a child."""
    script = "sleep 100 & echo started; wait"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        kill_session(process.pid)


def test_what_was_killed_is_gone(job: subprocess.Popen[bytes]) -> None:
    assert kill_session(job.pid)
    assert job.wait(5) == -9
    assert kill_session(job.pid)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
def test_processes_of_another_user_are_spared_and_no_error(job: subprocess.Popen[bytes]) -> None:
    """As after sudo."""
    done = subprocess.run(
        [sys.executable, "-c", AS_NOBODY, str(job.pid)], capture_output=True, text=True, check=False, timeout=30
    )
    assert (done.stdout, done.stderr) == ("2 False\n", "")
    assert job.poll() is None
