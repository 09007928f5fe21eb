"""Terminals: how soon an echo and a death are seen, what a hundred of them cost, what a flood does to the others."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import random
import signal
import statistics
import sys
import tempfile
import time
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

from benchmarks._terminals import Terminals, terminals
from benchmarks.frame import Row, at_least, at_most, figure
from teleclaude.clock import SystemClock
from teleclaude.streams import StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry, watch_process
from teleclaude.tmux import CreatePane
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

ECHOES = 200
POLLED = 5
MANY = 200
DEATHS = 60
BURSTS, BURST = 5, 100
HUNDRED = 100
IDLE_SECONDS = 60
FLOOD_BYTES = 500_000_000
PROMPTS = 1000
RAW_CAT = ("/bin/sh", "-c", "stty raw -echo; exec cat")
FLOOD = f"yes '{'x' * 77}' | head -c {FLOOD_BYTES}; echo; echo FLOOD''-DONE; exec cat"


async def measure() -> list[Row]:
    rows = await _echoes()
    rows += await _deaths()
    rows += await _all_deaths()
    rows += await _hundred()
    rows += await _flood()
    return rows + await _prompts()


async def _echoes() -> list[Row]:
    bare = await _bare_pty()
    inside = await _inside()
    async with _daemon() as (_, client):
        await client.new(list(RAW_CAT), name="echo")
        await asyncio.sleep(0.3)
        over_http = await _times(lambda: _http_echo(client), ECHOES)
        polled = await _times(lambda: _polled_echo(client), POLLED)
    return [
        figure("echo: bare pty", bare, "ms"),
        figure("echo: input to a stream reader, inside the daemon", inside, "ms"),
        at_most("echo: times a bare pty", inside / bare, "×", 3.5),
        at_most("echo over HTTP: input to first byte, p50", over_http, "ms", 5),
        figure("echo over HTTP: a poller that looks every second, p50", polled, "ms"),
    ]


async def _times(work: Callable[[], Awaitable[float]], rounds: int) -> float:
    """The median of what ``work`` answers."""
    return statistics.median([await work() for _ in range(rounds)])


async def _bare_pty() -> float:
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(RAW_CAT[0], RAW_CAT)
    tty.setraw(master)
    os.set_blocking(master, False)
    loop = asyncio.get_running_loop()
    try:
        await asyncio.sleep(0.3)

        async def echo() -> float:
            seen = asyncio.Event()
            loop.add_reader(master, seen.set)
            began = time.perf_counter()
            os.write(master, b"x")
            await seen.wait()
            taken = time.perf_counter() - began
            os.read(master, 100)
            loop.remove_reader(master)
            return taken * 1000

        return await _times(echo, ECHOES)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.close(master)
        os.waitpid(pid, 0)  # noqa: ASYNC222 - it was killed


async def _inside() -> float:
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
                    await follower.next(5)
                    return (time.perf_counter() - began) * 1000

                return await _times(echo, ECHOES)


async def _http_echo(client: Client) -> float:
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


async def _deaths() -> list[Row]:
    async with terminals() as run:
        panes = await run.create(MANY)
        times = [await _death(run, pane.pane_id, pane.pid, pane.pid_start) for pane in panes[:DEATHS]]
    return [
        at_most(f"death seen, {MANY} sessions, p50", statistics.median(seen for seen, _ in times), "ms", 5),
        figure(f"death seen, {MANY} sessions, slowest of {DEATHS}", max(seen for seen, _ in times), "ms"),
        figure("death seen and its cause known, p50", statistics.median(known for _, known in times), "ms"),
    ]


async def _all_deaths() -> list[Row]:
    """Deaths in bursts, through the daemon: how many ended sessions have not the end that they had."""
    chance = random.Random(1)
    seen = 0
    async with _daemon({"TELECLAUDE_SESSIONS__MAX": str(MANY)}) as (daemon, client):
        await asyncio.gather(*(client.new(["cat"], name=f"s{n}") for n in range(MANY)))
        for _ in range(BURSTS):
            panes = daemon.tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}").splitlines()
            names = chance.sample([line.split() for line in panes if not line.startswith("_")], BURST)
            for _, pid in names:
                os.kill(int(pid), signal.SIGKILL)
            seen += sum(await asyncio.gather(*(_ended_so(client, name) for name, _ in names)))
            await asyncio.gather(*(client.post(f"/sessions/{name}/restart") for name, _ in names))
    return [
        at_least(f"deaths seen of {BURSTS * BURST}, in bursts of {BURST}, {MANY} sessions", seen, "", BURSTS * BURST)
    ]


async def _ended_so(client: Client, name: str) -> bool:
    await client.wait(name, exit=True, timeout_ms=20_000)
    ended = (await client.get(f"/sessions/{name}"))["exit"]
    return ended is not None and ended["signal"] == "KILL"


async def _death(run: Terminals, pane_id: str, pid: int, start: int) -> tuple[float, float]:
    """Milliseconds until the end of the process is known, and until tmux has told how it ended."""
    async with watch_process(pid, start) as watch:
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        await watch.wait(5)
        seen = time.perf_counter()
        status = await run.panes.status_of_dead(pane_id)
        if status is None or status.signal != "KILL":
            raise RuntimeError(f"the death of {pid} was not seen for what it was: {status}")
        return (seen - began) * 1000, (time.perf_counter() - began) * 1000


async def _hundred() -> list[Row]:
    async with _daemon() as (daemon, client):
        began = time.perf_counter()
        await asyncio.gather(*(client.new(["cat"], name=f"s{n}") for n in range(HUNDRED)))
        created = time.perf_counter() - began
        await asyncio.sleep(3)
        process = psutil.Process(daemon.pid)
        before = _cpu(process)
        await asyncio.sleep(IDLE_SECONDS)
        idle = (_cpu(process) - before) / IDLE_SECONDS * 100
        await daemon.terminate()
        began = time.perf_counter()
        await daemon.start()
        started = time.perf_counter() - began
        adopted = _adoption_seconds(daemon.log)
    return [
        at_most(f"{HUNDRED} sessions created", created, "s", 3),
        at_most(f"{HUNDRED} sessions idle: the daemon's CPU", idle, "% of a core", 1),
        at_most(f"{HUNDRED} sessions adopted after a restart", adopted, "s", 2),
        figure(f"restart with {HUNDRED} sessions, to ready", started, "s"),
    ]


def _adoption_seconds(log: str) -> float:
    """From the moment tmux was in use to the moment all were adopted, of the last start."""
    moments = {row["event"]: row["timestamp"] for row in map(_row, log.splitlines()) if row}
    stamps = [moments["tmux_server_in_use"], moments["sessions_adopted"]]
    used, adopted = (
        time.mktime(time.strptime(stamp[:19], "%Y-%m-%dT%H:%M:%S")) + float(stamp[19:-1]) for stamp in stamps
    )
    return adopted - used


def _row(line: str) -> dict[str, str] | None:
    return json.loads(line) if line.startswith("{") else None


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


async def _flood() -> list[Row]:
    alone = await _flood_alone()
    async with _daemon({"TELECLAUDE_SESSIONS__RETENTION_BYTES": "8000000"}) as (daemon, client):
        await client.new(list(RAW_CAT), name="echo")
        process = psutil.Process(daemon.pid)
        before = process.memory_info().rss
        began = time.perf_counter()
        await client.new(["bash", "-c", FLOOD], name="flood")
        grown, latencies = 0, []
        while b"FLOOD-DONE" not in (await client.output("flood", -200))[1]:
            latencies.append(await _http_echo(client))
            grown = max(grown, process.memory_info().rss - before)
            await asyncio.sleep(0.05)
        taken = time.perf_counter() - began
        end = (await client.get("/sessions/flood"))["output"]["end"]
    lines = FLOOD_BYTES // 78
    rest = FLOOD_BYTES - lines * 78
    exact = lines * 79 + rest + len(b"\r\nFLOOD-DONE\r\n")
    return [
        figure("flood: tmux with no capture", FLOOD_BYTES / alone / 1e6, "MB/s"),
        figure("flood: recorded by the daemon", FLOOD_BYTES / taken / 1e6, "MB/s"),
        at_least("flood: times tmux with no capture", alone / taken, "×", 0.9),
        at_most("flood: daemon's memory grown", grown / 1e6, "MB", 30),
        at_most("flood: input to another session, p99", statistics.quantiles(latencies, n=100)[98], "ms", 200),
        at_most("flood: bytes that the stream's end is off by", abs(end - exact), "", 0),
    ]


async def _flood_alone() -> float:
    async with terminals() as run:
        with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
            done = Path(folder) / "done"
            began = time.perf_counter()
            script = FLOOD.replace("exec cat", f"touch {done}; exec cat")
            words = ["new-session", "-d", "-x", "120", "-y", "40", "bash", "-c", script]
            process = await asyncio.create_subprocess_exec(*run.argv, *words, env=run.environ)
            await process.wait()
            await eventually(done.exists, timeout=300)
            return time.perf_counter() - began


async def _prompts() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        record = Path(folder) / "prompts.jsonl"
        command = [sys.executable, "-m", "teleclaude.testing.fake_agent", "--record", str(record)]
        async with _daemon({"TELECLAUDE_AGENTS__FAKE__COMMAND": json.dumps(command)}) as (_, client):
            await client.post("/sessions", {"agent": "fake", "name": "agent"})
            await client.wait("agent", text="? for help")
            for number in range(PROMPTS):
                await client.text("agent", f"prompt {number}")
                await client.wait("agent", text="You said", timeout_ms=5000)
        given = [json.loads(line)["prompt"] for line in record.read_text().splitlines()]
    submitted = sum(f"prompt {number}" in given for number in range(PROMPTS))
    return [at_least(f"agent: prompts submitted of {PROMPTS}", submitted, "", PROMPTS)]


@asynccontextmanager
async def _daemon(environ: dict[str, str] | None = None) -> AsyncIterator[tuple[DaemonProcess, Client]]:
    settings = {"TELECLAUDE_SESSIONS__MAX": "200", **(environ or {})}
    async with daemon_process(settings) as daemon, Client(daemon.socket) as client:
        yield daemon, client
