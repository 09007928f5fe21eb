"""Every command once, as a process: what it asks, what it prints, how it ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import teleclaude
from tests.integration.cli.conftest import CommandLine, ScriptedDaemon, piece


async def test_ls_is_a_table(daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]) -> None:
    daemon.answer("GET", "/sessions", {"sessions": [session]})
    ended = await cli("ls", "--state", "running", "--tag", "a/b&c")
    assert (ended.code, ended.err) == (0, "")
    head, row = ended.out.splitlines()
    assert head.split() == ["NAME", "STATE", "ACTIVITY", "AGE", "COMMAND", "DIRECTORY"]
    assert row.split()[:3] == ["web", "running", "idle"]
    assert daemon.seen[0].query == {"state": "running", "tag": "a/b&c"}


async def test_ls_in_json(daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]) -> None:
    daemon.answer("GET", "/sessions", {"sessions": [session]})
    assert (await cli("ls", "--json")).json == {"sessions": [session]}


async def test_ls_of_nothing_prints_nothing(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", "/sessions", {"sessions": []})
    ended = await cli("ls")
    assert (ended.code, ended.out, ended.err) == (0, "", "")


async def test_new_prints_the_name(daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]) -> None:
    daemon.answer("POST", "/sessions", session, status=201)
    ended = await cli("new", "web", "--cwd", "/srv", "--", "sh", "-c", "a; b")
    assert (ended.code, ended.out, ended.err) == (0, "web\n", "")
    assert daemon.seen[0].body == {"name": "web", "cwd": "/srv", "command": ["sh", "-c", "a; b"]}
    assert daemon.seen[0].headers["Content-Type"] == "application/json"


async def test_adopt(daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]) -> None:
    daemon.answer("POST", "/sessions/adopt", session, status=201)
    ended = await cli("adopt", "mine", "--name", "web", "--json")
    assert ended.json == session
    assert daemon.seen[0].body == {"target": "mine", "name": "web"}


async def test_send_is_silent(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("POST", "/sessions/barn%2Fweb/input", {"offset": 7, "state": "delivered"})
    ended = await cli("send", "barn/web", "ls -l;")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    assert daemon.seen[0].body == {"text": "ls -l;", "submit": True}


@pytest.mark.parametrize(
    ("options", "text"), [([], "two\nlines é"), (["--no-submit"], "two\nlines é\n")], ids=["submit", "no-submit"]
)
async def test_send_reads_stdin(daemon: ScriptedDaemon, cli: CommandLine, options: list[str], text: str) -> None:
    daemon.answer("POST", "/sessions/web/input", {"offset": 7, "state": "delivered"})
    ended = await cli("send", "web", "-", *options, "--json", stdin="two\nlines é\n".encode())
    assert ended.json == {"offset": 7, "state": "delivered"}
    assert daemon.seen[0].body == {"text": text, "submit": not options}


async def test_keys(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("POST", "/sessions/web/keys", {"offset": 7})
    ended = await cli("keys", "web", "C-c", "Up", "-", "--repeat", "3")
    assert (ended.code, ended.out) == (0, "")
    assert daemon.seen[0].body == {"keys": ["C-c", "Up", "-"], "repeat": 3}


async def test_signal(daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]) -> None:
    daemon.answer("POST", "/sessions/web/signal", session)
    ended = await cli("signal", "web", "INT")
    assert ended.out == "web running\n"
    assert daemon.seen[0].body == {"signal": "INT"}


@pytest.mark.parametrize(("options", "body"), [([], {}), (["--resume"], {"resume": True})])
async def test_restart(
    daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any], options: list[str], body: dict[str, bool]
) -> None:
    daemon.answer("POST", "/sessions/web/restart", session)
    assert (await cli("restart", "web", *options)).out == "web running\n"
    assert daemon.seen[0].body == body


async def test_kill(daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any]) -> None:
    gone = session | {"state": "exited", "exit": {"code": None, "signal": "KILL", "at": None, "reason": "closed"}}
    daemon.answer("DELETE", "/sessions/web", gone)
    assert (await cli("kill", "web", "--grace", "0", "--purge")).out == "web exited KILL\n"
    assert daemon.seen[0].query == {"grace_ms": "0", "purge": "true"}


async def test_screen_is_text_in_a_pipe(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", "/sessions/web/screen", piece(0, b"\x1b]0;x\x07\x1b[31m$ ls\x1b[0m\n\xe2\x9c\x93", 0))
    ended = await cli("screen", "web")
    assert ended.out == "$ ls\n✓\n"
    assert daemon.seen[0].query == {"format": "text"}


async def test_screen_with_colours(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", "/sessions/web/screen", piece(0, b"\x1b[2J\x1b[31mred\n", 0))
    assert (await cli("screen", "web", "--format", "ansi")).out == "\x1b[31mred\n\x1b[0m\n"
    assert (await cli("screen", "web", "--format", "ansi", "--raw")).out == "\x1b[2J\x1b[31mred\n"


async def test_screen_in_json(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", "/sessions/web/screen", {"lines": ["a"]})
    assert (await cli("screen", "web", "--json")).json == {"lines": ["a"]}


async def test_screen_as_a_picture(daemon: ScriptedDaemon, cli: CommandLine, tmp_path: Path) -> None:
    picture = b"\x89PNG\r\n\x1a\n\x00\xff"
    daemon.on("GET", "/sessions/web/screen", piece(0, picture, 0))
    ended = await cli("screen", "web", "--format", "png", "-o", str(tmp_path / "web.png"))
    assert (ended.code, ended.out) == (0, "")
    assert (tmp_path / "web.png").read_bytes() == picture
    assert (await cli("screen", "web", "--format", "png")).data == picture


async def test_screen_into_a_directory_that_is_not_there(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.on("GET", "/sessions/web/screen", piece(0, b"x", 0))
    ended = await cli("screen", "web", "-o", "/nowhere/x")
    assert (ended.code, ended.err) == (1, "teleclaude: cannot write /nowhere/x: No such file or directory\n")


@pytest.mark.parametrize(("outcome", "code"), [("matched", 0), ("exited", 1), ("timeout", 124)])
async def test_wait_ends_with_the_outcome(daemon: ScriptedDaemon, cli: CommandLine, outcome: str, code: int) -> None:
    reply = {"outcome": outcome, "offset": 9, "match": None}
    daemon.answer("POST", "/sessions/web/wait", reply)
    ended = await cli("wait", "web", "--text", "ready", "--timeout", "2")
    assert (ended.code, ended.err) == (code, "")
    assert ended.out.startswith(outcome)
    assert daemon.seen[0].body == {"until": {"text": "ready"}, "timeout_ms": 2000}
    ended = await cli("wait", "web", "--exit", "--json")
    assert (ended.code, ended.json) == (code, reply)


async def test_version_says_both(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", "/health", {"status": "ok", "version": "9.9"})
    assert (await cli("version")).out == f"teleclaude {teleclaude.__version__}\ndaemon 9.9\n"


async def test_version_does_without_the_daemon(cli: CommandLine) -> None:
    ended = await cli("version", "--json")
    assert (ended.code, ended.json) == (0, {"version": teleclaude.__version__, "daemon": None})
    assert "daemon: no daemon answers" in (await cli("version")).out


async def test_another_daemon_gets_the_token(daemon: ScriptedDaemon, cli: CommandLine, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("secret-1\n")
    daemon.answer("GET", "/sessions", {"sessions": []})
    ended = await cli("ls", "--url", daemon.url, "--token-file", str(token))
    assert (ended.code, ended.err) == (0, "")
    assert daemon.seen[0].headers["Authorization"] == "Bearer secret-1"
    assert daemon.seen[0].headers["Host"] == daemon.url.removeprefix("http://")
