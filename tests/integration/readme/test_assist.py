"""Questions on the screen, and the doctor, as the README shows them."""

from __future__ import annotations

from tests.integration.readme.test_readme import blocks, daemon, run
from tests.support.daemon import DaemonProcess

__all__ = ["daemon"]


def test_a_question_is_answered(daemon: DaemonProcess) -> None:
    script = blocks("### Input")[0]
    done = run(daemon, script)
    assert done.returncode == 0, done.stderr
    assert '"keys": ["y", "Enter"]' in done.stdout


def test_the_doctor(daemon: DaemonProcess) -> None:
    script = blocks("### Is all well")[0]
    done = run(daemon, script)
    assert done.returncode == 0, f"{done.stdout} {done.stderr}"
    assert "ok    daemon: version" in done.stdout
