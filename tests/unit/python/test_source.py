"""The worker's source: what it may use, and what may not be in it."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

import teleclaude.python
from teleclaude.python.source import PACKAGE, boot_message

_FOLDER = Path(teleclaude.python.__file__).parent
_WORKER = sorted((_FOLDER / "worker").glob("*.py"))
_ALL = sorted(_FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", _WORKER, ids=lambda path: path.stem)
def test_the_worker_is_standard_library_for_3_9(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 9))
    for node in ast.walk(tree):
        modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            modules.append(node.module or "")
        for module in modules:
            assert module.startswith("teleclaude.python.worker") or module.partition(".")[0] in sys.stdlib_module_names


def test_every_module_of_the_worker_is_sent() -> None:
    body = boot_message()
    sources = dict(json.loads(body[4:]))
    assert int.from_bytes(body[:4], "big") == len(body) - 4
    assert sources.keys() == {path.stem for path in _WORKER} - {"__init__"}
    assert all("teleclaude.python" not in text for text in sources.values())
    assert PACKAGE in sources["main"]


@pytest.mark.parametrize("path", _ALL, ids=lambda path: str(path.relative_to(_FOLDER)))
def test_d31_no_bare_except_and_no_silent_one(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert not all(isinstance(statement, ast.Pass) for statement in node.body)
        if isinstance(node, ast.FunctionDef):
            assert node.name != "__del__"


def test_d31_the_internals_are_defined_once() -> None:
    assert sum("ENGINE_INTERNALS = " in path.read_text("utf-8") for path in _ALL) == 1
