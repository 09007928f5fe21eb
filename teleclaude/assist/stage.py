"""A daemon of its own with the Telegram adapter, a Bot API server of its own, and one person: a stage for a play.

Everything is in a temporary directory and on loopback; nothing of the user's is read, and all of it is gone at the end.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import structlog

from teleclaude.cli.failure import CliError
from teleclaude.testing.telegram import Budgets, Chat, FakeBotApi, Person, Window

READY_SECONDS = 30.0
STOP_SECONDS = 15.0
LOG_TAIL = 2000
_ENDINGS = (signal.SIGTERM, signal.SIGHUP)
_KEPT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TERM", "TZ", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "TMUX_TMPDIR")

BRISK = Budgets(chat=Window(5, 1.0), group=Window(200, 60.0))
"""More than Telegram allows, so that nobody has to watch a bot wait."""


def quiet() -> None:
    """What the server of the stage logs is of no interest to who watches the play."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))


@dataclass(frozen=True, slots=True)
class Stage:
    fake: FakeBotApi
    group: Chat
    ann: Person
    work: Path
    """Where sessions start."""


@asynccontextmanager
async def stage(environ: Mapping[str, str], *, budgets: Budgets | None = BRISK) -> AsyncIterator[Stage]:
    """Raises ``CliError`` when the daemon does not come up. SIGTERM and SIGHUP end the program once all is gone."""
    home = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="tc-demo-"))
    ending = _Ending()
    try:
        async with FakeBotApi(budgets=budgets) as fake:
            ann = fake.user(7, "Ann", "ann")
            group = fake.add_forum("Work", members=[ann])
            work = home / "work"
            await asyncio.to_thread(_prepare, home, work, fake, group)
            async with _daemon(home, work, environ):
                try:
                    yield Stage(fake, group, ann, work)
                finally:
                    ending.begin()
    finally:
        await asyncio.to_thread(shutil.rmtree, home, ignore_errors=True)
        ending.complete()


class _Ending:
    """Signals that end a program cancel the task instead, so that everything is taken down first."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        self._begun = False
        self._received: int | None = None
        self._handled = [number for number in _ENDINGS if signal.getsignal(number) is not signal.SIG_IGN]
        for number in self._handled:
            self._loop.add_signal_handler(number, self._receive, number)

    def _receive(self, number: int) -> None:
        self._received = self._received or number
        if not self._begun and self._task is not None:
            self._task.cancel()
        self._begun = True

    def begin(self) -> None:
        """It ends anyway, and no signal hurries it."""
        self._begun = True

    def complete(self) -> None:
        """The signals mean again what they meant, and the one that came does it."""
        for number in self._handled:
            self._loop.remove_signal_handler(number)
        if self._received is not None:
            signal.raise_signal(self._received)


def _prepare(home: Path, work: Path, fake: FakeBotApi, group: Chat) -> None:
    work.mkdir()
    token = home / "bot-token"
    token.touch(mode=0o600)
    token.write_text(fake.token, encoding="utf-8")
    config = {
        "computer": {"name": "demo", "trusted_dirs": [{"path": str(work), "name": "work"}]},
        "tmux": {"socket_name": f"tc-demo-{secrets.token_hex(4)}"},
        "sessions": {"shell": "/bin/sh", "cols": 80, "rows": 24},
        "telegram": {
            "enabled": True,
            "token_file": str(token),
            "chat_id": group.id,
            "users": {"7": "owner"},
            "base_url": fake.base_url,
            "base_file_url": fake.base_file_url,
        },
        "log": {"format": "json"},
    }
    # JSON is YAML, too.
    (home / "config.yml").write_text(json.dumps(config), encoding="utf-8")


@asynccontextmanager
async def _daemon(home: Path, work: Path, environ: Mapping[str, str]) -> AsyncIterator[None]:
    own = {name: environ[name] for name in _KEPT if name in environ} | {
        "HOME": str(work),
        "PS1": "$ ",
        "TELECLAUDE_STATE_DIR": str(home / "state"),
        "TELECLAUDE_RUNTIME_DIR": str(home / "run"),
        "TELECLAUDE_CONFIG": str(home / "config.yml"),
    }
    log = home / "daemon.log"
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "teleclaude", "serve"),
            env=own,
            cwd=work,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=descriptor,
            stderr=descriptor,
        )
    finally:
        os.close(descriptor)
    try:
        await _ready(process, log)
        yield
    finally:
        await _stop(process)
        await _end_terminals(home, own)


async def _ready(process: asyncio.subprocess.Process, log: Path) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while "teleclaude ready" not in await asyncio.to_thread(log.read_text, "utf-8", "replace"):
                if process.returncode is not None:
                    raise CliError(f"the daemon ended with {process.returncode}:\n{await _tail(log)}")
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise CliError(f"the daemon was not ready within {READY_SECONDS:g} s:\n{await _tail(log)}") from None


async def _tail(log: Path) -> str:
    return (await asyncio.to_thread(log.read_text, "utf-8", "replace"))[-LOG_TAIL:]


async def _stop(process: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        process.send_signal(signal.SIGTERM)
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _end_terminals(home: Path, environ: Mapping[str, str]) -> None:
    """The tmux server outlives the daemon, as it should; this one is the stage's own."""
    name = json.loads(await asyncio.to_thread((home / "config.yml").read_text))["tmux"]["socket_name"]
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(STOP_SECONDS):
            process = await asyncio.create_subprocess_exec(
                *("tmux", "-L", name, "kill-server"),
                env=dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
            )
            await process.wait()
