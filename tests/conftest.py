"""Guards around every test: nothing is left behind, nothing blocks the loop, nothing of the user's is touched."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.blocking import no_blocking_calls, own_packages
from tests.support.leaks import MARK, Leaks, look, wait_until_clean

# Where an environment forbids bytecode, every daemon and every worker of the run would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# A busy machine is slow, not wrong; the test's own time-out is the deadline.
settings.register_profile("teleclaude", settings.default, deadline=None)
settings.load_profile("teleclaude")


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the suite: ``mark`` is in the environment of its processes, ``temporary`` is its ``TMPDIR``."""

    mark: str
    temporary: Path


@pytest.fixture(scope="session", autouse=True)
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """An environment of its own: short temporary folders, own tmux sockets, no settings of the user."""
    tmp_path_factory.getbasetemp()  # made before TMPDIR moves: what is kept for a look stays where pytest says
    home = Path(tempfile.mkdtemp(prefix="tc-", dir="/tmp"))
    temporary, tmux, xdg = home / "tmp", home / "tmux", home / "xdg"
    for folder in (temporary, tmux, xdg):
        folder.mkdir(mode=0o700)
    this = Run(mark=secrets.token_hex(8), temporary=temporary)
    with pytest.MonkeyPatch.context() as patch:
        _forget_users_settings(patch)
        patch.setenv(MARK, this.mark)
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", None)
        patch.setenv("TMUX_TMPDIR", str(tmux))
        for name in ("CONFIG_HOME", "STATE_HOME", "RUNTIME_DIR"):
            patch.setenv(f"XDG_{name}", str(xdg / name.lower()))
        # No test trusts the authorities of the machine, and every daemon would read all of them when it starts.
        patch.setenv("SSL_CERT_FILE", os.devnull)
        _heed_interrupts()
        yield this
    shutil.rmtree(home)


def _heed_interrupts() -> None:
    """A shell has what it runs in the background ignore SIGINT, which programs under test would inherit."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _forget_users_settings(patch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name in {"TMUX", "TMUX_PANE"} or name.startswith("TELECLAUDE_")]:
        if not name.startswith("TELECLAUDE_TEST_"):
            patch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _nothing_blocks_the_loop(pytestconfig: pytest.Config) -> Iterator[None]:
    with no_blocking_calls(own_packages(pytestconfig.rootpath)):
        yield


@pytest.fixture(autouse=True)
def _nothing_is_left(run: Run, _nothing_blocks_the_loop: None) -> Iterator[None]:
    def see() -> Leaks:
        return look(run.mark, run.temporary)

    before = see()
    yield
    left = wait_until_clean(before, see)
    if left:
        pytest.fail("left behind: " + "; ".join(sorted(left)), pytrace=False)


@pytest.fixture(autouse=True)
def _no_task_is_left(_nothing_is_left: None, request: pytest.FixtureRequest) -> None:
    # Requested here, before the test's own fixtures, so that it looks after they are gone.
    if isinstance(request.node, pytest.Function) and inspect.iscoroutinefunction(request.node.obj):
        request.getfixturevalue("_task_guard")


@pytest.fixture
async def _task_guard() -> AsyncIterator[None]:
    yield
    for _ in range(10):
        await asyncio.sleep(0)  # a task that has been told to end needs a turn of the loop
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left:
        pytest.fail("tasks left behind: " + ", ".join(sorted(task.get_name() for task in left)), pytrace=False)
