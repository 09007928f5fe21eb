"""The command line in front of a person: on a real terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import termios
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.conftest import CommandLine, ScriptedDaemon, piece


@dataclass(frozen=True, slots=True)
class Terminal:
    """A pseudo-terminal of 60 columns; ``theirs`` is the program's end."""

    ours: int
    theirs: int

    async def run(self, cli: CommandLine, *argv: str) -> tuple[int, str]:
        """The exit code, and all that came to the screen."""
        async with cli.started(*argv, stdin=self.theirs, stdout=self.theirs, stderr=self.theirs) as process:
            code = await asyncio.wait_for(process.wait(), 20)
        os.set_blocking(self.ours, False)
        return code, os.read(self.ours, 1 << 16).decode()


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 60, 0, 0))
    yield Terminal(ours, theirs)
    os.close(ours)
    os.close(theirs)


async def test_a_table_is_cut_to_the_terminal(
    daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any], terminal: Terminal
) -> None:
    hostile = session | {"command": "\x1b]0;gotcha\x07" + "x" * 200, "cwd": "/a\n\x1b[2Jb"}
    daemon.answer("GET", "/sessions", {"sessions": [hostile]})
    code, text = await terminal.run(cli, "ls")
    lines = text.split("\r\n")
    assert code == 0
    assert all(len(line) <= 60 for line in lines)
    assert "\x1b" not in text
    assert "x…" in lines[1]
    assert lines[1].endswith("/a b")


async def test_l8_logs_keep_colours_only(daemon: ScriptedDaemon, cli: CommandLine, terminal: Terminal) -> None:
    data = b"\x1b]52;c;cm0=\x07\x1b[31mred\x1b[0m\x1b[2J\r\n"
    daemon.on("GET", "/sessions/web/output", piece(0, data, len(data)))
    assert await terminal.run(cli, "logs", "web") == (0, "\x1b[31mred\x1b[0m\r\n\x1b[0m")


async def test_l8_plain_text_on_request(daemon: ScriptedDaemon, cli: CommandLine, terminal: Terminal) -> None:
    daemon.on("GET", "/sessions/web/output", piece(0, b"\x1b[31mred", 8))
    assert await terminal.run(cli, "logs", "web", "--text") == (0, "red")


async def test_l8_raw_opts_out(daemon: ScriptedDaemon, cli: CommandLine, terminal: Terminal) -> None:
    daemon.on("GET", "/sessions/web/output", piece(0, b"\x1b[2Jx", 5))
    assert await terminal.run(cli, "logs", "web", "--raw") == (0, "\x1b[2Jx")


async def test_no_colours_when_the_environment_says_so(
    daemon: ScriptedDaemon, cli: CommandLine, terminal: Terminal
) -> None:
    cli.environ["NO_COLOR"] = "1"
    daemon.on("GET", "/sessions/web/output", piece(0, b"\x1b[31mred", 8))
    assert await terminal.run(cli, "logs", "web") == (0, "red")


async def test_a_picture_does_not_go_to_a_terminal(cli: CommandLine, terminal: Terminal) -> None:
    code, text = await terminal.run(cli, "screen", "web", "--format", "png")
    assert code == 2
    assert "give -o FILE" in text


async def test_no_sessions_comes_with_advice(daemon: ScriptedDaemon, cli: CommandLine, terminal: Terminal) -> None:
    daemon.answer("GET", "/sessions", {"sessions": []})
    assert await terminal.run(cli, "ls") == (0, "teleclaude: no sessions; start one with: teleclaude new\r\n")


async def test_attach_becomes_the_program(
    daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any], terminal: Terminal, tmp_path: Path
) -> None:
    report = tmp_path / "report"
    script = 'test -t 0 && grep SigIgn /proc/$$/status >"$1"; echo $$ >>"$1"; exit 7'
    daemon.answer("GET", "/sessions/web", session | {"attach": {"argv": ["sh", "-c", script, "sh", str(report)]}})
    streams = {"stdin": terminal.theirs, "stdout": terminal.theirs, "stderr": terminal.theirs}
    async with cli.started("attach", "web", **streams) as process:
        assert await asyncio.wait_for(process.wait(), 20) == 7
    ignored, pid = report.read_text().splitlines()
    assert int(ignored.split()[1], 16) == 0
    assert int(pid) == process.pid


async def test_attach_to_what_has_ended(
    daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any], terminal: Terminal
) -> None:
    daemon.answer("GET", "/sessions/web", session | {"state": "exited"})
    code, text = await terminal.run(cli, "attach", "web")
    assert (code, text) == (1, "teleclaude: web is exited on mill: no terminal to attach to here\r\n")


async def test_attach_without_the_program(
    daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any], terminal: Terminal
) -> None:
    daemon.answer("GET", "/sessions/web", session | {"attach": {"argv": ["/nowhere/tmux"]}})
    code, text = await terminal.run(cli, "attach", "web")
    assert (code, text) == (1, "teleclaude: cannot run /nowhere/tmux: No such file or directory\r\n")


async def test_attach_runs_no_words_of_another_daemon(
    daemon: ScriptedDaemon, cli: CommandLine, terminal: Terminal
) -> None:
    code, text = await terminal.run(cli, "attach", "web", "--url", daemon.url)
    assert code == 2
    assert "of this computer only" in text
    assert daemon.seen == []
