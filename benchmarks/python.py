"""Python sessions: start, memory, cells, interrupts, leaks; beside ipykernel where there is one.

``TELECLAUDE_BENCH_IPYKERNEL`` names an interpreter that has ipykernel and jupyter_client, which are no dependencies of
ours; without it our own figures are measured alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks.frame import Row, at_least, at_most, figure, median_ms, once_ms
from teleclaude.clock import SystemClock
from teleclaude.model import CellSpec, CompletedState, FailedState, LiveState, Outcome, RunningState
from teleclaude.process.outcome import LeaderExit
from teleclaude.python import Place, PythonSession, PythonSettings, WorkerPool
from teleclaude.tasks import TaskRegistry

STARTS = 10
ROUND_TRIPS = 500
PRINT_RUNS = 1000
PRINTS = 10_000
INTERRUPTS = 20
CYCLES = 100
TIMEOUT_SECONDS = 60

_PRINTING = f"for n in range({PRINTS}): print(n)\nn"
_PRINTED = "".join(f"{number}\n" for number in range(PRINTS)).encode()


async def measure() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        async with TaskRegistry(SystemClock()) as tasks, WorkerPool(PythonSettings(), tasks) as pool:
            make = partial(_session, tasks, pool, folder)
            cold = await median_ms(partial(_start_and_close, make), STARTS)
            async with make() as session:
                await _run(session, "1+1")
                assert session.pid is not None
                rss = psutil.Process(session.pid).memory_info().rss / (1 << 20)
                trip = await median_ms(partial(_run, session, "1+1"), ROUND_TRIPS)
                prints, misplaced = await _prints(session)
                interrupt = await _interrupts(session, "import time; time.sleep(60)")
                interrupt_await = await _interrupts(session, "import asyncio; await asyncio.sleep(60)")
            leaked = await _cycles(make)
        warm = await _warm(folder)
    kernel = await asyncio.to_thread(_kernel)
    return [
        figure("cold start to ready, and close", cold, "ms"),
        *_beside(kernel, "start_ms", "ipykernel: start to ready"),
        figure("memory of an idle session", rss, "MiB"),
        *_beside(kernel, "rss_mib", "ipykernel: memory"),
        at_most("cell round trip: 1+1, p50", trip, "ms", 2),
        *_beside(kernel, "round_trip_ms", "jupyter_client: 1+1, p50"),
        figure(f"{PRINTS} prints and a value", prints, "ms"),
        *_beside(kernel, "prints_ms", "jupyter_client: the same"),
        at_most(f"output missing or after its result, of {PRINT_RUNS} runs", misplaced, "runs", 0),
        at_most("interrupt of a sleep, worst", interrupt, "ms", 200),
        *_beside(kernel, "interrupt_ms", "ipykernel: interrupt of a sleep"),
        at_most("interrupt of an await, worst", interrupt_await, "ms", 200),
        *_beside(kernel, "interrupt_await_ms", "ipykernel: interrupt of an await"),
        at_most("warm session, ready", warm, "ms", 20),
        at_most(f"left behind by {CYCLES} sessions: descriptors, processes, tasks", leaked, "", 0),
        *_ratios(kernel, cold, rss, trip),
    ]


def _beside(kernel: dict[str, float], key: str, name: str) -> list[Row]:
    unit = "MiB" if key.endswith("_mib") else "ms"
    return [figure(name, kernel[key], unit)] if kernel else []


def _ratios(kernel: dict[str, float], cold: float, rss: float, trip: float) -> list[Row]:
    if not kernel:
        return []
    return [
        at_least("sooner ready than ipykernel", kernel["start_ms"] / cold, "×", 3),
        at_least("smaller than ipykernel", kernel["rss_mib"] / rss, "×", 2),
        at_least("round trip, times faster", kernel["round_trip_ms"] / trip, "×", 1),
    ]


Make = Callable[[], AbstractAsyncContextManager[PythonSession]]


class _Sink:
    def __init__(self) -> None:
        self.data = bytearray()

    async def write(self, data: bytes) -> None:
        self.data += data

    async def close(self) -> None:
        """There is nothing to close."""


class _Deaf:
    """A listener that nobody asks."""

    def restarted(self, epoch: int) -> None: ...

    def exited(self, how: LeaderExit) -> None: ...

    def unresponsive(self, missed: int) -> None: ...

    def responsive(self) -> None: ...


@asynccontextmanager
async def _session(tasks: TaskRegistry, pool: WorkerPool, folder: str) -> AsyncIterator[PythonSession]:
    session = PythonSession(
        "bench", Place(folder), PythonSettings(), pool=pool, tasks=tasks, clock=SystemClock(), listener=_Deaf()
    )
    async with session:
        yield session


async def _start_and_close(make: Make) -> None:
    async with make():
        pass


async def _run(session: PythonSession, code: str) -> tuple[Outcome, bytes]:
    sink = _Sink()
    cell = session.submit("cell", CellSpec(code), {"stdout": sink, "stderr": _Sink()})
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await cell.wait(), bytes(sink.data)


async def _prints(session: PythonSession) -> tuple[float, int]:
    """The median time, and how often not everything printed was there with the value."""
    wrong = 0

    async def run() -> None:
        nonlocal wrong
        outcome, printed = await _run(session, _PRINTING)
        valued = isinstance(outcome, CompletedState) and outcome.result is not None
        wrong += not valued or printed != _PRINTED

    return await median_ms(run, PRINT_RUNS), wrong


async def _interrupts(session: PythonSession, code: str) -> float:
    worst = 0.0
    for _ in range(INTERRUPTS):
        running = asyncio.Event()

        def changed(state: LiveState, running: asyncio.Event = running) -> None:
            if isinstance(state, RunningState):
                running.set()

        sinks = {"stdout": _Sink(), "stderr": _Sink()}
        cell = session.submit("cell", CellSpec(code), sinks, changed=changed)
        await running.wait()
        await cell.interrupt()
        worst = max(worst, await once_ms(cell.wait))
        assert isinstance(cell.outcome, FailedState)
    return worst


async def _cycles(make: Make) -> int:
    own = psutil.Process()
    await _start_and_close(make)
    before = own.num_fds() + len(own.children(recursive=True)) + len(asyncio.all_tasks())
    for _ in range(CYCLES):
        await _start_and_close(make)
    return own.num_fds() + len(own.children(recursive=True)) + len(asyncio.all_tasks()) - before


async def _warm(folder: str) -> float:
    settings = PythonSettings(warm=1)
    async with TaskRegistry(SystemClock()) as tasks, WorkerPool(settings, tasks) as pool:
        times = []
        for _ in range(STARTS):
            await _until_warm(pool)
            session = PythonSession(
                "bench", Place(folder), settings, pool=pool, tasks=tasks, clock=SystemClock(), listener=_Deaf()
            )
            times.append(await once_ms(session.start))
            await session.aclose()
    return sorted(times)[len(times) // 2]


async def _until_warm(pool: WorkerPool) -> None:
    while True:
        if pool.warm:
            return
        await asyncio.sleep(0.01)


def _kernel() -> dict[str, float]:
    interpreter = os.environ.get("TELECLAUDE_BENCH_IPYKERNEL")
    if interpreter is None:
        return {}
    script = Path(__file__).with_name("_kernel.py")
    done = subprocess.run([interpreter, str(script)], capture_output=True, text=True, timeout=300, check=True)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures
