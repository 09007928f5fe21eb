"""What README and docs/python-engine.md tell a reader to type for Python sessions works as printed."""

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

ROOT = Path(__file__).parents[3]
SHELL = f'teleclaude() {{ {sys.executable} -m teleclaude "$@"; }}\n'


@pytest.fixture
def daemon() -> Iterator[DaemonProcess]:
    with asyncio.Runner() as runner:
        opened = daemon_process()
        yield runner.run(opened.__aenter__())
        runner.run(opened.__aexit__(None, None, None))


def blocks(page: str, section: str) -> list[str]:
    text = (ROOT / page).read_text()
    start = text.index(f"\n## {section}\n") + 1
    end = text.find("\n## ", start)
    return re.findall(r"```sh\n(.*?)```", text[start : end if end >= 0 else None], flags=re.DOTALL)


def run(daemon: DaemonProcess, script: str) -> str:
    done = subprocess.run(
        ["bash", "-euc", SHELL + script],
        env={**daemon.environ, "PYTHONPATH": ":".join(sys.path)},
        cwd=daemon.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{script}: {done.stderr}"
    return done.stdout


def test_from_a_shell(daemon: DaemonProcess) -> None:
    (block,) = blocks("README.md", "Python")
    shown = run(daemon, block)
    assert "\n42\n" in shown
    assert "\n7\n" in shown
    assert '"value": 6' in shown


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples use curl")
def test_over_http(daemon: DaemonProcess) -> None:
    api = f'api() {{ curl -sSf --unix-socket {daemon.socket} "http://localhost/v1$@"; }}\n'
    first, questions = blocks("docs/python-engine.md", "Over HTTP")
    run(daemon, "teleclaude new --kind python calc")
    shown = run(daemon, api + first).replace(" ", "")
    for wanted in ("1.4142135623730951", '"ZeroDivisionError"', "\n42\n", '"updated":["x"]', '"restored":["math","x"]'):
        assert wanted in shown, wanted
    post = first.splitlines()[0] + "\n"
    shown = run(daemon, api + post + questions).replace(" ", "")
    assert '"outcome":"matched"' in shown
    assert '"value":"Ada"' in shown
