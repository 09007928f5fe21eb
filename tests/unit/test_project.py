"""What the project's files promise each other."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
ADAPTERS = sorted(folder.name for folder in (ROOT / "adapters").glob("teleclaude_*"))
PORTS = {"api", "clock", "errors", "events", "model", "testing", "wire"}
"""What adapters may import of the core."""

MACHINE = re.compile(
    r"(?<![\w}])/(?:root|work|opt|home/(?!me\b)\w+)/[\w.]|/tmp/bash|\b(?:pypi|pythonhosted|npmjs|yarnpkg)"
    r"\.(?:org|com)\b"
)


def own_files() -> Iterator[Path]:
    """Every file of the checkout that is meant to be in it."""
    ignored = [".git", *(line.strip("/") for line in (ROOT / ".gitignore").read_text().split())]
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [name for name in folders if not any(fnmatch(name, pattern) for pattern in ignored)]
        yield from (Path(folder, name) for name in names if not any(fnmatch(name, pattern) for pattern in ignored))


def package_files() -> set[str]:
    """Every file of the core and the adapters, as a wheel names them."""
    return {
        str(path.relative_to(ROOT)).removeprefix("adapters/")
        for path in own_files()
        if path.is_relative_to(ROOT / "teleclaude") or path.is_relative_to(ROOT / "adapters")
    }


def core_modules() -> set[str]:
    return {
        path.stem for path in (ROOT / "teleclaude").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    } - {"__init__"}


def test_every_adapter_has_an_entry_point() -> None:
    declared = PROJECT["project"]["entry-points"]["teleclaude.adapters"]
    assert declared == {name.removeprefix("teleclaude_"): f"{name}:adapter" for name in ADAPTERS}


def test_the_installed_entry_points_are_the_declared_ones() -> None:
    installed = {point.name: point.value for point in entry_points(group="teleclaude.adapters")}
    assert installed == PROJECT["project"]["entry-points"]["teleclaude.adapters"], "./run setup installs them anew"


def test_every_adapter_has_an_extra_and_all_holds_every_extra() -> None:
    extras = PROJECT["project"]["optional-dependencies"]
    assert {name.removeprefix("teleclaude_") for name in ADAPTERS} <= set(extras)
    [everything] = extras["all"]
    assert set(re.findall(r"\w+", everything)) - {"teleclaude"} == set(extras) - {"all"}


def test_import_rules_name_every_adapter() -> None:
    assert PROJECT["tool"]["importlinter"]["root_packages"] == ["teleclaude", *ADAPTERS]
    assert CONTRACTS["core"]["forbidden_modules"] == ADAPTERS
    assert CONTRACTS["adapters"]["source_modules"] == ADAPTERS
    assert CONTRACTS["independence"]["modules"] == ADAPTERS


def test_import_rules_name_every_module_of_the_core() -> None:
    layers = {re.sub(r"[() ]", "", name) for row in CONTRACTS["layers"]["layers"] for name in row.split("|")}
    assert core_modules() <= layers
    hidden = {f"teleclaude.{name}" for name in layers - PORTS if name in core_modules()}
    assert hidden <= set(CONTRACTS["adapters"]["forbidden_modules"])


def test_imports_follow_the_rules(tmp_path: Path) -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [lint, "--no-logo", "--cache-dir", tmp_path], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("target", ["wheel", "sdist"])
def test_a_built_package_holds_every_file(target: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [built] = tmp_path.iterdir()
    if target == "wheel":
        with zipfile.ZipFile(built) as wheel:
            names = set(wheel.namelist())
    else:
        with tarfile.open(built) as sdist:
            names = {name.partition("/")[2].removeprefix("adapters/") for name in sdist.getnames()}
    assert package_files() <= names


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = []
    for path in own_files():
        if path != Path(__file__) and not path.is_symlink():
            text = path.read_text(errors="ignore")
            found += [f"{path.relative_to(ROOT)}: {match[0]}" for match in MACHINE.finditer(text)]
    assert found == []


@pytest.mark.parametrize("script", ["run", ".ci/run"])
def test_scripts_are_executable_and_plain_shell(script: str) -> None:
    path = ROOT / script
    assert os.access(path, os.X_OK)
    assert path.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", path], check=True)
