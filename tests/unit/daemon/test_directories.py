from __future__ import annotations

import os
from pathlib import Path

import pytest

from teleclaude.daemon.directories import DirectoryError, ensure_token, prepare
from teleclaude.paths import Paths


def modes(*paths: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in paths]


def test_directories_are_private_even_if_they_were_not(tmp_path: Path) -> None:
    paths = Paths(state=tmp_path / "a/state", runtime=tmp_path / "run")
    paths.runtime.mkdir(mode=0o755)
    prepare(paths)
    assert modes(paths.state, paths.runtime, paths.streams) == [0o700] * 3


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(DirectoryError, match="state"):
        prepare(Paths(state=tmp_path / "state", runtime=tmp_path / "run"))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")
def test_somebody_elses_directory_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    os.chown(state, 12345, 12345)
    with pytest.raises(DirectoryError, match="12345"):
        prepare(Paths(state=state, runtime=tmp_path / "run"))


def test_the_token_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "token"
    ensure_token(path)
    first = path.read_text()
    assert len(first.strip()) >= 43  # 256 bits
    assert modes(path) == [0o600]
    ensure_token(path)
    assert path.read_text() == first
