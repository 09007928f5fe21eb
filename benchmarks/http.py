"""HTTP: how many lists of sessions a second, and output given to many readers, beside a bare server of the same I/O."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks.frame import Row, at_least, figure
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

ENVIRON = {"TELECLAUDE_SESSIONS__MAX": "200", "TELECLAUDE_REST__MAX_CONNECTIONS": "300"}
SESSIONS = 100
CONNECTIONS = 8
SECONDS = 4.0
STREAM_BYTES = 4_000_000
READERS = (1, 10, 100)
STREAM = "/v1/sessions/printer/stream?from=0"
PRINTER = f"head -c {STREAM_BYTES} /dev/zero | tr '\\0' x; exec cat"


async def measure() -> list[Row]:
    async with daemon_process(ENVIRON) as daemon, Client(daemon.socket) as client:
        await client.new(["bash", "-c", f"stty -opost; {PRINTER}"], name="printer")
        await asyncio.gather(*(client.new(["cat"]) for _ in range(SESSIONS - 1)))

        async def printed() -> bool:
            return bool((await client.get("/sessions/printer"))["output"]["end"] == STREAM_BYTES)

        await eventually(printed, timeout=30)
        listed = await client.get("/sessions")
        async with _bare(listed["sessions"]) as (bare, bare_pid):
            rows = await _lists(daemon, bare)
            for readers in READERS:
                rows += await _fan_out(daemon, bare, bare_pid, readers)
            speed, cpu = await _read(daemon.socket, f"{STREAM}&format=text", daemon.pid, READERS[-1])
            what = f"SSE to {READERS[-1]} readers as text"
            return [
                *rows,
                figure(f"{what}: of the output", speed, "MB/s"),
                figure(f"{what}: server's CPU per reader and MB", cpu, "ms"),
            ]


@asynccontextmanager
async def _bare(sessions: list[object]) -> AsyncIterator[tuple[Path, int]]:
    """The bare server's socket and process."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as name:
        folder = Path(name)
        (folder / "data").write_bytes(b"x" * STREAM_BYTES)
        with sqlite3.connect(folder / "rows.db") as connection:
            connection.execute("CREATE TABLE sessions (body TEXT)")
            rows = [(json.dumps(session),) for session in sessions]
            connection.executemany("INSERT INTO sessions VALUES (?)", rows)
        connection.close()
        process = await asyncio.create_subprocess_exec(sys.executable, "-m", "benchmarks._bare_http", name)
        try:
            await eventually((folder / "bare.sock").exists, timeout=10)
            yield folder / "bare.sock", process.pid
        finally:
            process.terminate()
            await process.wait()


async def _lists(daemon: DaemonProcess, bare: Path) -> list[Row]:
    ours, theirs = [], []
    for _ in range(2):  # in turns, so that a busy moment strikes both
        ours.append(await _requests(daemon.socket, "/v1/sessions"))
        theirs.append(await _requests(bare, "/sessions"))
    return [
        figure(f"GET /v1/sessions with {SESSIONS} sessions", max(ours), "/s"),
        figure("the same, bare handler", max(theirs), "/s"),
        at_least("share of the bare handler", max(ours) / max(theirs), "×", 0.5),
    ]


async def _requests(socket: Path, path: str) -> float:
    """Requests a second on a few connections at once."""
    deadline = time.perf_counter() + SECONDS

    async def one() -> int:
        reader, writer = await asyncio.open_unix_connection(str(socket))
        count = 0
        while time.perf_counter() < deadline:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reader.readexactly(int(length.split(b":")[1]))
            count += 1
        writer.close()
        return count

    return sum(await asyncio.gather(*(one() for _ in range(CONNECTIONS)))) / SECONDS


async def _fan_out(daemon: DaemonProcess, bare: Path, bare_pid: int, readers: int) -> list[Row]:
    rounds = 3 if readers < 100 else 1
    ours = [await _read(daemon.socket, STREAM, daemon.pid, readers) for _ in range(rounds)]
    theirs = [await _read(bare, "/stream", bare_pid, readers) for _ in range(rounds)]
    speed, cpu = max(ours)
    bare_speed, bare_cpu = max(theirs)
    what = f"SSE to {readers} reader{'s' if readers > 1 else ''}"
    return [
        figure(f"{what}: of the output", speed, "MB/s"),
        figure(f"{what}: bare handler", bare_speed, "MB/s"),
        figure(f"{what}: server's CPU per reader and MB", cpu, "ms"),
        figure(f"{what}: bare handler's", bare_cpu, "ms"),
        at_least(f"{what}: share of the bare handler", speed / bare_speed, "×", 0.5),
    ]


async def _read(socket: Path, path: str, pid: int, readers: int) -> tuple[float, float]:
    """MB of output given a second, to all readers together, and the server's CPU time (ms) for each MB given."""
    before, began = _cpu(pid), time.perf_counter()
    await asyncio.gather(*(_reader(socket, path) for _ in range(readers)))
    taken, given = time.perf_counter() - began, readers * STREAM_BYTES / 1e6
    return given / taken, (_cpu(pid) - before) * 1000 / given


async def _reader(socket: Path, path: str) -> None:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()
    transport, _ = await loop.create_unix_connection(lambda: _Counter(path, done), str(socket))
    try:
        async with asyncio.timeout(120):
            await done
    finally:
        transport.abort()


class _Counter(asyncio.Protocol):
    """Reads on until the event that ends at the last byte has begun; looks at as little as it can."""

    def __init__(self, path: str, done: asyncio.Future[None]) -> None:
        self._path = path
        self._done = done
        self._tail = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        seen = self._tail + data
        if b"id: %d\n" % STREAM_BYTES in seen and not self._done.done():
            self._done.set_result(None)
        self._tail = seen[-32:]


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)
