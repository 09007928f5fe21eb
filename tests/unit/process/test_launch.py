from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from teleclaude.errors import ForbiddenError, InvalidError, TooLargeError
from teleclaude.model import ExecutionSpec
from teleclaude.process.launch import Launch, find_program, plan_launch
from teleclaude.process.limits import ExecutionPolicy

OPEN = ExecutionPolicy()
BASE = {"PATH": "/usr/bin:/bin", "LANG": "C"}


def plan(policy: ExecutionPolicy = OPEN, **fields: object) -> Launch:
    spec = ExecutionSpec(**{"cwd": "/", **fields})  # type: ignore[arg-type]
    return plan_launch(spec, "e1", policy, BASE)


def executable(path: Path, mode: int = 0o755) -> Path:
    path.write_text("#!/bin/sh\n")
    path.chmod(mode)
    return path


def test_b30_the_environment_is_laid_over_ours() -> None:
    launch = plan(argv=("env",), env={"LANG": "de", "A": "1"})
    own = {"PATH": BASE["PATH"], "PWD": "/", "TELECLAUDE_EXECUTION_ID": "e1"}
    assert launch.env == {**own, "LANG": "de", "A": "1"}


def test_nobody_passes_for_another_execution() -> None:
    assert plan(argv=("env",), env={"TELECLAUDE_EXECUTION_ID": "e2"}).env["TELECLAUDE_EXECUTION_ID"] == "e1"


def test_a_script_is_run_by_the_shell() -> None:
    assert plan(script="a; b").argv == ("/bin/sh", "-c", "a; b")
    assert plan(script="a", shell="bash").argv[0] == "bash"
    assert plan(script="a", shell="bash").executable.endswith("/bash")


def test_the_requests_own_path_counts(tmp_path: Path) -> None:
    executable(tmp_path / "tool")
    assert plan(argv=("tool", "x"), env={"PATH": str(tmp_path)}).executable == str(tmp_path / "tool")
    assert plan(argv=("tool",), cwd=str(tmp_path), env={"PATH": "."}).executable == str(tmp_path / "tool")
    assert plan(argv=("./tool",), cwd=str(tmp_path)).executable == str(tmp_path / "tool")


@pytest.mark.parametrize("argv", [(), ("",), ("no-such-program",), ("/no/such",), ("/etc",), ("./true",)])
def test_c24_a_program_that_is_not_there(argv: tuple[str, ...]) -> None:
    with pytest.raises(InvalidError, match="program"):
        plan(argv=argv)


def test_c24_a_file_that_is_not_executable(tmp_path: Path) -> None:
    executable(tmp_path / "tool", 0o644)
    with pytest.raises(InvalidError, match="not executable"):
        plan(argv=("./tool",), cwd=str(tmp_path))
    with pytest.raises(InvalidError, match="no program"):
        plan(argv=("tool",), env={"PATH": str(tmp_path)})


def test_c24_a_shell_that_is_not_there() -> None:
    with pytest.raises(InvalidError, match="no program"):
        plan(script="true", shell="no-such-shell")


@pytest.mark.parametrize("cwd", ["/no/such", "/etc/passwd", "relative", "", "~", "a\0b"])
def test_c24_a_directory_that_is_none(cwd: str) -> None:
    with pytest.raises(InvalidError):
        plan(argv=("true",), cwd=cwd)


@pytest.mark.parametrize(
    "fields", [{"argv": ("echo", "a\0b")}, {"script": "a\0b"}, {"argv": ("true",), "env": {"A": "\0"}}]
)
def test_e1_nul_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidError, match="NUL"):
        plan(**fields)


@pytest.mark.parametrize("name", ["", "A=B"])
def test_e5_a_name_that_is_none(name: str) -> None:
    with pytest.raises(InvalidError, match="name"):
        plan(argv=("true",), env={name: "x"})


def test_e2_more_than_the_system_passes_on() -> None:
    size = os.sysconf("SC_ARG_MAX")
    with pytest.raises(TooLargeError) as caught:
        plan(argv=("true", *["x" * 100_000] * (size // 100_000 + 1)))
    assert caught.value.code == "too_large"


def test_b26_only_what_is_allowed_runs(tmp_path: Path) -> None:
    policy = ExecutionPolicy(allowed=("echo", "not-installed"))
    assert plan(policy, argv=("echo", "x; id")).argv == ("echo", "x; id")
    place = find_program("echo", "/", BASE)
    assert plan(policy, argv=(place,)).executable == place
    executable(tmp_path / "echo")
    for argv in (("id",), ("/usr/bin/id",), (str(tmp_path / "echo"),)):
        with pytest.raises(ForbiddenError):
            plan(policy, argv=argv)
    with pytest.raises(ForbiddenError):
        plan(policy, script="echo x; id")


def test_b26_a_path_of_ones_own_does_not_change_what_a_name_means(tmp_path: Path) -> None:
    executable(tmp_path / "echo")
    launch = plan(ExecutionPolicy(allowed=("echo",)), argv=("echo",), env={"PATH": str(tmp_path)})
    assert launch.executable == find_program("echo", "/", BASE)


def test_b26_a_link_to_an_allowed_program_is_another_program(tmp_path: Path) -> None:
    (tmp_path / "other").symlink_to(find_program("echo", "/", BASE))
    with pytest.raises(ForbiddenError):
        plan(ExecutionPolicy(allowed=("echo",)), argv=(str(tmp_path / "other"),))
