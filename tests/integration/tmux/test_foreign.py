"""Sessions of a tmux server that somebody else runs."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from teleclaude.clock import SystemClock
from teleclaude.errors import ConflictError, DeadlineError, InvalidError, NotFoundError, UnavailableError
from teleclaude.tasks import TaskRegistry
from teleclaude.tmux import ForeignServer, Panes, ServerIdentity
from tests.support.tmux import PrivateTmux
from tests.support.wait import eventually


@pytest.fixture
def patience() -> float:
    """Seconds that a command may take."""
    return 20.0


@pytest.fixture
async def foreign(private_tmux: PrivateTmux, tmp_path: Path, patience: float) -> AsyncIterator[ForeignServer]:
    private_tmux.directory.mkdir()
    private_tmux.tmux("-f", "/dev/null", "new-session", "-d", "-s", "My Work", "-x", "80", "-y", "20", "cat")
    private_tmux.tmux("new-session", "-d", "-s", "other", "cat")
    clock = SystemClock()
    async with TaskRegistry(clock) as tasks:
        settings = {"tasks": tasks, "clock": clock, "command_timeout": patience}
        async with ForeignServer(
            directory=private_tmux.directory,
            socket=private_tmux.socket_name,
            **settings,  # type: ignore[arg-type]
        ) as server:
            yield server


async def test_a_session_is_adopted_with_what_it_prints_from_then_on(foreign: ForeignServer, tmp_path: Path) -> None:
    panes = Panes(foreign)
    file = tmp_path / "out"
    found = await foreign.find("My Work")
    identity = await panes.adopt(found.pane_id, "id-1", f"exec cat > {file}")
    assert (identity.server_pid, identity.server_start) == foreign.identity
    assert identity.session_id == found.session_id
    await panes.send_text(found.pane_id, "hello", submit=True)
    await eventually(lambda: file.exists() and file.read_bytes() == b"hello\r\nhello\r\n")
    assert (await panes.capture(found.pane_id)).ansi_lines[0] == "hello"
    info = await panes.find_by_marker("id-1")
    assert info is not None
    assert panes.identity(info) == identity
    with pytest.raises(ConflictError):
        await panes.adopt(found.pane_id, "id-2", "cat")
    os.kill(identity.pid, signal.SIGKILL)
    status = await panes.status_of_dead(found.pane_id)
    assert status is not None
    assert status.signal == "KILL"


async def test_targets_are_ids_or_exact_names(foreign: ForeignServer) -> None:
    work = await foreign.find("My Work")
    assert await foreign.find(work.session_id) == work
    assert await foreign.find(work.pane_id) == work
    for target in ("My", "", "oth", "*", "%99", "$9", ":"):
        with pytest.raises(NotFoundError, match="My Work, other"):
            await foreign.find(target)


async def test_the_end_of_the_server_is_told(foreign: ForeignServer) -> None:
    told: list[ServerIdentity] = []

    async def gone(identity: ServerIdentity) -> None:
        told.append(identity)

    foreign.on_gone(gone)
    identity = foreign.identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGKILL)
    await eventually(lambda: told == [identity])
    with pytest.raises(UnavailableError):
        await Panes(foreign).list_panes()


@pytest.mark.parametrize("patience", [1.0])
async def test_a_stopped_server_does_not_hold_the_caller(foreign: ForeignServer) -> None:
    identity = foreign.identity
    assert identity is not None
    os.kill(identity.pid, signal.SIGSTOP)
    try:
        with pytest.raises(DeadlineError):
            await foreign.find("My Work")
    finally:
        os.kill(identity.pid, signal.SIGCONT)

    async def found() -> bool:
        try:
            return bool(await foreign.find("My Work"))
        except DeadlineError:
            return False

    await eventually(found, timeout=20)


@pytest.mark.parametrize("socket", ["../x", "a b", "x" * 65, "a;b"])
async def test_a_socket_is_a_path_or_a_name(socket: str, tmp_path: Path) -> None:
    clock = SystemClock()
    async with TaskRegistry(clock) as tasks:
        with pytest.raises(InvalidError):
            ForeignServer(directory=tmp_path, tasks=tasks, clock=clock, socket=socket)


async def test_no_server_is_said_and_none_is_started(tmp_path: Path) -> None:
    clock = SystemClock()
    async with TaskRegistry(clock) as tasks:
        for socket in (None, str(tmp_path / "none")):
            with pytest.raises(UnavailableError, match="no tmux server"):
                async with ForeignServer(directory=tmp_path, tasks=tasks, clock=clock, socket=socket):
                    pass
    assert not (tmp_path / "none").exists()
