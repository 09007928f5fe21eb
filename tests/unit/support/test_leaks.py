"""The guard sees what a test leaves behind, whatever it did to hide."""

from __future__ import annotations

import os
import secrets
import subprocess
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import leaks
from tests.support.leaks import MARK, Leaks, look, wait_until_clean


@pytest.fixture
def see(tmp_path: Path) -> Callable[[], Leaks]:
    mark = secrets.token_hex(8)
    return lambda: look(mark, tmp_path)


@pytest.fixture(autouse=True)
def _no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE_SECONDS", 0.1)


def test_a_clean_test_leaves_nothing(see: Callable[[], Leaks]) -> None:
    assert wait_until_clean(see(), see) == []


def test_a_child_is_seen_and_killed(see: Callable[[], Leaks]) -> None:
    before = see()
    with subprocess.Popen(["sleep", "60"], env={}) as child:
        [line] = wait_until_clean(before, see)
        assert line == f"process {child.pid} (sleep 60)"
    assert see().processes == before.processes


def test_a_child_that_nobody_waited_for_is_seen(see: Callable[[], Leaks]) -> None:
    before = see()
    pid = os.posix_spawn("/bin/true", ["true"], {})
    [line] = wait_until_clean(before, see)
    assert line.startswith(f"process {pid} ")


def test_a_daemonised_process_is_seen_by_its_mark(tmp_path: Path) -> None:
    mark = secrets.token_hex(8)
    before = look(mark, tmp_path)
    script = "setsid sleep 60 </dev/null >/dev/null 2>&1 & echo $!"
    subprocess.run(["sh", "-c", script], env={**os.environ, MARK: mark}, check=True, stdout=subprocess.DEVNULL)
    lines = wait_until_clean(before, lambda: look(mark, tmp_path))
    assert [line.partition("(")[2] for line in lines] == ["sleep 60)"]


def test_a_thread_is_seen(see: Callable[[], Leaks]) -> None:
    before = see()
    end = threading.Event()
    thread = threading.Thread(target=end.wait, name="forgotten")
    thread.start()
    try:
        assert wait_until_clean(before, see) == ["thread forgotten"]
    finally:
        end.set()
        thread.join()


def test_a_descriptor_is_seen(see: Callable[[], Leaks]) -> None:
    before = see()
    descriptor = os.open("/dev/null", os.O_RDONLY)
    try:
        assert wait_until_clean(before, see) == [f"descriptor {descriptor} (/dev/null)"]
    finally:
        os.close(descriptor)


def test_a_temporary_file_is_seen(see: Callable[[], Leaks], tmp_path: Path) -> None:
    before = see()
    descriptor, name = tempfile.mkstemp(dir=tmp_path)
    os.close(descriptor)
    assert wait_until_clean(before, see) == [f"temporary file {name}"]


def test_what_ends_within_the_grace_is_no_leak(see: Callable[[], Leaks], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "GRACE_SECONDS", 5)
    before = see()
    thread = threading.Thread(target=lambda: subprocess.run(["sleep", "0.05"], check=True))
    thread.start()
    assert wait_until_clean(before, see) == []
