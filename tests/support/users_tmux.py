"""A tmux server as a user has one: started without the daemon, with settings of its own."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from teleclaude.tasks import process_start_time
from tests.support.wait import eventually


class UsersTmux:
    """``socket`` is a path in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.socket = home / f"tmux-{secrets.token_hex(3)}"
        self.pid = 0

    def __call__(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-f", "/dev/null", "-S", str(self.socket), *words],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert done.returncode == 0, f"tmux {words}: {done.stderr}"
        return done.stdout.rstrip("\n")

    def new(self, name: str, *command: str) -> None:
        """A session of 80 by 20 running ``command``, as a user makes it."""
        self("new-session", "-d", "-s", name, "-x", "80", "-y", "20", *command)
        self.pid = int(self("display-message", "-p", "#{pid}"))

    def sessions(self) -> set[str]:
        return set(self("list-sessions", "-F", "#{session_name}").splitlines())

    def pane(self, target: str, what: str) -> str:
        """What a format says of a session's active pane."""
        return self("display-message", "-p", "-t", target, what)

    async def aclose(self) -> None:
        with suppress(ProcessLookupError):
            if self.pid:
                os.kill(self.pid, signal.SIGCONT)
                os.kill(self.pid, signal.SIGTERM)
        await eventually(lambda: not self.pid or process_start_time(self.pid) is None, timeout=10)


@asynccontextmanager
async def users_tmux() -> AsyncIterator[UsersTmux]:
    home = Path(tempfile.mkdtemp(prefix="tc-user-"))
    tmux = UsersTmux(home)
    try:
        yield tmux
    finally:
        await tmux.aclose()
        shutil.rmtree(home, ignore_errors=True)
