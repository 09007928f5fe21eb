"""What the README tells a reader to type works as printed."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.daemon import DaemonProcess, daemon_process
from tests.support.fleet import shared_fleet

README = Path(__file__).parents[3] / "README.md"
SHELL = f'teleclaude() {{ {sys.executable} -m teleclaude "$@"; }}\n'


def blocks(section: str) -> list[str]:
    """The shell blocks of a section, which ends at the next heading of its own or a higher level."""
    text = README.read_text()
    level = len(section.split(maxsplit=1)[0])
    start = text.index(f"\n{section}\n")
    rest = text[start + len(section) + 2 :]
    end = re.search(rf"^#{{1,{level}}} ", rest, flags=re.MULTILINE)
    return re.findall(r"```sh\n(.*?)```", rest[: end.start() if end else None], flags=re.DOTALL)


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process()
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


def run(daemon: DaemonProcess, script: str, *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-euc", SHELL + script],
        env={**daemon.environ, "PYTHONPATH": ":".join(sys.path)},
        cwd=daemon.home,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def test_the_first_session(daemon: DaemonProcess) -> None:
    _, session = blocks("## Start")
    lines = [line for line in session.splitlines() if line.startswith("teleclaude ") and " attach " not in line]
    assert len(lines) >= 8
    for line in lines:
        done = run(daemon, line)
        assert done.returncode == 0, f"{line}: {done.stderr}"
    assert "hello" in run(daemon, "teleclaude logs build").stdout


def test_sessions_output_and_waiting(daemon: DaemonProcess) -> None:
    (daemon.home / "web").mkdir()
    sessions = blocks("## Sessions")[0].replace("/srv/web", str(daemon.home / "web")).replace("PORT=8080", "PORT=0")
    done = run(daemon, sessions.replace("http.server", "http.server 0"))
    assert done.returncode == 0, done.stderr
    assert '"name": "web"' in done.stdout or '"name":"web"' in done.stdout
    assert run(daemon, "teleclaude new build -- bash; teleclaude send build 'echo passed; exit'").returncode == 0
    for line in blocks("### Waiting")[0].splitlines():
        assert run(daemon, line.replace("done", "passed")).returncode in (0, 1), line
    for line in blocks("### Output")[0].splitlines():
        if not line.startswith("teleclaude logs -f"):
            done = run(daemon, line)
            assert done.returncode == 0, f"{line}: {done.stderr}"
    assert (daemon.home / "build.png").read_bytes().startswith(b"\x89PNG")
    assert b"passed" in (daemon.home / "build.log").read_bytes()


def test_commands(daemon: DaemonProcess) -> None:
    (daemon.home / "names.txt").write_text("b\na\nb\n")
    listing, counted, as_object = (run(daemon, line) for line in blocks("## Commands")[0].splitlines())
    assert (listing.returncode, listing.stderr) == (0, "")
    assert "usr" in listing.stdout
    assert counted.stdout.split() == ["1", "a", "2", "b"]
    assert '"status": "completed"' in as_object.stdout


def test_in_the_browser(daemon: DaemonProcess) -> None:
    served, token = blocks("### In the browser")[0].splitlines()
    assert served.startswith("TELECLAUDE_REST__LISTEN=127.0.0.1:7433 ")
    done = run(daemon, token)
    assert done.stdout.startswith("tc_"), done.stderr


@pytest.mark.skipif(shutil.which("curl") is None, reason="the README's HTTP examples use curl")
def test_http(daemon: DaemonProcess) -> None:
    script = blocks("## HTTP")[0].replace("make;", "true;").replace(" -N ", " -N --max-time 1 ")
    script = re.sub(r"^socket=.*$", f"socket={daemon.socket}", script, flags=re.MULTILINE)
    script = script.replace("--max-time 1          #", "--max-time 1 || true  #")
    done = run(daemon, script)
    assert done.returncode == 0, done.stderr
    assert '"status":"ok"' in done.stdout.replace(" ", "")
    assert '"outcome":"matched"' in done.stdout.replace(" ", "")
    assert "event: output" in done.stdout
    assert '"state":"exited"' in done.stdout.replace(" ", "")


def test_many_computers() -> None:
    with shared_fleet("north", "south") as fleet:
        north = fleet["north"]
        pairing, using = blocks("## Many computers")
        assert run(north, pairing.splitlines()[0]).returncode == 0
        for line in using.splitlines():
            if " attach " not in line:
                done = run(north, line)
                assert done.returncode == 0, f"{line}: {done.stderr}"
        script = "teleclaude wait south/build --text 'make test' >wait; teleclaude logs south/build"
        assert "make test" in run(north, script).stdout
