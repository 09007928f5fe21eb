"""Commands: what starting one costs, how output flows, what a flood and a crowd do to everybody else."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import psutil

from benchmarks.frame import Row, at_least, at_most, figure, medians_ms, once_ms
from teleclaude.bus import Bus
from teleclaude.clock import SystemClock
from teleclaude.config import Config, ExecutionsConfig
from teleclaude.model import Principal, Role
from teleclaude.process import become_subreaper
from teleclaude.service.executions.part import ExecutionPart
from teleclaude.service.lookup import Lookup
from teleclaude.service.records import Records
from teleclaude.service.settings import Settings
from teleclaude.service.table import SessionTable
from teleclaude.store import Database, EventLog
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from teleclaude.wire.executions import ExecutionView, StartExecution
from tests.support.daemon import Client, daemon_process

OWNER = Principal("bench", Role.OWNER)
LINES = 100_000
GROUPS = 100
RUNS = 1000
AT_ONCE = 8
FLOOD_SECONDS = 300.0
SLOW_BYTES = 500_000
MIB = 1 << 20


async def measure() -> list[Row]:
    return [*await _starts(), *await _lines(), *await _crowd(), *await _over_the_cap(), *await _flood()]


@asynccontextmanager
async def _part() -> AsyncIterator[ExecutionPart]:
    """The service's executions without anything around them, in this process."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as home:
        async with AsyncExitStack() as stack:
            tasks = await stack.enter_async_context(TaskRegistry(clock))
            database = await stack.enter_async_context(Database(Path(home, "state.db"), clock=clock))
            watcher = await stack.enter_async_context(make_watcher(tasks))
            streams = await stack.enter_async_context(
                StreamStore(Path(home, "streams"), watcher=watcher, segment_bytes=MIB)
            )
            bus = Bus(EventLog(database))
            part = ExecutionPart(
                computer="bench",
                sessions=Lookup(SessionTable(0), Records(database, bus, clock), streams, "bench"),
                database=database,
                bus=bus,
                streams=streams,
                settings=Settings(Config(executions=ExecutionsConfig(max_concurrent=GROUPS))),
                tasks=tasks,
                clock=clock,
            )
            stack.callback(become_subreaper, False)
            yield await stack.enter_async_context(part)


async def _run(part: ExecutionPart, *argv: str) -> ExecutionView:
    return await part.executions.start(OWNER, StartExecution(argv=list(argv), cwd="/", wait_ms=60_000))


