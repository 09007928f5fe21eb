"""How the command line ends when something is wrong: the right code, one line, no traceback."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from teleclaude.cli import client
from teleclaude.cli.main import main
from tests.integration.cli.conftest import CommandLine, Ended, ScriptedDaemon, constant, piece, stream
from tests.support.wait import eventually


def no_serve(_: str | None) -> int:
    raise AssertionError("the daemon was to be started")


def one_line(ended: Ended) -> str:
    assert ended.out == ""
    assert ended.err.count("\n") == 1
    assert "Traceback" not in ended.err
    return ended.err.removeprefix("teleclaude: ").rstrip("\n")


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    with closing(socket.socket(socket.AF_UNIX)) as server:
        server.bind(str(path))
        server.listen(1)
        yield server


@pytest.mark.parametrize("argv", [["ls"], ["send", "web", "x"], ["logs", "-f", "web"], ["wait", "web", "--exit"]])
async def test_l7_no_daemon(cli: CommandLine, argv: list[str]) -> None:
    began = time.monotonic()
    ended = await cli(*argv)
    assert ended.code == 69
    assert "start it with: teleclaude serve" in one_line(ended)
    assert time.monotonic() - began < 2


async def test_l7_a_socket_that_nobody_owns_any_more(cli: CommandLine, runtime: Path) -> None:
    with listening(runtime / "teleclaude.sock"):
        pass
    ended = await cli("ls")
    assert ended.code == 69
    assert "Connection refused" in one_line(ended)


@pytest.mark.parametrize(
    ("argv", "doubt"),
    [(["ls"], False), (["send", "web", "x"], True), (["wait", "web", "--exit", "--timeout", "0"], False)],
)
async def test_l7_a_daemon_that_hangs(
    runtime: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    argv: list[str],
    doubt: bool,
) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.2)
    monkeypatch.setenv("TELECLAUDE_RUNTIME_DIR", str(runtime))
    with listening(runtime / "teleclaude.sock"):
        assert await asyncio.to_thread(main, argv, no_serve) == 75
    message = capsys.readouterr().err
    assert "is there but does not answer" in message
    assert ("may have been done or not" in message) is doubt


async def test_l7_a_daemon_that_takes_no_more_connections(cli: CommandLine, runtime: Path) -> None:
    with listening(runtime / "teleclaude.sock") as server:
        waiting = [socket.socket(socket.AF_UNIX) for _ in range(2)]  # listen(1) holds two
        for connection in waiting:
            connection.connect(server.getsockname())
        ended = await cli("ls")
        for connection in waiting:
            connection.close()
    assert ended.code == 75
    assert "does not answer" in one_line(ended)


@pytest.mark.parametrize(
    ("code", "status", "exit_code"),
    [
        ("not_found", 404, 1),
        ("forbidden", 403, 1),
        ("limit", 429, 1),
        ("invalid", 422, 1),
        ("exited", 409, 1),
        ("unavailable", 503, 75),
        ("timeout", 504, 75),
        ("indeterminate", 504, 75),
    ],
)
async def test_a_refusal(daemon: ScriptedDaemon, cli: CommandLine, code: str, status: int, exit_code: int) -> None:
    daemon.refuse("POST", "/sessions/web/input", code, status)
    ended = await cli("send", "web", "x")
    assert (ended.code, one_line(ended)) == (exit_code, f"no, {code} ({code})")


async def test_a_refusal_that_would_move_the_cursor(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", "/sessions", {"detail": "bad \x1b[2J\nname", "code": "invalid"}, status=422)
    assert one_line(await cli("ls")) == "bad  name (invalid)"


@pytest.mark.parametrize("answer", [b"SSH-2.0-nonsense\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"])
async def test_a_stranger_on_the_socket(cli: CommandLine, runtime: Path, answer: bytes) -> None:
    async def reply(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        writer.close()

    async with await asyncio.start_unix_server(reply, runtime / "teleclaude.sock"):
        ended = await cli("ls")
    assert ended.code == 1
    assert "did not answer as a teleclaude daemon does" in one_line(ended)


async def test_an_error_page_without_a_reason(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(status=502, text="<h1>Bad Gateway</h1>")

    daemon.on("GET", "/sessions", page)
    ended = await cli("ls")
    assert ended.code == 1
    assert "answered 502 without saying why" in one_line(ended)


async def test_a_connection_that_is_cut(cli: CommandLine, runtime: Path) -> None:
    async def cut(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_unix_server(cut, runtime / "teleclaude.sock"):
        ended = await cli("kill", "web")
    assert ended.code == 75
    assert "may have been done or not" in one_line(ended)


async def test_a_refusal_before_the_request_was_read(cli: CommandLine, runtime: Path) -> None:
    problem = b'{"detail": "too much", "code": "too_large"}'
    head = b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % len(problem)

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(head + problem)
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(refuse, runtime / "teleclaude.sock"):
        ended = await cli("send", "web", "-", stdin=b"x" * 1_000_000)
    assert (ended.code, one_line(ended)) == (1, "too much (too_large)")


async def test_a_socket_path_that_is_too_long(cli: CommandLine) -> None:
    cli.environ["TELECLAUDE_RUNTIME_DIR"] = "/tmp/" + "x" * 120
    ended = await cli("ls")
    assert ended.code == 78
    assert "too long for a socket" in one_line(ended)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be somebody else")
async def test_l6_root_does_not_use_another_users_daemon(cli: CommandLine, runtime: Path) -> None:
    other = """
