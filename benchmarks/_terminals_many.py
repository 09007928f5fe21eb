"""Many sessions: how their deaths are seen, what they cost at rest, how soon they are there and there again."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._terminals import Terminals, cpu_seconds, daemon, terminals
from benchmarks.frame import Row, at_least, at_most, figure
from teleclaude.tasks import watch_process
from tests.support.daemon import Client, DaemonProcess

MANY = 200
DEATHS = 60
TOLD = 30
BURSTS, BURST = 5, 100
HUNDRED = 100
IDLE_SECONDS = 60
PAUSE_SECONDS = 0.02


async def measure() -> list[Row]:
    return [*await _deaths(), *await _deaths_through_the_daemon(), *await _hundred()]


async def _deaths() -> list[Row]:
    """One after the other, as the daemon learns of them: the process's end, then how it ended."""
    async with terminals() as run:
        times = []
        for pane in (await run.create(MANY))[:DEATHS]:
            await asyncio.sleep(PAUSE_SECONDS)
            times.append(await _death(run, pane.pane_id, pane.pid, pane.pid_start))
    seen, known = ([moment[part] for moment in times] for part in (0, 1))
    return [
        at_most(f"death seen, {MANY} sessions, p50", statistics.median(seen), "ms", 5),
        at_most(f"death seen and its cause known, {MANY} sessions, p50", statistics.median(known), "ms", 5),
        figure(f"death seen and its cause known, slowest of {DEATHS}", max(known), "ms"),
    ]


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


async def _deaths_through_the_daemon() -> list[Row]:
    """Single ones, until a waiting client has the durable end; then bursts, and how many of all had the right end."""
    chance = random.Random(1)
    told: list[float] = []
    seen = 0
    async with daemon() as (process, client):
        await asyncio.gather(*(client.new(["cat"], name=f"s{n}") for n in range(MANY)))
        pids = _pids(process)
        for name in list(pids)[:TOLD]:
            told.append(await _told(client, name, pids[name]))
            await client.post(f"/sessions/{name}/restart")
        for _ in range(BURSTS):
            pids = _pids(process)
            names = chance.sample(list(pids), BURST)
            for name in names:
                os.kill(pids[name], signal.SIGKILL)
            seen += sum(await asyncio.gather(*(_ended_so(client, name) for name in names)))
            await asyncio.gather(*(client.post(f"/sessions/{name}/restart") for name in names))
    return [
        figure(f"death written down, {MANY} sessions, to a client that waits, p50", statistics.median(told), "ms"),
        at_least(f"deaths seen of {BURSTS * BURST}, in bursts of {BURST}, {MANY} sessions", seen, "", BURSTS * BURST),
    ]


def _pids(process: DaemonProcess) -> dict[str, int]:
    lines = process.tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}").splitlines()
    return {name: int(pid) for name, pid in (line.split() for line in lines) if not name.startswith("_")}


async def _told(client: Client, name: str, pid: int) -> float:
    async def kill() -> float:
        await asyncio.sleep(PAUSE_SECONDS)
        began = time.perf_counter()
        os.kill(pid, signal.SIGKILL)
        return began

    async def wait() -> float:
        await client.wait(name, exit=True)
        return time.perf_counter()

    began, ended = await asyncio.gather(kill(), wait())
    return (ended - began) * 1000


async def _ended_so(client: Client, name: str) -> bool:
    await client.wait(name, exit=True, timeout_ms=20_000)
    ended = (await client.get(f"/sessions/{name}"))["exit"]
    return ended is not None and ended["signal"] == "KILL"


async def _hundred() -> list[Row]:
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        started, program = _counting_tmux(Path(folder))
        async with daemon({"TELECLAUDE_TMUX__BINARY": str(program)}) as (process, client):
            began = time.perf_counter()
            await asyncio.gather(*(client.new(["cat"], name=f"s{n}") for n in range(HUNDRED)))
            created = time.perf_counter() - began
            await asyncio.sleep(3)
            watched = psutil.Process(process.pid)
            before, processes = cpu_seconds(watched), _count(started)
            await asyncio.sleep(IDLE_SECONDS)
            idle = (cpu_seconds(watched) - before) / IDLE_SECONDS * 100
            spawned = (_count(started) - processes) * 60 / IDLE_SECONDS
            await process.terminate()
            began = time.perf_counter()
            await process.start()
            restarted = time.perf_counter() - began
            adopted = _adoption_seconds(process.log)
    return [
        at_most(f"{HUNDRED} sessions created", created, "s", 3),
        at_most(f"{HUNDRED} sessions idle: the daemon's CPU", idle, "% of a core", 1),
        at_most(f"{HUNDRED} sessions idle: tmux processes a minute", spawned, "", 0),
        at_most(f"{HUNDRED} sessions adopted after a restart", adopted, "s", 2),
        figure(f"restart with {HUNDRED} sessions, to ready", restarted, "s"),
    ]


def _counting_tmux(folder: Path) -> tuple[Path, Path]:
    """A list that grows by a line with every start of tmux, and the program that sees to it."""
    started, program = folder / "started", folder / "tmux"
    started.touch()
    program.write_text(f"#!/bin/sh\necho $$ >>'{started}'\nexec '{shutil.which('tmux')}' \"$@\"\n")
    program.chmod(0o755)
    return started, program


def _count(started: Path) -> int:
    return len(started.read_text().splitlines())


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
