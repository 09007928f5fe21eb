"""The command line: handing over, and following along in front of a terminal and without."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from tests.integration.handoff.pair import HERE, THERE, Pair
from tests.support.wait import eventually


@asynccontextmanager
async def started(pair: Pair, name: str, *argv: str, **streams: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {**pair.fleet[name].environ, "PYTHONWARNINGS": "error", "TERM": "xterm"}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "teleclaude", *argv, env=environ, **streams)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def run(pair: Pair, name: str, *argv: str) -> tuple[int, str, str]:
    pipe = asyncio.subprocess.PIPE
    async with started(pair, name, *argv, stdout=pipe, stderr=pipe, stdin=asyncio.subprocess.DEVNULL) as process:
        out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


async def test_logs_follow_it_there_and_back(both: Pair) -> None:
    await both.start()
    shown = bytearray()
    pipe = asyncio.subprocess.PIPE
    async with started(both, HERE, "logs", "-f", "--raw", "work", stdout=pipe, stderr=pipe) as process:

        async def show() -> None:
            assert process.stdout is not None
            while data := await process.stdout.read(1 << 16):
                shown.extend(data)

        async def move() -> None:
            await eventually(lambda: b"begin" in shown, timeout=10)
            assert await run(both, HERE, "handoff", "work", THERE) == (0, f"work is on {THERE} now (epoch 2)\n", "")
            await both.there.text("work", "one")
            await eventually(lambda: b"<one on" in shown, timeout=10)
            assert (await run(both, THERE, "handoff", "work", HERE))[0] == 0
            await both.here.text("work", "two")
            await eventually(lambda: b"<two on" in shown, timeout=10)
            await both.here.delete("/sessions/work", params={"grace_ms": "0"})

        await asyncio.gather(show(), move())
        assert await asyncio.wait_for(process.wait(), 10) == 0
    assert bytes(shown) == await both.here.all_output("work")


async def test_refusals_and_mistakes(both: Pair) -> None:
    await both.start()
    code, _, err = await run(both, HERE, "handoff", "work", "nowhere")
    assert code == 1
    assert "nowhere" in err
    assert (await run(both, HERE, "handoff", "work"))[0] == 2
    assert (await run(both, HERE, "handoff", "work", THERE, "--force-take"))[0] == 2
    code, _, err = await run(both, HERE, "handoff", "--force-take", "work")
    assert code == 1
    assert "nothing to take" in err


async def test_attach_goes_along(both: Pair) -> None:
    await both.start()
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    os.set_blocking(ours, False)
    shown = bytearray()

    def sees(text: bytes) -> bool:
        with suppress(BlockingIOError):
            shown.extend(os.read(ours, 1 << 16))
        return text in shown

    try:
        streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        async with started(both, HERE, "attach", "work", **streams, start_new_session=True) as process:
            await eventually(lambda: sees(b"begin"), timeout=10)
            os.write(ours, b"here\r")
            await eventually(lambda: sees(b"<here on"), timeout=10)
            await both.move()
            await eventually(lambda: sees(b"following it on south"), timeout=10)

            def answers() -> bool:
                # What is typed before the terminal is ready there is lost, as on every terminal.
                os.write(ours, b"there\r")
                return sees(b"<there on")

            await eventually(answers, timeout=10)
            os.write(ours, b"\x1d")
            assert await asyncio.wait_for(process.wait(), 10) == 0
    finally:
        os.close(ours)
        os.close(theirs)
    assert (await both.there.get("/sessions/work"))["state"] == "running"
