"""More output than the disk budget allows to keep."""

from __future__ import annotations

from pathlib import Path

from tests.support.daemon import Client, daemon_process
from tests.support.faults import ECHO_OFF_CAT, answers, gaps
from tests.support.wait import eventually

SEGMENT = 64 * 1024
BUDGET = 10 * SEGMENT
LINES = 60_000


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # retention was faster
        return 0


async def test_x18_the_disk_budget_takes_the_oldest_of_all_and_names_what_is_gone() -> None:
    environ = {
        "TELECLAUDE_SESSIONS__SEGMENT_BYTES": str(SEGMENT),
        "TELECLAUDE_SESSIONS__DISK_BYTES": str(BUDGET),
    }
    async with daemon_process(environ) as daemon, Client(daemon.socket) as client:
        await client.new(ECHO_OFF_CAT, name="quiet")
        await client.wait("quiet", text="ready\n")
        for name in ("old", "middle", "new"):
            await client.new(["bash", "-c", f"seq 1 {LINES}; exec cat"], name=name)
            await client.wait(name, text=f"\n{LINES}\n")
        await client.delete("/sessions/old")

        def on_disk() -> int:
            return sum(map(size, (daemon.state / "streams").rglob("*.?????????")))

        assert on_disk() > BUDGET
        await eventually(lambda: on_disk() <= BUDGET, timeout=15)
        kept = {session["name"]: session["output"] for session in (await client.get("/sessions"))["sessions"]}
        lost = {name: output["start"] for name, output in kept.items()}
        assert lost["quiet"] == 0
        assert lost["old"] >= lost["middle"] >= lost["new"]
        assert lost["old"] > 0
        assert kept["new"]["end"] - kept["new"]["start"] > 0
        told = gaps(client, "old")
        gap = await anext(told)
        await told.aclose()
        assert (gap["from"], gap["to"], gap["reason"]) == (0, lost["old"], "retention")
        refused = await client.get("/sessions/old/output", params={"from": "0"}, expect=410)
        assert (refused["code"], refused["start"]) == ("gap", lost["old"])
        await answers(client, "quiet", "still-here")
