"""A program that writes as fast as it can, in a daemon that may keep little of it."""

from __future__ import annotations

import statistics
import time

import psutil

from tests.support.daemon import Client, daemon_process
from tests.support.faults import ECHO_OFF_CAT

LINE = 78
BYTES = 40_000_000
FLOOD = f"yes {'x' * (LINE - 1)} | head -c {BYTES // LINE * LINE}; echo DONE; exec cat"


async def test_x41_a_flood_grows_no_memory_holds_nobody_up_and_is_exact_up_to_retention() -> None:
    environ = {"TELECLAUDE_SESSIONS__RETENTION_BYTES": "4000000"}
    async with daemon_process(environ) as daemon, Client(daemon.socket) as client:
        await client.new(ECHO_OFF_CAT, name="other")
        await client.wait("other", text="ready\n")
        process = psutil.Process(daemon.pid)
        before = process.memory_info().rss
        await client.new(["bash", "-c", FLOOD], name="flood")
        latencies = []
        while b"DONE" not in (await client.output("flood", -20))[1]:
            end = (await client.get("/sessions/other"))["output"]["end"]
            began = time.monotonic()
            await client.text("other", "x")
            async with client.http.get(
                client.url("/sessions/other/output"), params={"from": str(end), "wait_ms": "5000"}
            ) as reply:
                assert await reply.read()
            latencies.append(time.monotonic() - began)
        assert process.memory_info().rss - before < 30_000_000
        assert statistics.median(latencies) < 0.2
        bounds = (await client.get("/sessions/flood"))["output"]
        assert bounds["end"] == BYTES // LINE * (LINE + 1) + len("DONE\r\n")
        kept = await client.all_output("flood")
        line = b"x" * (LINE - 1) + b"\r\n"
        skip = -(bounds["end"] - len("DONE\r\n") - len(kept) + len("DONE\r\n")) % len(line)
        body = kept[skip : -len("DONE\r\n")]
        assert body == line * (len(body) // len(line))
