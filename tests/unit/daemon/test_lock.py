from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from teleclaude.daemon.lock import AlreadyRunningError, single_instance


def test_the_second_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "daemon.lock"
    with single_instance(path):
        assert path.stat().st_mode & 0o777 == 0o600
        with pytest.raises(AlreadyRunningError) as refused, single_instance(path):
            pytest.fail("held twice")
        assert refused.value.pid == os.getpid()
        assert str(os.getpid()) in str(refused.value)
    with single_instance(path):
        pass


def test_a_held_lock_is_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "daemon.lock"
    before = {entry.name for entry in Path("/proc/self/fd").iterdir()}
    with single_instance(path):
        for name in {entry.name for entry in Path("/proc/self/fd").iterdir()} - before:
            try:
                assert fcntl.fcntl(int(name), fcntl.F_GETFD) & fcntl.FD_CLOEXEC
            except OSError:
                continue  # the descriptor of the listing itself


def test_what_was_taken_is_given_back_when_a_later_one_is_held(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    with single_instance(second):
        with pytest.raises(AlreadyRunningError), single_instance(first, second):
            pytest.fail("held twice")
        with single_instance(first):
            pass
