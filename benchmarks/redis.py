"""Other computers through Redis: what an input costs beside a bare round trip, how output flows, what outages do."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.frame import Row, at_least, at_most, figure, medians_ms
from teleclaude.model import Principal, Role
from teleclaude.wire.sessions import SendInput
from tests.support.daemon import Client
from tests.support.fleet import Fleet, running_fleet
from tests.support.peer import running_peer
from tests.support.redis import redis_server
from tests.support.wait import eventually

ROUNDS = 10
CALLS = 20
OUTPUT_BYTES = 60_000_000
COMMANDS = 1000
AT_ONCE = 8
KILLS = 3
SETTLE_SECONDS = 1.0

_ECHO = """
import asyncio, sys
from redis.asyncio import Redis
async def main():
    redis = Redis(unix_socket_path=sys.argv[1], protocol=2)
    await redis.xgroup_create("bench:in", "g", id="0", mkstream=True)
    print("ready", flush=True)
    while True:
        for _, entries in await redis.xreadgroup("g", "c", {"bench:in": ">"}, count=16, block=0):
            for id_, fields in entries:
                await redis.xadd("bench:out", fields, maxlen=1000)
                await redis.xack("bench:in", "g", id_)
asyncio.run(main())
"""


async def measure() -> list[Row]:
    return [*await _inputs(), *await _output(), *await _outages()]


async def _inputs() -> list[Row]:
    async with (
        running_fleet("north", "south") as fleet,
        fleet.client("north") as here,
        fleet.client("south") as there,
        running_peer("bench", fleet.server, fleet.key) as peer,
        _bare(fleet) as bare,
    ):
        await _start(here, ["sh", "-c", "stty -echo; exec cat >/dev/null"])
        await peer.sees("south")
        asking = Principal("bench", Role.OWNER)

        async def far() -> None:
            await here.text("south%2Fwork", "x")

        async def near() -> None:
            await there.text("work", "x")

        async def straight() -> None:
            await peer.fabric.call("south", asking, SendInput(id="work", text="x"))

        works = [far, near, straight, bare]
        for work in works:
            await work()
        remote, local, asked, floor = await medians_ms(works, ROUNDS, CALLS)
    return [
        figure("bare round trip: XADD, XREADGROUP, XADD, XREAD, between two processes", floor, "ms"),
        figure("input over HTTP, acknowledged on its own computer", local, "ms"),
        figure("input over HTTP, acknowledged by another computer", remote, "ms"),
        figure("input from core to core, acknowledged by another computer", asked, "ms"),
        at_most("the same, in bare round trips", asked / floor, "×", 4),
    ]


@asynccontextmanager
async def _bare(fleet: Fleet) -> AsyncIterator[Any]:
    """One message to another process and back, by the same library and server."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _ECHO, str(fleet.server.socket), stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    try:
        async with fleet.server.client(socket_timeout=None) as redis:
            last = "0"

            async def trip() -> None:
                nonlocal last
                await redis.xadd("bench:in", {"x": "y"})
                [[_, entries]] = await redis.xread({"bench:out": last}, block=5000)
                last = entries[-1][0]

            yield trip
    finally:
        process.kill()
        await process.wait()


async def _start(here: Client, command: Any) -> None:
    await here.new(command, "work", computer="south", cwd=tempfile.gettempdir())


async def _output() -> list[Row]:
    """Of an execution, whose output no terminal slows down."""
    async with running_fleet("north", "south") as fleet, fleet.client("north") as here:
        script = f"sleep 1; head -c {OUTPUT_BYTES} /dev/zero"
        body = {"computer": "south", "script": script, "max_output_bytes": 2 * OUTPUT_BYTES}
        started = await here.post("/executions", body)
        path = f"/executions/south%2F{started['id']}/stream"
        size, began, ended = 0, 0.0, 0.0
        async with here.http.get(here.url(path), params={"from": "0"}) as response:
            async for piece in response.content.iter_chunked(1 << 20):
                size += len(piece)
                began = began or time.perf_counter()
                ended = time.perf_counter()
    return [at_least("output relayed from another computer", OUTPUT_BYTES / 1e6 / (ended - began), "MB/s", 10)]


async def _outages() -> list[Row]:
    """Each command types a line into a file, so that those that took effect are counted by what they did."""
    folder = Path(tempfile.mkdtemp(prefix="tc-bench-"))
    answers: Counter[str] = Counter()
    said: dict[int, str] = {}
    waiting = iter(range(COMMANDS))
    async with (
        redis_server() as server,
        running_fleet("north", "south", server=server) as fleet,
        fleet.client("north") as here,
    ):
        await _start(here, f"stty -echo; exec cat >{folder}/ran")

        async def work() -> None:
            for number in waiting:
                said[number] = await _typed(here, str(number))
                answers[said[number]] += 1

        async def kill() -> None:
            for turn in range(1, KILLS + 1):
                await eventually(partial(_reached, said, turn * COMMANDS // (KILLS + 1)), timeout=300)
                server.kill()
                await asyncio.sleep(1)
                await server.start()

        await asyncio.gather(*(work() for _ in range(AT_ONCE)), kill())
        await asyncio.sleep(SETTLE_SECONDS)
    ran = Counter(int(line) for line in (folder / "ran").read_text().splitlines())
    shutil.rmtree(folder)
    twice = sum(count > 1 for count in ran.values())
    wrong = sum((how == "ok") != (number in ran) for number, how in said.items() if how != "indeterminate")
    return [
        figure(f"{COMMANDS} commands, Redis killed {KILLS} times: answered", answers["ok"], "commands"),
        figure("the same: said to be indeterminate", answers["indeterminate"], "commands"),
        figure("the same: refused, and nothing done", answers["unavailable"], "commands"),
        at_most("the same: done more than once", twice, "commands", 0),
        at_most("the same: done or not, other than was said", wrong, "commands", 0),
    ]


def _reached(said: dict[int, str], count: int) -> bool:
    return len(said) >= count


async def _typed(here: Client, text: str) -> str:
    """``ok`` or the code of the refusal; a full limit is waited for, as nothing was done."""
    while True:
        body = {"text": text}
        async with here.http.post(here.url("/sessions/south%2Fwork/input"), json=body) as response:
            answer = await response.json(content_type=None)
        if response.status == 200:
            return "ok"
        if answer["code"] != "limit":
            return str(answer["code"])
        await asyncio.sleep(answer["retry_after_ms"] / 1000)