import os, socket
os.setgid(65534)
os.setuid(65534)
server = socket.socket(socket.AF_UNIX)
server.bind("teleclaude.sock")
server.listen()
print(server.accept()[0].recv(99))
"""
    os.chown(runtime, 65534, 65534)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", other, cwd=runtime, stdout=asyncio.subprocess.PIPE, env=cli.environ
    )
    try:
        await eventually((runtime / "teleclaude.sock").exists)
        ended = await cli("send", "web", "secret")
        received, _ = await asyncio.wait_for(process.communicate(), 10)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    assert ended.code == 1
    assert "belongs to user 65534" in one_line(ended)
    assert received == b"b''\n"


@pytest.mark.parametrize(
    "argv", [["ls", "--nonsense"], ["kill", "-x"], ["--token", "XYZ", "ls"], ["kill", b"\xff\xfe"]]
)
async def test_l1_l2_l3_l5_nothing_happens_when_the_words_are_wrong(
    daemon: ScriptedDaemon, cli: CommandLine, argv: list[str | bytes]
) -> None:
    ended = await cli(*argv)
    assert (ended.code, ended.out) == (2, "")
    assert "Traceback" not in ended.err
    assert daemon.seen == []


async def test_l3_a_name_after_two_dashes_reaches_the_daemon(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.refuse("DELETE", "/sessions/-x", "not_found", 404)
    assert (await cli("kill", "--", "-x")).code == 1


async def closed(cli: CommandLine, redirection: str, *argv: str) -> tuple[int, str]:
    """Run with a shell's ``redirection``; answers the code and stderr."""
    words = ["sh", "-c", f'exec "$@" {redirection}', "sh", *cli.command, *argv]
    done = await asyncio.to_thread(subprocess.run, words, env=cli.environ, capture_output=True, text=True, timeout=20)
    return done.returncode, done.stderr


async def test_l4_a_closed_stdin(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    code, message = await closed(cli, "<&-", "send", "web", "-")
    assert code == 2
    assert "stdin is closed" in message
    daemon.answer("GET", "/sessions", {"sessions": []})
    assert await closed(cli, "<&-", "ls") == (0, "")


async def test_l4_a_closed_stdout(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", "/sessions", {"sessions": []})
    assert await closed(cli, ">&-", "ls", "--json") == (141, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_l4_a_reader_that_went_away(daemon: ScriptedDaemon, cli: CommandLine, unbuffered: str) -> None:
    cli.environ["PYTHONUNBUFFERED"] = unbuffered
    daemon.on("GET", "/sessions/web/output", piece(0, b"line\n" * 100_000, 500_000))
    reading, writing = os.pipe()
    async with cli.started("logs", "web", stdout=writing, stderr=asyncio.subprocess.PIPE) as process:
        os.close(writing)
        await asyncio.to_thread(os.read, reading, 5)
        os.close(reading)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, err) == (141, b"")


@pytest.mark.parametrize("unbuffered", ["", "1"])
async def test_a_slow_reader_gets_everything(daemon: ScriptedDaemon, cli: CommandLine, unbuffered: str) -> None:
    cli.environ["PYTHONUNBUFFERED"] = unbuffered
    daemon.on("GET", "/sessions/web/output", piece(0, b"line\n" * 100_000, 500_000))
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    async with cli.started("logs", "web", stdout=writing, stderr=asyncio.subprocess.PIPE) as process:
        os.close(writing)
        with open(reading, "rb") as pipe:  # noqa: ASYNC230, PTH123 - the other end of the program's stdout
            out = await asyncio.to_thread(pipe.read)
        _, err = await asyncio.wait_for(process.communicate(), 20)
    assert (process.returncode, err, len(out)) == (0, b"", 500_000)


async def test_a_full_disk(daemon: ScriptedDaemon, cli: CommandLine) -> None:
    daemon.answer("GET", "/sessions", {"sessions": []})
    code, message = await closed(cli, ">/dev/full", "ls", "--json")
    assert (code, message) == (1, "teleclaude: cannot write the output: No space left on device\n")


@pytest.mark.parametrize("argv", [["logs", "-f", "web"], ["wait", "web", "--exit"]])
async def test_ctrl_c_ends_quietly(
    daemon: ScriptedDaemon, cli: CommandLine, session: dict[str, Any], argv: list[str]
) -> None:
    hold = asyncio.Event()
    daemon.on("GET", "/sessions/web", constant(session))
    daemon.on("GET", "/sessions/web/stream", stream(":\n\n", hold=hold))
    daemon.on("POST", "/sessions/web/wait", stream(hold=hold))
    pipe = asyncio.subprocess.PIPE
    async with cli.started(*argv, stdout=pipe, stderr=pipe) as process:
        await eventually(lambda: any(seen.path.endswith(("/stream", "/wait")) for seen in daemon.seen), timeout=20)
        process.send_signal(signal.SIGINT)
        out, err = await asyncio.wait_for(process.communicate(), 20)
    hold.set()
    assert (process.returncode, out, err) == (130, b"", b"")


async def test_stdin_that_is_no_text(cli: CommandLine) -> None:
    ended = await cli("send", "web", "-", stdin=b"ok \xff")
    assert (ended.code, one_line(ended)) == (2, "stdin is not UTF-8 at byte 3")


async def test_stdin_without_an_end(cli: CommandLine) -> None:
    code, message = await closed(cli, "</dev/zero", "send", "web", "-")
    assert code == 2
    assert "more than 1048576 bytes" in message


async def test_attach_needs_a_terminal(cli: CommandLine) -> None:
    ended = await cli("attach", "web")
    assert ended.code == 2
    assert "attach needs a terminal" in one_line(ended)
