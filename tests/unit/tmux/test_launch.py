from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from teleclaude.errors import InvalidError, UnavailableError
from teleclaude.tmux import launch


def test_the_environment_of_panes_says_nothing_of_the_daemon() -> None:
    environ = {
        "PATH": "/bin",
        "HOME": "/h",
        "TELECLAUDE_TOKEN": "x",
        "TMUX": "y",
        "NOTIFY_SOCKET": "z",
        "TERM": "xterm",
    }
    assert launch.clean_environment(environ) == {"PATH": "/bin", "HOME": "/h"}


def test_the_socket_is_where_tmux_puts_it(tmp_path: Path) -> None:
    folder = f"tmux-{os.getuid()}"
    assert launch.socket_path("work", {}) == Path("/tmp") / folder / "work"
    assert launch.socket_path("work", {"TMUX_TMPDIR": str(tmp_path)}) == tmp_path.resolve() / folder / "work"
    with pytest.raises(InvalidError, match="shorter"):
        launch.socket_path("x" * 100, {"TMUX_TMPDIR": "/tmp"})


def test_settings_are_private_and_replaced_whole(tmp_path: Path) -> None:
    path = launch.settings_path(tmp_path / "runtime", "work")
    launch.write_settings(path, 2000)
    launch.write_settings(path, 3000)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert "history-limit 3000" in path.read_text()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_a_scope_is_used_only_where_a_user_manager_runs(tmp_path: Path) -> None:
    program = tmp_path / "systemd-run"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    runtime = tmp_path / "run"
    environ = {"PATH": str(tmp_path), "XDG_RUNTIME_DIR": str(runtime)}
    assert launch.scope_argv(["tmux"], "u", environ) is None
    (runtime / "systemd").mkdir(parents=True)
    (runtime / "systemd/private").touch()
    assert launch.scope_argv(["tmux"], "u", {**environ, "PATH": "/nowhere"}) is None
    assert launch.scope_argv(["tmux", "x"], "unit-1", environ) == [
        *(str(program), "--user", "--scope", "--collect", "--quiet", "--unit=unit-1", "--", "tmux", "x")
    ]


def test_who_listens_is_asked_from_the_kernel(tmp_path: Path) -> None:
    path = tmp_path / "s"
    assert launch.server_pid(path) is None
    assert launch.orphaned_server(path) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert launch.server_pid(path) is None
        listener.listen()
        assert launch.server_pid(path) == os.getpid()
        path.unlink()
        assert launch.server_pid(path) is None
        assert launch.orphaned_server(path) == os.getpid()
    assert launch.orphaned_server(path) is None


def test_a_socket_that_may_not_be_used_is_said(tmp_path: Path) -> None:
    path = tmp_path / "folder"
    path.write_text("")
    folder = path / "s"
    with pytest.raises(UnavailableError):
        launch.server_pid(folder)
