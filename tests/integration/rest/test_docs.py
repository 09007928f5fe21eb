"""What the page about HTTP shows is tried, and its numbers are the daemon's."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from pathlib import Path

from teleclaude.process.breaker import FAILURES
from teleclaude.service.composition import BREAKER_SECONDS
from teleclaude.service.drop import MAX_FILES
from teleclaude.service.limits import CALLS, MAX_SESSIONS, MAX_STREAMS, STARTING
from teleclaude_rest.rpc import MAX_IN_FLIGHT
from teleclaude_rest.rpc_messages import MAX_BATCH
from teleclaude_rest.surface import Timing
from tests.support.daemon import daemon_process

PAGE = (Path(__file__).parents[3] / "docs" / "http.md").read_text()


async def test_the_client_runs_as_it_is() -> None:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    async with daemon_process() as daemon:
        ran = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-c", program, str(daemon.socket)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert "event session.created" in ran.stdout
    assert "found ['42']" in ran.stdout
    assert ran.stdout.endswith("refused not_found\n")


def test_the_numbers() -> None:
    for said in (
        f"{MAX_BATCH} calls in a batch, {MAX_IN_FLIGHT} in flight",
        f"{CALLS.per_second} a second, {CALLS.burst} at once; starts {STARTING.per_second} and {STARTING.burst}",
        f"streams followed by one principal | {MAX_STREAMS} |",
        f"live sessions of one principal below owner | {MAX_SESSIONS} |",
        f"files of one session | {MAX_FILES}, and 1 GiB",
        f"request's head | {Timing().head:g} s",
        f"nothing is started for {BREAKER_SECONDS:g} s",
    ):
        assert said in PAGE, said
    assert FAILURES == 5
