"""A real daemon process with directories and a tmux socket of its own, and a client for it."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiohttp

from teleclaude.tasks import process_start_time
from tests.support.wait import eventually

READY_SECONDS = 20.0
STOP_SECONDS = 12.0


class DaemonProcess:
    """Starts, stops, kills and restarts one daemon on the same state. ``home`` holds everything it writes."""

    def __init__(self, home: Path, environ: Mapping[str, str] | None = None) -> None:
        self.home = home
        self.state = home / "state"
        self.runtime = home / "run"
        self.socket = self.runtime / "teleclaude.sock"
        self.tmux_socket = f"tc-test-{secrets.token_hex(4)}"
        transport = os.environ.get("TELECLAUDE_TEST_TRANSPORT")
        self.environ = {
            **os.environ,
            "TELECLAUDE_STATE_DIR": str(self.state),
            "TELECLAUDE_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(home / "config"),
            "TELECLAUDE_TMUX__SOCKET_NAME": self.tmux_socket,
            "TELECLAUDE_SESSIONS__SHELL": "/bin/bash",
            **({"TELECLAUDE_TMUX__TRANSPORT": transport} if transport else {}),
            "TELECLAUDE_LOG__FORMAT": "json",
            "HOME": str(home),
            **(environ or {}),
        }
        self.log_path = home / "daemon.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    async def start(self) -> Self:
        """Start it and wait for its ready line."""
        before = self.log.count("teleclaude ready")
        self.spawn()

        def ready() -> bool:
            assert self._process is not None
            code = self._process.poll()
            if code is not None:
                raise RuntimeError(f"the daemon ended with {code}:\n{self.log[-4000:]}")
            return self.log.count("teleclaude ready") > before

        await eventually(ready, timeout=READY_SECONDS)
        return self

    def command(self) -> list[str]:
        return [sys.executable, "-m", "teleclaude", "serve"]

    def spawn(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                self.command(),
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.home,
            )

    async def wait(self, timeout: float = STOP_SECONDS) -> int:
        """Its exit status."""
        assert self._process is not None
        return await asyncio.to_thread(self._process.wait, timeout)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def terminate(self) -> int:
        self.signal(signal.SIGTERM)
        return await self.wait()

    async def kill(self) -> None:
        self.signal(signal.SIGKILL)
        await self.wait()

    def tmux(self, *arguments: str, check: bool = True) -> str:
        """Run the real tmux on the daemon's socket, as an independent witness."""
        done = subprocess.run(
            ["tmux", "-L", self.tmux_socket, *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(f"tmux {arguments}: {done.stderr}")
        return done.stdout.strip()

    def tmux_pid(self) -> int | None:
        text = self.tmux("display-message", "-p", "#{pid}", check=False)
        return int(text) if text.isdecimal() else None

    async def aclose(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.signal(signal.SIGCONT)
            self._process.kill()
            await self.wait()
        pid = await asyncio.to_thread(self.tmux_pid)
        if pid is not None:
            # A killed server's programs lose their terminal, and its recorders their input: all of them end.
            os.kill(pid, signal.SIGKILL)
            await eventually(lambda: process_start_time(pid) is None, timeout=10)
        socket = Path(self.environ.get("TMUX_TMPDIR", "/tmp")) / f"tmux-{os.getuid()}" / self.tmux_socket
        socket.unlink(missing_ok=True)


class Client:
    """The HTTP surface on the unix socket, in few words."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self.http = self._open()

    def _open(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(self._socket)), timeout=aiohttp.ClientTimeout(total=30)
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.http.close()

    def url(self, path: str) -> str:
        return f"http://localhost/v1{path}"

    async def call(self, method: str, path: str, body: Any = None, *, expect: int | None = None, **kw: Any) -> Any:
        """The decoded JSON reply; asserts the status (``expect``, else any below 300)."""
        async with self.http.request(method, self.url(path), json=body, **kw) as response:
            data = await response.read()
            wrong = response.status != expect if expect is not None else response.status >= 300
            assert not wrong, f"{method} {path}: {response.status} {data[:500]!r}"
            return await response.json(content_type=None) if data else None

    async def get(self, path: str, *, expect: int | None = None, **kw: Any) -> Any:
        return await self.call("GET", path, expect=expect, **kw)

    async def post(self, path: str, body: Any = None, *, expect: int | None = None, **kw: Any) -> Any:
        return await self.call("POST", path, body, expect=expect, **kw)

    async def delete(self, path: str, *, expect: int | None = None, **kw: Any) -> Any:
        return await self.call("DELETE", path, expect=expect, **kw)

    async def new(self, command: Any = None, name: str | None = None, **fields: Any) -> Any:
        """Create a session."""
        body = {"command": command, "name": name, **fields}
        return await self.post("/sessions", {key: value for key, value in body.items() if value is not None})

    async def output(self, session: str, start: int | None = None, limit: int = 1 << 20) -> tuple[int, bytes]:
        """``(offset of the first byte, bytes)`` of one read."""
        params = {"limit": str(limit)} | ({"from": str(start)} if start is not None else {})
        async with self.http.get(self.url(f"/sessions/{session}/output"), params=params) as response:
            data = await response.read()
            assert response.status == 200, data
            return int(response.headers["Teleclaude-From"]), data

    async def all_output(self, session: str) -> bytes:
        """Every kept byte."""
        parts: list[bytes] = []
        offset, data = await self.output(session)
        while data:
            parts.append(data)
            offset, data = await self.output(session, offset + len(data))
        return b"".join(parts)

    async def wait(self, session: str, timeout_ms: int = 10_000, **until: Any) -> Any:
        return await self.post(f"/sessions/{session}/wait", {"until": until, "timeout_ms": timeout_ms})

    async def text(self, session: str, text: str, **fields: Any) -> Any:
        return await self.post(f"/sessions/{session}/input", {"text": text, **fields})


@asynccontextmanager
async def daemon_process(
    environ: Mapping[str, str] | None = None, *, start: bool = True
) -> AsyncIterator[DaemonProcess]:
    """A daemon in a folder of its own; whatever happens, it and its tmux server are gone afterwards."""
    home = Path(tempfile.mkdtemp(prefix="tc-"))
    daemon = DaemonProcess(home, environ)
    try:
        if start:
            await daemon.start()
        yield daemon
    finally:
        await daemon.aclose()
        shutil.rmtree(home, ignore_errors=True)
