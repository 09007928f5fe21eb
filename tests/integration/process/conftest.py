from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator

import pytest

from teleclaude.clock import SystemClock
from teleclaude.process import become_subreaper
from teleclaude.tasks import TaskRegistry
from tests.support.commands import Commands


@pytest.fixture(params=["subreaper", "plain"])
def subreaper(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Whether orphans of what the test starts are adopted by the test's process."""
    adopt = request.param == "subreaper"
    if adopt:
        assert become_subreaper()
    yield adopt
    if adopt:
        assert become_subreaper(adopt=False)


@pytest.fixture
def adopting() -> Iterator[None]:
    assert become_subreaper()
    yield
    assert become_subreaper(adopt=False)


@pytest.fixture
async def tasks() -> AsyncIterator[TaskRegistry]:
    async with TaskRegistry(SystemClock()) as registry:
        yield registry


@pytest.fixture
async def commands(tasks: TaskRegistry, tmp_path: os.PathLike[str]) -> AsyncIterator[Commands]:
    async with Commands(tasks, os.fspath(tmp_path)) as running:
        yield running
