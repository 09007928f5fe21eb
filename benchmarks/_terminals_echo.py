"""How soon a key is seen as its echo: beside a bare pty, over HTTP, and by somebody who polls."""

from __future__ import annotations

import asyncio
import os
import pty
import random
import signal
import statistics
import tempfile
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks._terminals import RAW_CAT, daemon, terminals
from benchmarks.frame import Row, at_most, figure
from teleclaude.clock import SystemClock
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from teleclaude.tmux import CreatePane
from tests.support.daemon import Client

ROUNDS, KEYS = 30, 15
PACED_SECONDS = 0.005
REST_SECONDS = 0.03

OVER_HTTP = 200
POLLED = 5
WAIT_SECONDS = 5.0

Echo = Callable[[], Awaitable[float]]
"""Types a key and answers the milliseconds until the first byte came back."""


async def measure() -> list[Row]:
    async with _bare_pty() as bare, _inside() as inside:
        close = await _rounds(bare, inside, 0)
        paced = await _rounds(bare, inside, PACED_SECONDS)
    async with daemon() as (_, client):
        await client.new(list(RAW_CAT), name="echo")
        await asyncio.sleep(0.3)
        over_http = await _median(lambda: http_echo(client), OVER_HTTP)
        polled = await _median(lambda: _polled_echo(client), POLLED)
    return [
        *_compared("a key every 5 ms", paced, 3.5),
        *_compared("one key upon the other", close, None),
        at_most("echo over HTTP: input to first byte, p50", over_http, "ms", 5),
        figure("echo over HTTP: a poller that looks every second, p50", polled, "ms"),
    ]


async def _rounds(bare: Echo, inside: Echo, pause: float) -> list[tuple[float, float]]:
    """Medians of turns on both paths, so that a busy moment strikes both."""
    rounds = []
    for _ in range(ROUNDS):
        rounds.append((await _median(bare, KEYS, pause), await _median(inside, KEYS, pause)))
        await asyncio.sleep(REST_SECONDS)
    return rounds


def _compared(how: str, rounds: list[tuple[float, float]], target: float | None) -> list[Row]:
    bare, inside = (statistics.median(one[path] for one in rounds) for path in (0, 1))
    ratios = [ours / theirs for theirs, ours in rounds]
    quarter, _, three = statistics.quantiles(ratios, n=4)
    name = f"echo, {how}: times a bare pty"
    return [
        figure(f"echo, {how}: bare pty", bare, "ms"),
        figure(f"echo, {how}: input to a stream reader, inside the daemon", inside, "ms"),
        figure(name, inside / bare, "×") if target is None else at_most(name, inside / bare, "×", target),
        figure(f"{name}, lower quartile of rounds", quarter, "×"),
        figure(f"{name}, upper quartile of rounds", three, "×"),
    ]


async def _median(echo: Echo, count: int, pause: float = 0) -> float:
    times = []
    for _ in range(count):
        if pause:
            await asyncio.sleep(pause)
        times.append(await echo())
    return statistics.median(times)


@asynccontextmanager
async def _bare_pty() -> AsyncIterator[Echo]:
    """The same program on a terminal of our own, read as one reads a descriptor on a loop: no tmux, no recording."""
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(RAW_CAT[0], RAW_CAT)
    tty.setraw(master)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[bytes] = asyncio.Queue()
    loop.add_reader(master, lambda: arrived.put_nowait(os.read(master, 1 << 16)))

    async def echo() -> float:
        began = time.perf_counter()
        os.write(master, b"x")
        async with asyncio.timeout(WAIT_SECONDS):
            await arrived.get()
        return (time.perf_counter() - began) * 1000

    try:
        await asyncio.sleep(0.3)
        yield echo
    finally:
        loop.remove_reader(master)
        os.kill(pid, signal.SIGKILL)
        os.close(master)
        os.waitpid(pid, 0)  # noqa: ASYNC222 - it was killed


@asynccontextmanager
async def _inside() -> AsyncIterator[Echo]:
    """The daemon's own parts: a pane's input, its recorder, a follower of the stream."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        async with (
            terminals() as run,
            TaskRegistry(clock) as tasks,
            make_watcher(tasks) as watcher,
            StreamStore(Path(folder), watcher=watcher, segment_bytes=1 << 20) as store,
        ):
            stream = await store.create("echo")
            request = CreatePane(
                session_id="echo",
                name="echo",
                command=RAW_CAT,
                cwd="/",
                recorder_command=await stream.begin_generation(),
            )
            pane = await run.panes.create(request)
            await stream.settle()
            await asyncio.sleep(0.3)
            async with store.follow(stream, stream.bounds().end) as follower:

                async def echo() -> float:
                    began = time.perf_counter()
                    await run.panes.send_bytes(pane.pane_id, b"x")
                    await follower.next(WAIT_SECONDS)
                    return (time.perf_counter() - began) * 1000

                yield echo


async def http_echo(client: Client) -> float:
    """Milliseconds from an input's request to the first byte that a waiting read of session ``echo`` is given."""
    end = (await client.get("/sessions/echo"))["output"]["end"]
    waiting = {"from": str(end), "wait_ms": "5000"}

    async def read() -> float:
        async with client.http.get(client.url("/sessions/echo/output"), params=waiting) as response:
            await response.read()
            return time.perf_counter()

    async def send() -> float:
        await asyncio.sleep(0.02)
        began = time.perf_counter()
        await client.text("echo", "x", submit=False)
        return began

    seen, began = await asyncio.gather(read(), send())
    return (seen - began) * 1000


async def _polled_echo(client: Client) -> float:
    """Its looks fall anywhere within the second after the input."""
    end = (await client.get("/sessions/echo"))["output"]["end"]
    began = time.perf_counter()
    await client.text("echo", "x", submit=False)
    await asyncio.sleep(random.random())
    while (await client.get("/sessions/echo"))["output"]["end"] == end:  # noqa: ASYNC110 - polling is what is measured
        await asyncio.sleep(1)
    return (time.perf_counter() - began) * 1000
