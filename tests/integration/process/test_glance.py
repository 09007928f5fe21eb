"""Whether somebody is left, seen at a glance: it may say that it does not know, never that nobody is there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from teleclaude.process.group import MARK_VARIABLE, ProcessGroup
from teleclaude.process.launch import Launch
from teleclaude.process.running import destroy
from teleclaude.process.spawn import Spawned, spawn
from tests.support.wait import eventually

pytestmark = pytest.mark.usefixtures("adopting")


@asynccontextmanager
async def started(script: str, name: str) -> AsyncIterator[tuple[Spawned, ProcessGroup]]:
    env = {**os.environ, MARK_VARIABLE: name}
    spawned = spawn(Launch(("sh", "-c", script), "/bin/sh", "/", env, stdin=False))
    group = ProcessGroup(spawned.identity, name)
    try:
        yield spawned, group
    finally:
        spawned.close()
        await asyncio.to_thread(destroy, spawned, group)


async def test_nobody_is_left_of_a_leader_alone() -> None:
    async with started("exit 0", "glance-1") as (spawned, group):
        await eventually(lambda: spawned.peek() is not None)
        assert group.is_plainly_empty()


async def test_a_leader_that_lives_is_somebody() -> None:
    async with started("exec sleep 600", "glance-2") as (_, group):
        assert not group.is_plainly_empty()


@pytest.mark.parametrize("script", ["sleep 600 &", "setsid sleep 600 &", "(setsid sh -c 'sleep 600; :' &) & wait"])
async def test_c21_whom_the_leader_left_is_not_overlooked(script: str) -> None:
    async with started(script, "glance-3") as (spawned, group):
        await eventually(lambda: spawned.peek() is not None)
        assert not group.is_plainly_empty()
        assert await group.kill() == []
        assert not await asyncio.to_thread(group.members)


async def test_a_stranger_is_looked_at_once() -> None:
    async with started("exec sleep 600", "glance-4"), started("exit 0", "glance-5") as (spawned, group):
        await eventually(lambda: spawned.peek() is not None)
        assert not group.is_plainly_empty()
        assert not await asyncio.to_thread(group.members)
        assert group.is_plainly_empty()


async def test_it_does_not_know_where_orphans_go_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("teleclaude.process.group.is_subreaper", lambda: False)
    async with started("exit 0", "glance-6") as (spawned, group):
        await eventually(lambda: spawned.peek() is not None)
        assert not group.is_plainly_empty()
        assert await group.wait_empty(5)
