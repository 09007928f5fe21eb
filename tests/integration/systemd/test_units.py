"""The unit files, judged by systemd itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from teleclaude.cli.failure import CliError
from teleclaude.cli.units import Install, kept_environment, render

ROOT = Path(__file__).parents[3]
PACKAGED = [Install("/usr/bin/python3", system=system) for system in (False, True)]
FELT_BY_CHILDREN = re.compile(
    r"^(NoNewPrivileges|Protect|Private|Restrict(?!=)|SystemCall|Capability|Memory|IPAddress|LockPersonality|UMask|Nice"
    r"|ReadOnly|Inaccessible|RemoveIPC|DevicePolicy|LimitCORE|DynamicUser|Slice)",
    re.MULTILINE,
)


def verify(units: Mapping[str, str], folder: Path, *options: str) -> str:
    """What systemd finds wrong with ``units``."""
    for name, text in units.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", *options, "verify", *(str(folder / name) for name in units)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.stdout + done.stderr + (f"exit code {done.returncode}" if done.returncode else "")


@pytest.mark.parametrize("environ", [{}, {"PATH": '/a b:/c%d"\\$x', "LANG": "ü", "XDG_STATE_HOME": "/s t"}])
@pytest.mark.parametrize("system", [False, True])
def test_systemd_finds_nothing_wrong(system: bool, environ: Mapping[str, str], tmp_path: Path) -> None:
    python = tmp_path / "a folder with 100%" / "python"
    python.parent.mkdir()
    python.symlink_to(sys.executable)
    units = render(Install(str(python), system=system, environ=environ))
    assert len(units) == 2
    assert verify(units, tmp_path, *([] if system else ["--user"])) == ""


def test_the_judge_finds_what_is_wrong(tmp_path: Path) -> None:
    assert "OOM policy" in verify({"bad.service": "[Service]\nExecStart=/bin/true\nOOMPolicy=never\n"}, tmp_path)


def test_the_packagers_files_are_what_print_shows_for_the_systems_python() -> None:
    expected = {name: text for install in PACKAGED for name, text in render(install).items()}
    assert {path.name: path.read_text() for path in (ROOT / "systemd").iterdir()} == expected


@pytest.mark.parametrize("install", PACKAGED, ids=["user", "system"])
def test_nothing_done_to_the_daemon_is_done_to_the_terminals(install: Install) -> None:
    daemon, terminals = (render(install)[name] for name in sorted(render(install), reverse=True))
    assert "Type=notify\n" in daemon
    assert "WatchdogSec=" in daemon
    assert "Restart=on-failure\n" in daemon
    assert "KillMode=process\n" in daemon
    assert re.search("^Wants=teleclaude-tmux", daemon, re.MULTILINE)
    assert re.search("^After=teleclaude-tmux", daemon, re.MULTILINE)
    for word in ("Requires", "BindsTo", "PartOf", "Upholds", "PropagatesStopTo", "Conflicts", "JoinsNamespaceOf"):
        assert word not in daemon + terminals
    assert "teleclaude.service" not in terminals
    assert "Restart=no\n" in terminals
    assert "OOMPolicy=continue\n" in terminals


@pytest.mark.parametrize("install", PACKAGED, ids=["user", "system"])
def test_commands_feel_no_restriction(install: Install) -> None:
    for text in render(install).values():
        assert FELT_BY_CHILDREN.search(text) is None


@pytest.mark.parametrize("path", ["/a$b/python", '/a"b/python', "/a\\b/python", "/a'b/python", "/a\nb/python"])
def test_a_path_that_systemd_cannot_run_is_refused(path: str) -> None:
    with pytest.raises(CliError, match="a unit can"):
        render(Install(path))


def test_a_service_keeps_paths_and_language_of_its_shell_and_no_secret() -> None:
    environ = {
        "PATH": "/bin",
        "LANG": "C.UTF-8",
        "TELECLAUDE_CONFIG": "",
        "API_TOKEN": "s",
        "TELECLAUDE_REDIS__URL": "s",
    }
    assert kept_environment(environ) == {"PATH": "/bin", "LANG": "C.UTF-8"}
