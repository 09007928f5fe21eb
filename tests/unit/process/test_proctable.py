from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from teleclaude.process import proctable
from teleclaude.process.proctable import parse_stat

TAIL = "S 41 42 43 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 9 10"


@given(st.binary(max_size=30))
def test_the_name_of_a_command_may_hold_anything(name: bytes) -> None:
    stat = parse_stat(b"40 (" + name.replace(b"\n", b"") + b") " + TAIL.encode())
    assert (stat.pid, stat.state, stat.parent, stat.group, stat.session) == (40, "S", 41, 42, 43)
    assert stat.start_time == 987654
    assert not stat.has_ended


def test_a_name_that_looks_like_fields_changes_nothing() -> None:
    assert parse_stat(f"40 (a) Z 1 1 (b) {TAIL}".encode()).parent == 41


@pytest.mark.parametrize("line", [b"", b"40", b"40 (a)", b"40 (a) S 1 2 3"])
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="stat"):
        parse_stat(line)


def test_a_zombie_has_ended() -> None:
    assert parse_stat(f"40 (a) {TAIL.replace('S', 'Z', 1)}".encode()).has_ended


def test_we_are_in_the_table() -> None:
    own = proctable.read_stat(os.getpid())
    assert own is not None
    assert own.session == os.getsid(0)
    assert own.pid in [stat.pid for stat in proctable.all_processes()]


def test_nobody_is_found_without_a_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(proctable, "PROC", tmp_path / "absent")
    assert proctable.all_processes() == []
    assert proctable.read_stat(os.getpid()) is None
    assert list(proctable.child_lister()(os.getpid())) == []


@pytest.mark.parametrize("by_scan", [False, True])
def test_children_are_found_by_files_and_by_scan(monkeypatch: pytest.MonkeyPatch, by_scan: bool) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        try:
            if by_scan:
                everybody = proctable.all_processes()
                monkeypatch.setattr(proctable, "PROC", Path("/absent"))
                monkeypatch.setattr(proctable, "all_processes", lambda: everybody)
            assert process.pid in proctable.child_lister()(os.getpid())
        finally:
            process.kill()


def test_the_environment_a_process_started_with() -> None:
    assert not proctable.has_variable(os.getpid(), b"NO_SUCH=1")
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, env={"A": "x", "B": "y"}) as process:
        try:
            assert proctable.has_variable(process.pid, b"B=y")
            assert not proctable.has_variable(process.pid, b"B=")
            assert not proctable.has_variable(process.pid, b"y")
        finally:
            process.kill()
    assert not proctable.has_variable(process.pid, b"B=y")
