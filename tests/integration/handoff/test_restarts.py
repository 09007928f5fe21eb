"""A daemon that ended between two steps of its own goes on with the next one when it is started again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from teleclaude.service.terminals import Terminals
from teleclaude.testing.fabric import Network
from tests.integration.handoff.cores import Computer, computer
from tests.support.tmux import PrivateTmux
from tests.support.wait import eventually

ECHO = 'echo begin; while read x; do echo "<$x on $PWD>"; done'


@pytest.fixture
async def tmux(tmp_path: Path) -> AsyncIterator[PrivateTmux]:
    """Of the computer that is started twice."""
    private = PrivateTmux(tmp_path / "again" / "run", "control")
    yield private
    await private.reap()


async def stuck(*_arguments: Any) -> None:
    """The step that the daemon does not live to do."""
    await asyncio.Event().wait()


async def is_there(one: Computer) -> bool:
    return await one.running() == ["work"]


async def test_what_was_taken_and_not_started_is_started(
    tmp_path: Path, tmux: PrivateTmux, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network()
    async with computer("anvil", tmp_path / "anvil", network) as anvil:
        async with computer("barn", tmp_path / "again", network, tmux) as barn:
            made = await anvil.new(ECHO)
            await anvil.sees("begin")
            await anvil.text("before")
            await anvil.sees("<before on")
            expected = await anvil.output()
            with monkeypatch.context() as patch:
                patch.setattr(Terminals, "start_carried", stuck)
                asking = asyncio.gather(anvil.hand("barn", timeout_ms=10_000), return_exceptions=True)
                await eventually(lambda: taken(barn), timeout=15)
                await barn.core.close_intake()
        async with computer("barn", tmp_path / "again", network, tmux) as barn:
            await eventually(lambda: is_there(barn), timeout=15)
            await barn.text("after")
            await barn.sees("<after on")
            assert (await barn.output()).startswith(expected)
            assert (await barn.get()).epoch == 2
            await eventually(lambda: left(anvil), timeout=15)
            moved = (await anvil.get(made.id)).handed_off
            assert moved is not None
            assert moved.epoch == 2
        await asking


async def taken(one: Computer) -> bool:
    return [session.state for session in await one.all()] == ["starting"]


async def left(one: Computer) -> bool:
    return [session.state for session in await one.all()] == ["handed_off"]


async def test_what_was_handed_off_and_not_ended_is_ended(
    tmp_path: Path, tmux: PrivateTmux, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = Network()
    async with computer("barn", tmp_path / "barn", network) as barn:
        async with computer("anvil", tmp_path / "again", network, tmux) as anvil:
            await anvil.new("echo begin; while true; do echo more; sleep 0.01; done")
            await anvil.sees("begin")
            with monkeypatch.context() as patch:
                patch.setattr(Terminals, "leave", stuck)
                asking = asyncio.gather(anvil.hand("barn", timeout_ms=5000), return_exceptions=True)
                await eventually(lambda: left(anvil), timeout=15)
                await anvil.core.close_intake()
        end = (await barn.get()).output.end
        assert tmux.tmux("list-panes", "-a", "-F", "#{session_name}").splitlines().count("work") == 1
        async with computer("anvil", tmp_path / "again", network, tmux) as anvil:
            await eventually(lambda: panes(tmux) == 0, timeout=15)
            session = await anvil.get()
            assert (session.state, session.epoch) == ("handed_off", 2)
            assert session.output.end <= end
            await barn.text("x")
            # It comes back over what was cut off here.
            assert (await barn.hand("anvil")).epoch == 3
            assert (await anvil.output()).startswith(b"begin")
        await asking


def panes(tmux: PrivateTmux) -> int:
    return tmux.tmux("list-panes", "-a", "-F", "#{session_name}").splitlines().count("work")
