"""What a flood of output costs: its own speed, the daemon's memory, the patience of the other sessions."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks._terminals import RAW_CAT, cpu_seconds, daemon, terminals
from benchmarks._terminals_echo import http_echo
from benchmarks.frame import Row, at_least, at_most, figure
from teleclaude.clock import SystemClock
from teleclaude.streams import Follower, StreamStore, make_watcher
from teleclaude.tasks import TaskRegistry
from tests.support.daemon import Client
from tests.support.wait import eventually

ROUNDS, ROUND_BYTES = 3, 60_000_000
FLOOD_BYTES = 500_000_000
RETAINED_BYTES = 8_000_000
LINE = b"x" * 77
END = b"\r\nFLOOD-DONE\r\n"
_SHOWN = LINE + b"\r\n"
_LINES = FLOOD_BYTES // (len(LINE) + 1)
_LAST = LINE[: FLOOD_BYTES % (len(LINE) + 1)] + END
VIEWERS, VIEWED_BYTES, PIECE_BYTES = 100, 8 << 20, 1 << 14
WAIT_SECONDS = 30.0


async def measure() -> list[Row]:
    return [*await _speed(), *await _beside(), *await _viewers()]


def _script(size: int, done: Path) -> str:
    return f"yes '{LINE.decode()}' | head -c {size}; echo; echo FLOOD''-DONE; : >'{done}'; exec cat"


async def _speed() -> list[Row]:
    """The same producer in panes of the same size, on a tmux without us and in the daemon, turn by turn."""
    alone: list[float] = []
    ours: list[float] = []
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        async with terminals() as run, daemon() as (process, client):
            watched = psutil.Process(process.pid)
            used = 0.0
            for number in range(ROUNDS):
                done = Path(folder) / f"alone-{number}"
                began = time.perf_counter()
                words = ["new-session", "-d", "-x", "120", "-y", "40", "bash", "-c", _script(ROUND_BYTES, done)]
                starter = await asyncio.create_subprocess_exec(*run.argv, *words, env=run.environ)
                await starter.wait()
                await eventually(done.exists, timeout=300)
                alone.append(time.perf_counter() - began)

                done, before = Path(folder) / f"ours-{number}", cpu_seconds(watched)
                began = time.perf_counter()
                await client.new(["bash", "-c", _script(ROUND_BYTES, done)], name=f"flood-{number}")
                await eventually(done.exists, timeout=300)
                ours.append(time.perf_counter() - began)
                used += cpu_seconds(watched) - before
    ratios = [theirs / mine for theirs, mine in zip(alone, ours, strict=True)]
    return [
        figure("flood: tmux with no capture", ROUND_BYTES / statistics.median(alone) / 1e6, "MB/s"),
        figure("flood: recorded by the daemon", ROUND_BYTES / statistics.median(ours) / 1e6, "MB/s"),
        at_least("flood: times tmux with no capture, median of rounds", statistics.median(ratios), "×", 0.9),
        figure("flood: times tmux with no capture, worst round", min(ratios), "×"),
        figure("flood: the daemon's CPU while nobody looks", used / sum(ours) * 100, "% of a core"),
    ]


async def _beside() -> list[Row]:
    """Half a gigabyte, while somebody types into another session."""
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        done = Path(folder) / "done"
        async with daemon({"TELECLAUDE_SESSIONS__RETENTION_BYTES": str(RETAINED_BYTES)}) as (process, client):
            await client.new(list(RAW_CAT), name="echo")
            await asyncio.sleep(0.5)
            watched = psutil.Process(process.pid)
            before = watched.memory_info().rss
            await client.new(["bash", "-c", _script(FLOOD_BYTES, done)], name="flood")
            grown, latencies = 0, []
            while not done.exists():
                latencies.append(await http_echo(client))
                grown = max(grown, watched.memory_info().rss - before)
                await asyncio.sleep(0.05)
            end = await eventually(lambda: _settled_end(client), timeout=30)
            kept, wrong = await _compare(client)
    return [
        at_most("flood of 500 MB: the daemon's memory grown", grown / 1e6, "MB", 30),
        at_most("flood: input to another session, p99", statistics.quantiles(latencies, n=100)[98], "ms", 200),
        figure("flood: input to another session, p50", statistics.median(latencies), "ms"),
        at_most("flood: bytes that the stream's end is off by", abs(end - _size()), "", 0),
        at_most(f"flood: bytes that differ, of {kept / 1e6:.0f} MB kept", wrong, "", 0),
    ]


def _size() -> int:
    """The terminal makes two bytes of each line's end."""
    return _LINES * len(_SHOWN) + len(_LAST)


def _printed(start: int, length: int) -> bytes:
    """What the flood printed from offset ``start`` on."""
    inside, whole = start % len(_SHOWN), _LINES * len(_SHOWN)
    if start >= whole:
        return _LAST[start - whole :][:length]
    lines = _SHOWN * (min(length, whole - start) // len(_SHOWN) + 2)
    return (lines[inside : inside + whole - start] + _LAST)[:length]


async def _settled_end(client: Client) -> int:
    """The stream's end once the last line is in it; 0 before."""
    output: dict[str, int] = (await client.get("/sessions/flood"))["output"]
    return output["end"] if (await client.output("flood", -len(END)))[1] == END else 0


async def _compare(client: Client) -> tuple[int, int]:
    """How many bytes are kept, and how many of them are not what was printed there."""
    offset, data = await client.output("flood")
    kept = wrong = 0
    while data:
        expected = _printed(offset, len(data))
        if data != expected:
            wrong += sum(a != b for a, b in zip(data, expected, strict=False)) + abs(len(data) - len(expected))
        kept += len(data)
        offset, data = await client.output("flood", offset + len(data))
    return kept, wrong


async def _viewers() -> list[Row]:
    """How often a piece of a stream is made when a hundred follow it: they are given one and the same object."""
    clock = SystemClock()
    with tempfile.TemporaryDirectory(prefix="tc-bench-") as folder:
        async with (
            TaskRegistry(clock) as tasks,
            make_watcher(tasks) as watcher,
            StreamStore(Path(folder), watcher=watcher, segment_bytes=1 << 20) as store,
        ):
            stream = await store.create("viewed")
            command = await stream.begin_generation()
            recorder = await asyncio.create_subprocess_shell(command, stdin=asyncio.subprocess.PIPE)
            await stream.settle()
            assert recorder.stdin is not None
            made: dict[int, object] = {}

            async def view(follower: Follower) -> int:
                pieces = 0
                async with follower:
                    while follower.offset < VIEWED_BYTES:
                        piece = await follower.next(WAIT_SECONDS)
                        made[id(piece)] = piece
                        pieces += 1
                return pieces

            async def feed(pipe: asyncio.StreamWriter) -> int:
                for _ in range(VIEWED_BYTES // PIECE_BYTES):
                    pipe.write(b"x" * PIECE_BYTES)
                    await pipe.drain()
                    await asyncio.sleep(0.001)
                pipe.close()
                return 0

            views = (view(Follower(stream, watcher, 0)) for _ in range(VIEWERS))
            longest = max(await asyncio.gather(feed(recorder.stdin), *views))
            await recorder.wait()
    return [at_most(f"{VIEWERS} viewers of one stream: times each piece is made", len(made) / longest, "", 1.1)]
