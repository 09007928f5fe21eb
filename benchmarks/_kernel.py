"""The same figures for ipykernel through jupyter_client, as JSON on stdout. A program for another interpreter."""

from __future__ import annotations

import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

from jupyter_client.manager import start_new_kernel  # type: ignore[import-not-found]

ROUNDS = 300


def main() -> None:
    began = time.perf_counter()
    manager, client = start_new_kernel()
    first = time.perf_counter()
    run(client, "1+1")
    figures = {
        "start_ms": (first - began) * 1000,
        "first_ms": (time.perf_counter() - began) * 1000,
        "rss_mib": rss_mib(manager.provisioner.pid),
        "round_trip_ms": statistics.median(timed(client, "1+1") for _ in range(ROUNDS)),
        "prints_ms": statistics.median(timed(client, "for n in range(10_000): print(n)") for _ in range(5)),
        "interrupt_ms": interrupt(manager, client, "import time; time.sleep(60)"),
        "interrupt_await_ms": interrupt(manager, client, "import asyncio; await asyncio.sleep(60)"),
    }
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    sys.stdout.write(json.dumps(figures))


def run(client: Any, code: str) -> None:
    """A cell, until its reply and everything it printed are there."""
    client.execute_interactive(code, timeout=60, output_hook=lambda message: None)


def timed(client: Any, code: str) -> float:
    began = time.perf_counter()
    run(client, code)
    return (time.perf_counter() - began) * 1000


def interrupt(manager: Any, client: Any, code: str) -> float:
    """Milliseconds until the cell has ended; as long as 10 s when it does not."""
    message = client.execute(code)
    time.sleep(0.5)  # noqa: TID251 - no loop here, and nothing tells when a cell has got that far
    began = time.perf_counter()
    manager.interrupt_kernel()
    deadline = began + 10
    while time.perf_counter() < deadline:
        try:
            reply = client.get_shell_msg(timeout=10)
        except Exception:  # its time-out has no class of its own
            break
        if reply["parent_header"].get("msg_id") == message:
            break
    return (time.perf_counter() - began) * 1000


def rss_mib(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1024


main()
