"""Blocking calls on the loop are caught in our packages, and only the dangerous ones."""

from __future__ import annotations

import asyncio
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from blockbuster import BlockingError

from tests.support.blocking import SMALL_BYTES, no_blocking_calls

SOURCE = """
import os, time
def sleep(path): time.sleep(0)
def read(path): return path.read_bytes()
def read_piece(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.read(descriptor, 1024)
    finally:
        os.close(descriptor)
def read_pipe(path):
    reader, writer = os.pipe()
    os.close(writer)
    try:
        return os.read(reader, 1)
    finally:
        os.close(reader)
def pread(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        return os.pread(descriptor, 65536, 0)
    finally:
        os.close(descriptor)
def stat(path): return path.stat()
def write(path): path.write_bytes(b"x")
def list_folder(path): return os.listdir(path.parent)
"""


@pytest.fixture
def ours(tmp_path: Path) -> ModuleType:
    file = tmp_path / "ours.py"
    file.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("ours", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def on_the_loop(module: ModuleType, name: str, path: Path) -> None:
    async def call() -> None:
        work: Callable[[Path], object] = getattr(module, name)
        work(path)

    with no_blocking_calls([module]):
        asyncio.run(call())


@pytest.mark.parametrize("name", ["sleep", "read_pipe", "write", "list_folder"])
def test_blocking_is_caught(ours: ModuleType, tmp_path: Path, name: str) -> None:
    with pytest.raises(BlockingError):
        on_the_loop(ours, name, tmp_path / "file")


@pytest.mark.parametrize("name", ["read", "read_piece", "pread", "stat"])
def test_a_small_local_read_is_allowed(ours: ModuleType, tmp_path: Path, name: str) -> None:
    file = tmp_path / "small"
    file.write_bytes(bytes(SMALL_BYTES))
    on_the_loop(ours, name, file)


def test_a_large_read_is_caught(ours: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "large"
    file.write_bytes(bytes(SMALL_BYTES + 1))
    with pytest.raises(BlockingError):
        on_the_loop(ours, "read", file)


def test_blocking_elsewhere_is_not_ours_to_judge(ours: ModuleType, tmp_path: Path) -> None:
    async def call() -> None:
        (tmp_path / "file").write_bytes(b"x")
        os.listdir(tmp_path)  # noqa: PTH208 - the very call that is guarded

    with no_blocking_calls([ours]):
        asyncio.run(call())
