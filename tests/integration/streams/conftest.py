"""Streams in a folder of their own, and real recorders for them."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from teleclaude.clock import SystemClock
from teleclaude.streams import Stream, StreamStore, Watcher, make_watcher
from teleclaude.tasks import TaskRegistry
from tests.integration.streams.support import SEGMENT_BYTES, Recorders


@pytest.fixture
async def tasks() -> AsyncIterator[TaskRegistry]:
    async with TaskRegistry(SystemClock()) as registry:
        yield registry


@pytest.fixture(params=["inotify", "polling"])
async def watcher(request: pytest.FixtureRequest, tasks: TaskRegistry) -> AsyncIterator[Watcher]:
    async with make_watcher(tasks, polling=request.param == "polling") as watcher:
        yield watcher


@pytest.fixture
async def store(tmp_path: Path, watcher: Watcher) -> AsyncIterator[StreamStore]:
    async with StreamStore(tmp_path / "streams", watcher=watcher, segment_bytes=SEGMENT_BYTES) as store:
        yield store


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return Stream(tmp_path / "s1" / "pty", SEGMENT_BYTES)


@pytest.fixture
def recorders() -> Iterator[Recorders]:
    recorders = Recorders()
    yield recorders
    recorders.close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
