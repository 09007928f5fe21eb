"""Completion in real shells: lines are typed into them, Tab is pressed, and they run what came of it."""

from __future__ import annotations

import asyncio
import os
import pty
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from teleclaude.cli.commands.completion import script
from tests.integration.cli.conftest import CommandLine, ScriptedDaemon
from tests.support.wait import eventually

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
}
PREPARE = {
    "bash": "PS1='$ '; teleclaude() { printf '<%s>' \"$@\"; }; source ./script; echo rea''dy\r",
    "zsh": "PS1='$ '; autoload -Uz compinit; compinit -u -D; teleclaude() { printf '<%s>' \"$@\" }; source ./script; "
    "echo rea''dy\r",
}


class Typed:
    """An interactive shell on a pseudo-terminal."""

    def __init__(self, master: int) -> None:
        self.output = b""
        self._master = master

    def read(self) -> None:
        try:
            self.output += os.read(self._master, 65536)
        except OSError:  # the shell has ended
            asyncio.get_running_loop().remove_reader(self._master)

    def write(self, text: str) -> None:
        os.write(self._master, text.encode())

    async def sees(self, text: str) -> None:
        await eventually(lambda: text.encode() in self.output, timeout=20)


@asynccontextmanager
async def typing(shell: str, folder: Path, environ: dict[str, str]) -> AsyncIterator[Typed]:
    """The shell with our script loaded and ``teleclaude`` as a function that shows its arguments."""
    (folder / "script").write_text(script(shell))
    master, slave = pty.openpty()
    env = {**environ, "TERM": "dumb", "HOME": str(folder), "XDG_DATA_HOME": str(folder / "data")}
    process = await asyncio.to_thread(
        subprocess.Popen,
        START[shell],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env=env,
        start_new_session=True,
    )
    os.close(slave)
    typed = Typed(master)
    loop = asyncio.get_running_loop()
    loop.add_reader(master, typed.read)
    try:
        typed.write(PREPARE[shell])
        await typed.sees("ready")
        yield typed
    finally:
        loop.remove_reader(master)
        process.kill()
        await asyncio.to_thread(process.wait, 10)
        os.close(master)


def need(program: str) -> str:
    if shutil.which(program) is None:
        assert program != "bash", "every computer that runs these tests has bash"
        assert "CI" not in os.environ, f"install {program}: these tests are not to be skipped here"
        pytest.skip(f"{program} is not installed")
    return program


@pytest.fixture(params=START)
def shell(request: pytest.FixtureRequest) -> str:
    return need(request.param)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "config.yml").touch()
    (tmp_path / "folder").mkdir()
    return tmp_path


@pytest.fixture
def two_sessions(daemon: ScriptedDaemon, session: dict[str, Any]) -> None:
    daemon.answer("GET", "/sessions", {"sessions": [session, {**session, "name": "build"}]})


@pytest.mark.parametrize(
    ("line", "arguments"),
    [
        ("teleclaude kil\t w\t\r", "<kill><web>"),
        ("teleclaude ls --sta\t ru\t\r", "<ls><--state><running>"),
        ("teleclaude ls --state=ru\t\r", "<ls><--state=running>"),
        ("teleclaude serve --config conf\t\r", "<serve><--config><config.yml>"),
        ("teleclaude new x --cwd fol\t\r", "<new><x><--cwd><folder"),
        ("teleclaude --token-file conf\t ls\r", "<--token-file><config.yml><ls>"),
    ],
)
async def test_tab_completes(  # noqa: PLR0917
    shell: str,
    line: str,
    arguments: str,
    folder: Path,
    two_sessions: None,
    cli: CommandLine,
) -> None:
    async with typing(shell, folder, cli.environ) as typed:
        typed.write(line)
        await typed.sees(arguments)


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("teleclaude kil", "kill\tend a session"),
        ("teleclaude kill w", "web\trunning"),
        ("teleclaude kill ", "build\trunning\nweb\trunning"),
        ("teleclaude ls --state=ru", "--state=running"),
        ("teleclaude serve --config conf", "config.yml"),
        ("teleclaude new x --cwd fol", "folder/\tDirectory"),
    ],
)
async def test_fish_completes(line: str, offered: str, folder: Path, two_sessions: None, cli: CommandLine) -> None:
    (folder / "script").write_text(script("fish"))
    done = await asyncio.to_thread(
        subprocess.run,
        [need("fish"), "--no-config", "-c", 'source ./script; complete -C "$TYPED"'],
        cwd=folder,
        env={**cli.environ, "HOME": str(folder), "TYPED": line},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout.strip() == offered, done.stderr


async def test_nothing_is_offered_without_a_daemon(shell: str, tmp_path: Path, cli: CommandLine) -> None:
    async with typing(shell, tmp_path, cli.environ) as typed:
        typed.write("teleclaude kill w\t\r")
        await typed.sees("<kill><w>")


async def test_sessions_are_offered_once_and_the_live_one_counts(
    cli: CommandLine, daemon: ScriptedDaemon, session: dict[str, Any]
) -> None:
    sessions = [{**session, "state": "exited"}, session, {**session, "state": "lost"}, {**session, "name": "api"}]
    daemon.answer("GET", "/sessions", {"sessions": sessions})
    ended = await cli("completion", "fish", "--", "kill", "")
    assert (ended.code, ended.out) == (0, "candidates\napi\trunning\nweb\trunning\n")


async def test_a_daemon_that_hangs_does_not_hold_the_keyboard(cli: CommandLine, daemon: ScriptedDaemon) -> None:
    released = asyncio.Event()

    async def hang(_: object) -> Any:
        await released.wait()

    daemon.on("GET", "/sessions", hang)
    try:
        ended = await asyncio.wait_for(cli("completion", "zsh", "--", "kill", ""), 10)
    finally:
        released.set()
    assert ended.out in ("", "candidates\n")


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (("teleclaude ls --state=ru", "ru"), "candidates\nrunning\t\n"),
        (("teleclaude ls --state=", "="), "starting\t\nrunning"),
        (("teleclaude --url http://localhost:1 ver", "ver"), "candidates\nversion"),
    ],
)
async def test_bash_gets_only_what_follows_its_own_word_break(
    cli: CommandLine, words: tuple[str, str], answer: str
) -> None:
    assert answer in (await cli("completion", "bash", "--", *words)).out


async def test_bash_must_give_line_and_word(cli: CommandLine) -> None:
    assert (await cli("completion", "bash", "--", "teleclaude")).code == 2
