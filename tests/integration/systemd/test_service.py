"""``teleclaude service`` as a process. No manager runs here: a stand-in for systemctl writes down what it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from teleclaude.cli.failure import CliError
from teleclaude.cli.systemd import Service, find_service
from teleclaude.cli.units import Install, render

SYSTEMCTL = """\
#!/bin/sh
echo "$*" >>"$CALLS"
case "$*" in
    *is-active*) echo active ;;
    *is-enabled*) echo enabled ;;
    *"$REFUSE"*) echo "Job failed." >&2; exit 1 ;;
esac
"""


class Shell:
    """A user's shell: a home of its own, and a service manager once ``manage`` was called."""

    def __init__(self, home: Path) -> None:
        self.units = home / "config/systemd/user"
        self._home = home
        self._calls = home / "calls"
        self._environ = {
            **os.environ,
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "CALLS": str(self._calls),
            "REFUSE": "nothing",
        }

    def manage(self, refuse: str = "nothing") -> None:
        programs, manager = self._home / "bin", self._home / "run/systemd/private"
        programs.mkdir()
        (programs / "systemctl").write_text(SYSTEMCTL)
        (programs / "systemctl").chmod(0o755)
        manager.parent.mkdir(parents=True)
        manager.touch()
        self._environ |= {"PATH": f"{programs}:{os.environ['PATH']}", "REFUSE": refuse}

    @property
    def environ(self) -> Mapping[str, str]:
        return self._environ

    def calls(self) -> list[str]:
        return self._calls.read_text().splitlines() if self._calls.exists() else []

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        argv = [sys.executable, "-m", "teleclaude", "service", *arguments]
        return subprocess.run(argv, env=self._environ, capture_output=True, text=True, timeout=30, check=False)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.run("--json", *arguments).stdout)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_install_without_a_manager_writes_the_units_and_says_what_to_type(shell: Shell) -> None:
    done = shell.run("install")
    assert done.returncode == 0
    written = {path.name: path.read_text() for path in shell.units.iterdir()}
    assert set(written) == {"teleclaude.service", "teleclaude-tmux.service"}
    assert f"ExecStart={sys.executable} -P -m teleclaude serve\n" in written["teleclaude.service"]
    assert f"Environment=XDG_CONFIG_HOME={shell.environ['XDG_CONFIG_HOME']}\n" in written["teleclaude.service"]
    assert "systemctl --user enable --now teleclaude.service" in done.stderr
    assert "loginctl enable-linger" in done.stderr


def test_install_starts_the_daemon_and_does_so_again_after_an_upgrade(shell: Shell) -> None:
    shell.manage()
    for _ in range(2):
        done = shell.run("install")
        assert done.returncode == 0, done.stderr
        assert "started teleclaude.service" in done.stdout
    assert shell.calls() == ["--user daemon-reload", "--user enable --now teleclaude.service"] * 2


def test_what_systemctl_refuses_is_said(shell: Shell) -> None:
    shell.manage(refuse="enable --now")
    done = shell.run("install")
    assert done.returncode == 1
    assert "systemctl --user enable --now teleclaude.service: Job failed." in done.stderr


def test_uninstall_leaves_the_terminals_running(shell: Shell) -> None:
    shell.manage()
    shell.run("install")
    done = shell.run("uninstall")
    assert done.returncode == 0
    assert list(shell.units.iterdir()) == []
    assert "--user disable --now teleclaude.service" in shell.calls()
    assert not [call for call in shell.calls() if "stop" in call]
    assert "systemctl --user stop teleclaude-tmux.service" in done.stderr


def test_uninstall_of_nothing_is_no_error(shell: Shell) -> None:
    assert shell.run("uninstall").returncode == 0


def test_status_tells_a_unit_that_an_upgrade_or_an_editor_has_overtaken(shell: Shell) -> None:
    assert [unit["file"] for unit in shell.json("status")["units"]] == ["missing", "missing"]
    assert shell.run("status").returncode == 1
    shell.manage()
    shell.run("install")
    (shell.units / "teleclaude-tmux.service").write_text("[Service]\n")
    assert shell.json("status")["units"] == [
        {"name": "teleclaude.service", "file": "current", "active": "active", "enabled": "enabled"},
        {"name": "teleclaude-tmux.service", "file": "different", "active": "active", "enabled": "enabled"},
    ]
    assert shell.run("status").returncode == 0


def test_print_shows_what_install_writes(shell: Shell) -> None:
    shown = shell.json("print")
    shell.run("install")
    assert {path.name: path.read_text() for path in shell.units.iterdir()} == shown
    assert set(shell.json("print", "--system")) == {"teleclaude@.service", "teleclaude-tmux@.service"}


@pytest.mark.parametrize(
    "arguments", [["install", "--user", "me"], ["install", "--system"], ["status", "--system"], ["x"]]
)
def test_misuse_is_said(shell: Shell, arguments: list[str]) -> None:
    assert shell.run(*arguments).returncode == 2


def system_service(folder: Path, user: str) -> Service:
    return Service(Install(sys.executable, system=True), folder, folder / "no-manager", user)


def test_the_templates_stay_while_another_user_needs_them(tmp_path: Path) -> None:
    mine, other = system_service(tmp_path, "me"), tmp_path / "multi-user.target.wants/teleclaude@you.service"
    assert {path.name for path in mine.write()} == set(render(mine.install))
    assert mine.state_of("teleclaude@.service") == "current"
    other.parent.mkdir()
    other.touch()
    assert mine.remove() == []
    other.unlink()
    assert len(mine.remove()) == 2


def test_a_system_service_is_an_instance_of_the_templates() -> None:
    service = find_service(system=True, user="me", environ={})
    assert (service.daemon, service.terminals) == ("teleclaude@me.service", "teleclaude-tmux@me.service")
    assert service.systemctl == ["systemctl"]
    assert service.install.environ == {}


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(CliError, match="cannot write"):
        system_service(tmp_path / "file/below", "me").write()
