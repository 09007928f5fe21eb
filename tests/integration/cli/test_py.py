"""``teleclaude py`` as a real process against a real daemon."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually


@pytest.fixture(scope="module")
def daemon() -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process()
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


@pytest.fixture
async def client(daemon: DaemonProcess) -> AsyncIterator[Client]:
    async with Client(daemon.socket) as opened:
        yield opened
        for session in (await opened.get("/sessions"))["sessions"]:
            await opened.delete(f"/sessions/{session['id']}", params={"purge": "true"})


def _command(*words: str) -> list[str]:
    return [sys.executable, "-m", "teleclaude", "py", *words]


async def py(daemon: DaemonProcess, *words: str, stdin: str | None = None) -> tuple[int, str, str]:
    """Exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *_command(*words),
        stdin=subprocess.PIPE if stdin is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=daemon.environ,
        cwd=daemon.home,
    )
    async with asyncio.timeout(30):
        out, err = await process.communicate(stdin.encode() if stdin is not None else None)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_code_runs_and_its_session_goes(daemon: DaemonProcess, client: Client) -> None:
    assert await py(daemon, "-c", "print('hello'); 6 * 7") == (0, "hello\n42\n", "")
    assert (await client.get("/sessions"))["sessions"] == []


async def test_a_named_session_keeps_its_variables(daemon: DaemonProcess, client: Client) -> None:
    assert await py(daemon, "work", "-c", "x = 41") == (0, "", "")
    assert await py(daemon, "work", "-c", "x + 1") == (0, "42\n", "")
    assert [session["name"] for session in (await client.get("/sessions"))["sessions"]] == ["work"]


async def test_code_on_standard_input(daemon: DaemonProcess, client: Client) -> None:
    code = "import sys\nfor n in range(3):\n    print(n, file=sys.stderr)\nn"
    assert await py(daemon, stdin=code) == (0, "2\n", "0\n1\n2\n")


async def test_exceptions_and_exits(daemon: DaemonProcess, client: Client) -> None:
    code, out, err = await py(daemon, "-c", "1 / 0")
    assert (code, out) == (1, "")
    assert "ZeroDivisionError: division by zero\n" in err
    assert await py(daemon, "-c", "import sys; sys.exit(3)") == (3, "", "")
    assert await py(daemon, "-c", "import sys; sys.exit('no')") == (1, "", "no\n")
    assert (await py(daemon, "-c", "import time; time.sleep(60)", "--timeout", "0.2"))[0] == 124
    code, out, err = await py(daemon, "-c", "import os; os._exit(2)")
    assert (code, out) == (1, "")
    assert "variables" in err


async def test_questions_are_read_from_standard_input(daemon: DaemonProcess, client: Client) -> None:
    code, out, _ = await py(daemon, "-c", "a = input('a? '); b = input('b? '); [a, b]", stdin="one\ntwo\n")
    assert (code, out) == (0, "a? b? ['one', 'two']\n")
    assert (await py(daemon, "-c", "input('a? ')", stdin=""))[0] == 1


async def test_json(daemon: DaemonProcess, client: Client) -> None:
    code, out, _ = await py(daemon, "--json", "-c", "[1, 2]")
    assert code == 0
    assert json.loads(out)["result"]["value"] == [1, 2]


async def test_a_terminal_is_no_python_session(daemon: DaemonProcess, client: Client) -> None:
    await client.new(["sleep", "600"], name="term")
    code, _, err = await py(daemon, "term", "-c", "1")
    assert code == 1
    assert "terminal" in err


async def test_an_interrupt_is_passed_on(daemon: DaemonProcess, client: Client) -> None:
    process = await asyncio.create_subprocess_exec(
        *_command("-c", "print('go', flush=True)\nimport time; time.sleep(60)"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=daemon.environ,
        cwd=daemon.home,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"go\n"
        process.send_signal(signal.SIGINT)
        _, err = await process.communicate()
    assert process.returncode == 1
    assert b"KeyboardInterrupt" in err


@pytest.mark.parametrize("leaving", ["end of input", "exit"])
async def test_the_prompt(daemon: DaemonProcess, client: Client, leaving: str) -> None:
    ours, theirs = pty.openpty()
    os.set_blocking(ours, False)
    process = await asyncio.create_subprocess_exec(
        *_command(), stdin=theirs, stdout=theirs, stderr=theirs, env=daemon.environ, cwd=daemon.home
    )
    os.close(theirs)
    screen = b""

    def shows(text: str) -> bool:
        nonlocal screen
        with suppress(BlockingIOError, OSError):
            screen += os.read(ours, 65536)
        return text.encode() in screen

    async def type_and_see(text: str, wanted: str) -> None:
        nonlocal screen
        screen = b""
        os.write(ours, text.encode())
        await eventually(lambda: shows(wanted), 20)

    try:
        await eventually(lambda: shows(">>> "), 20)
        await type_and_see("x = 40\n", ">>> ")
        await type_and_see("def f():\n", "... ")
        await type_and_see("    return x + 2\n", "... ")
        await type_and_see("\n", ">>> ")
        await type_and_see("f()\n", "42")
        await type_and_see("name = input('who? ')\n", "who? ")
        await type_and_see("Ada\n", ">>> ")
        await type_and_see("name\n", "'Ada'")
        await type_and_see("1 / 0\n", "ZeroDivisionError")
        await type_and_see("import time; print('go'); time.sleep(60)\n", "go")
        await eventually(lambda: _is_working(client), 20)
        process.send_signal(signal.SIGINT)
        await eventually(lambda: shows("KeyboardInterrupt"), 20)
        await type_and_see("\n", ">>> ")
        screen = b""
        os.write(ours, b"\x04" if leaving == "end of input" else b"exit()\n")
        async with asyncio.timeout(20):
            assert await process.wait() == 0
        assert not shows("Traceback")
        assert (await client.get("/sessions"))["sessions"] == []
    finally:
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def _is_working(client: Client) -> bool:
    return any(session["activity"] == "working" for session in (await client.get("/sessions"))["sessions"])
