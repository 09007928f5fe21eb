"""Two computers are given one key, and nobody else hears of it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from teleclaude_redis.keyring import read_key


def pair(home: Path, *argv: str, code: str = "") -> subprocess.CompletedProcess[str]:
    environ: Mapping[str, str] = {**os.environ, "XDG_CONFIG_HOME": str(home), "HOME": str(home)}
    return subprocess.run(
        [sys.executable, "-m", "teleclaude", "computers", "pair", *argv],
        env=environ,
        input=code,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def north(tmp_path: Path) -> Path:
    return tmp_path / "north"


@pytest.fixture
def south(tmp_path: Path) -> Path:
    return tmp_path / "south"


def test_both_have_the_key_and_only_they(north: Path, south: Path) -> None:
    created = pair(north, "--create")
    assert created.returncode == 0, created.stderr
    joined = pair(south, "--join", code=created.stdout)
    assert joined.returncode == 0, joined.stderr
    assert joined.stdout == ""
    files = [home / "teleclaude" / "fleet.key" for home in (north, south)]
    assert read_key(files[0]) == read_key(files[1])
    assert [file.stat().st_mode & 0o777 for file in files] == [0o600, 0o600]
    assert read_key(files[0]).decode() not in created.stdout + created.stderr + joined.stderr
    assert pair(north, "--create").stdout == created.stdout
    assert pair(south, "--join", code=created.stdout).returncode == 0


def test_a_key_for_one_other_computer(north: Path, south: Path) -> None:
    created = pair(north, "--create", "--with", "south")
    assert "peers: {south: {key_file:" in created.stderr
    assert pair(south, "--join", "--with", "north", code=created.stdout).returncode == 0
    assert read_key(north / "teleclaude" / "south.key") == read_key(south / "teleclaude" / "north.key")


def test_what_cannot_be_joined(north: Path, south: Path) -> None:
    code = pair(north, "--create").stdout
    wrong = pair(south, "--join", code=code.replace(code[0], "b" if code[0] == "a" else "a", 1))
    assert (wrong.returncode, "mistake" in wrong.stderr) == (1, True)
    assert pair(south, "--join").returncode == 2
    assert not (south / "teleclaude").exists()
    pair(south, "--create")
    other = pair(south, "--join", code=code)
    assert (other.returncode, "another key" in other.stderr) == (1, True)


def test_a_key_that_others_may_read_is_not_shown(north: Path) -> None:
    pair(north, "--create")
    (north / "teleclaude" / "fleet.key").chmod(0o644)
    refused = pair(north, "--create")
    assert (refused.returncode, "chmod 600" in refused.stderr, refused.stdout) == (1, True, "")


def test_a_key_of_other_making_has_no_code(north: Path, tmp_path: Path) -> None:
    file = tmp_path / "own.key"
    file.write_bytes(b"\0" * 40)
    file.chmod(0o600)
    refused = pair(north, "--create", "--file", str(file))
    assert (refused.returncode, "copy the file" in refused.stderr) == (1, True)
