"""Event handlers of other packages, installed for a real daemon."""

from __future__ import annotations

import time
from pathlib import Path

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.executions import run
from tests.support.wait import eventually

MODULE = """
import os, time
LOG = os.path.join(os.environ["HOME"], "heard")

def hears(event):
    with open(LOG, "a") as file:
        file.write(f"{event.seq} {event.type} {event.execution_id}\\n")

def raises(event):
    raise RuntimeError("never")

def exits(event):
    raise SystemExit(3)

def sleeps(event):
    time.sleep(1)
"""


def install(directory: Path, *names: str) -> None:
    """A package with these handlers, to be found on PYTHONPATH."""
    directory.mkdir()
    (directory / "listeners.py").write_text(MODULE)
    metadata = directory / "listeners-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: listeners\nVersion: 1.0\n")
    lines = "".join(f"{name} = listeners:{name}\n" for name in names)
    (metadata / "entry_points.txt").write_text(f"[teleclaude.event_handlers]\n{lines}")


async def started(daemon: DaemonProcess, *names: str) -> None:
    install(daemon.home / "packages", *names)
    daemon.environ["PYTHONPATH"] = str(daemon.home / "packages")
    await daemon.start()


async def test_c11_a_handler_that_raises_changes_nothing_for_anybody() -> None:
    async with daemon_process(start=False) as daemon:
        await started(daemon, "exits", "hears", "missing", "raises")
        async with Client(daemon.socket) as client:
            ended = [await run(client, "echo", "x") for _ in range(5)]
            assert {one["status"] for one in ended} == {"completed"}
            heard = daemon.home / "heard"

            def all_heard() -> bool:
                return heard.exists() and heard.read_text().count("execution.exit") == len(ended)

            await eventually(all_heard)
            numbers = [int(line.split()[0]) for line in heard.read_text().splitlines()]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
            checks = (await client.get("/ready"))["checks"]
            assert checks["handler hears"]["detail"] == "0 dropped, 0 failed"
            assert not checks["handler raises"]["detail"].endswith(" 0 failed")
        assert "event_handler_not_loaded" in daemon.log


async def test_c12_a_slow_handler_delays_nothing_and_its_misses_are_counted() -> None:
    async with daemon_process(start=False) as daemon:
        await started(daemon, "hears", "sleeps")
        async with Client(daemon.socket) as client:
            began = time.monotonic()
            for _ in range(20):
                assert (await run(client, "true"))["duration_ms"] < 500
            assert time.monotonic() - began < 5
            steps = [{"id": f"s{number}", "argv": ["true"]} for number in range(250)]
            await client.post("/plans", {"mode": "parallel", "steps": steps, "wait_ms": 30_000})

            async def counted() -> bool:
                checks = (await client.get("/ready"))["checks"]
                assert checks["handler hears"]["detail"].startswith("0 dropped")
                return not checks["handler sleeps"]["detail"].startswith("0 dropped")

            await eventually(counted)
        began = time.monotonic()
        assert await daemon.terminate() == 0
        assert time.monotonic() - began < 5
