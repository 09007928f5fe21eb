"""One tmux command through the bridge, beside a ``tmux`` process per command."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from benchmarks._terminals import Terminals, terminals
from benchmarks.frame import Row, at_least, at_most, figure, median_ms, medians_ms
from teleclaude.tmux.line import Flag, Option, TmuxCommand, command, constant, hex_bytes, pane

DOZEN = 12
MANY = 200
ROUNDS = 8
CALLS = 40
BATCHES = 20


async def measure() -> list[Row]:
    async with terminals() as run, _cat() as echo:
        [target, *_] = [identity.pane_id for identity in await run.create(DOZEN)]
        shown, sent = _show(), _send(target)
        spawn_show, bridge_show, spawn_send, bridge_send, floor = await medians_ms(
            [
                partial(_spawn, run, "display-message", "-p", "#{pid}"),
                partial(run.server.run, shown),
                partial(_spawn, run, "send-keys", "-H", "-t", target, "78"),
                partial(run.server.run, sent),
                partial(_through, echo),
            ],
            ROUNDS,
            CALLS,
        )
        await run.create(MANY - DOZEN)
        batch = await median_ms(partial(_pipelined, run, _send(target)), BATCHES)
        lone = await median_ms(partial(run.server.run, shown), ROUNDS * CALLS)
    return [
        figure(f"tmux process per command, {DOZEN} sessions: display-message", spawn_show, "ms"),
        figure(f"through the bridge, {DOZEN} sessions: display-message", bridge_show, "ms"),
        at_least("bridge, times faster: display-message", spawn_show / bridge_show, "×", 20),
        figure(f"tmux process per command, {DOZEN} sessions: send-keys", spawn_send, "ms"),
        figure(f"through the bridge, {DOZEN} sessions: send-keys", bridge_send, "ms"),
        at_least("bridge, times faster: send-keys", spawn_send / bridge_send, "×", 20),
        figure("echo through a pipe to another process and back", floor, "ms"),
        figure("bridge, in echoes through a pipe: display-message", bridge_show / floor, "×"),
        figure(f"through the bridge, {MANY} sessions: display-message", lone, "ms"),
        at_most(f"pipelined, {MANY} sessions: each send-keys", batch / MANY, "ms", 0.1),
    ]


def _show() -> TmuxCommand:
    return command("display-message", Flag("p"), constant("#{pid}"))


def _send(pane_id: str) -> TmuxCommand:
    return command("send-keys", Flag("H"), Option("t", pane(pane_id)), *hex_bytes(b"x"))


async def _spawn(run: Terminals, *words: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *run.argv, *words, env=run.environ, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"tmux {words[0]} ended with {process.returncode}")


async def _pipelined(run: Terminals, item: TmuxCommand) -> None:
    await asyncio.gather(*(run.server.run(item) for _ in range(MANY)))


@asynccontextmanager
async def _cat() -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec("cat", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def _through(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"x\n")
    await process.stdout.readline()