async def _bare(*argv: str) -> None:
    """What ``_run`` asks for, by the standard library alone: the same directory, environment, streams and session."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd="/",
        env=dict(os.environ),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    await process.communicate()


async def _starts() -> list[Row]:
    async with _part() as part:
        bare, ours, printing = await medians_ms(
            [partial(_bare, "true"), partial(_run, part, "true"), partial(_run, part, "echo", "x")],
            rounds=10,
            calls=20,
        )
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        body = {"argv": ["true"], "wait_ms": 60_000}
        [served] = await medians_ms([partial(client.post, "/executions", body)], rounds=1, calls=200)
    return [
        figure("true, by asyncio.create_subprocess_exec", bare, "ms"),
        figure("true, started, recorded and ended", ours, "ms"),
        at_most("true, in bare starts", ours / bare, "×", 2),
        figure("echo, started, stored, recorded and ended", printing, "ms"),
        figure("true, over HTTP", served, "ms"),
    ]


async def _lines() -> list[Row]:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        target = daemon.home / "lines"
        cat = partial(_bare, "sh", "-c", f"seq {LINES} | cat >{target}")
        followed = partial(_followed, client, target)
        to_file, to_reader = await medians_ms([cat, followed], rounds=5, calls=2)
    return [
        figure(f"{LINES} lines, by cat to a file", to_file, "ms"),
        at_most(f"{LINES} lines, stored and read by a subscriber", to_reader, "ms", 5000),
        at_most(f"{LINES} lines, in times of cat", to_reader / to_file, "×", 3),
    ]


async def _followed(client: Client, target: Path) -> None:
    """From the start of the command to its end as its subscriber sees it, everything read."""
    started = await client.post("/executions", {"argv": ["cat", str(target)]})
    url = client.url(f"/executions/{started['id']}/stream")
    async with client.http.get(url, params={"from": "0"}) as response:
        last = b""
        async for piece in response.content.iter_any():
            last = (last + piece)[-4096:]
    if b"event: exit" not in last or f'"id": {target.stat().st_size}'.encode() in last:
        raise RuntimeError("the stream broke off")


async def _crowd() -> list[Row]:
    lags: list[float] = []
    async with _part() as part, _measured_lag(lags):
        command = StartExecution(script="sleep 600 & sleep 600", cwd="/")
        views = await asyncio.gather(*(part.executions.start(OWNER, command) for _ in range(GROUPS)))
        live = [part.table.find(view.id) for view in views]
        lags.clear()
        began = time.perf_counter()
        for one in live:
            assert one is not None
            assert one.running is not None
            await one.running.cancel()
        for one in live:
            assert one is not None
            await one.ended.wait()
        taken = time.perf_counter() - began
        worst = _p99(lags)
    return [
        at_most(f"{GROUPS} groups cancelled at once: lag of the loop, p99", worst * 1000, "ms", 50),
        figure(f"{GROUPS} groups cancelled at once: until all are gone", taken * 1000, "ms"),
    ]


@asynccontextmanager
async def _measured_lag(lags: list[float]) -> AsyncIterator[None]:
    """How late the loop is for a timer of 5 ms, again and again."""
    loop = asyncio.get_running_loop()
    handle: asyncio.TimerHandle

    def tick(due: float) -> None:
        nonlocal handle
        now = loop.time()
        lags.append(now - due)
        handle = loop.call_at(now + 0.005, tick, now + 0.005)

    handle = loop.call_at(loop.time(), tick, loop.time())
    try:
        yield
    finally:
        handle.cancel()


async def _over_the_cap() -> list[Row]:
    body = {"script": "head -c 20000 /dev/zero", "max_output_bytes": 1000, "overflow": "fail", "wait_ms": 60_000}
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        failed = 0
        for _ in range(RUNS // AT_ONCE):
            ended = await asyncio.gather(*(client.post("/executions", body) for _ in range(AT_ONCE)))
            failed += sum((one["status"], one["reason"]) == ("failed", "output_limit") for one in ended)
    return [at_least(f"{RUNS} runs over the cap that ended failed/output_limit", failed, "runs", RUNS)]


async def _flood() -> list[Row]:
    """Five minutes of ``yes``, with a client that never reads and one that reads slowly."""
    async with daemon_process() as daemon, Client(daemon.socket) as client, AsyncExitStack() as stack:
        process = psutil.Process(daemon.pid)
        before = process.memory_info().rss
        started = await client.post("/executions", {"argv": ["yes"], "overflow": "spool"})
        url = client.url(f"/executions/{started['id']}/stream")
        await stack.enter_async_context(_following(daemon.socket, url))
        slow = await stack.enter_async_context(_following(daemon.socket, url))
        sizes: list[tuple[float, int]] = []
        pings: list[float] = []
        began = time.monotonic()

        async def watch() -> None:
            while (at := time.monotonic() - began) < FLOOD_SECONDS:
                pings.append(await once_ms(partial(client.get, "/health")))
                sizes.append((at, process.memory_info().rss))
                await asyncio.sleep(0.02)

        await asyncio.gather(watch(), _throttled(slow, began + FLOOD_SECONDS))
        found = await client.get(f"/executions/{started['id']}")
        await client.post(f"/executions/{started['id']}/cancel")
        await client.get(f"/executions/{started['id']}", params={"wait_ms": "20000"})
    first = [size for at, size in sizes if at < 60]
    later = [size for at, size in sizes if at >= 60]
    name = f"yes for {FLOOD_SECONDS:.0f} s"
    return [
        figure(f"{name}: written by it", found["streams"]["stdout"]["total"] / 1e9, "GB"),
        at_most("yes for 60 s, a client that never reads: growth", (max(first) - before) / MIB, "MiB", 30),
        at_most(f"{name}, the other one reads 500,000 B/s: memory", max(first + later) / MIB, "MiB", 100),
        at_most(f"{name}: change of memory after the first minute", (max(later) - min(later)) / MIB, "MiB", 10),
        at_most(f"{name}: ping of another connection, p99", _p99(pings), "ms", 100),
    ]


@asynccontextmanager
async def _following(socket: Path, url: str) -> AsyncIterator[aiohttp.ClientResponse]:
    connector = aiohttp.UnixConnector(str(socket))
    timeout = aiohttp.ClientTimeout(total=None)
    async with (
        aiohttp.ClientSession(connector=connector, read_bufsize=2**12, timeout=timeout) as http,
        http.get(url, params={"from": "0"}) as response,
    ):
        yield response


async def _throttled(response: aiohttp.ClientResponse, deadline: float) -> None:
    while time.monotonic() < deadline:
        await response.content.readexactly(SLOW_BYTES // 10)
        await asyncio.sleep(0.1)


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]
