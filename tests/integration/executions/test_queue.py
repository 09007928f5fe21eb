"""Turns, retention and failing starts, with a daemon of few slots that keeps few records."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Mapping

import psutil
import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.executions import control, end, marked, output, run, shell, start
from tests.support.wait import eventually

SLOTS = 3


@pytest.fixture(scope="module")
def settings() -> Mapping[str, str]:
    return {"TELECLAUDE_EXECUTIONS__MAX_CONCURRENT": str(SLOTS)}


async def statuses(client: Client, *executions: dict[str, str]) -> list[str]:
    return [(await client.get(f"/executions/{execution['id']}"))["status"] for execution in executions]


async def test_c15_no_more_than_the_slots_run_and_the_rest_wait_in_order(client: Client, daemon: DaemonProcess) -> None:
    go = daemon.home / "go"
    script = f'until [ -e {go} ]; do sleep 0.02; done; [ "$N" != 3 ] || kill -KILL $$; exit $N'
    many = [await client.post("/executions", {"script": script, "env": {"N": str(n)}}) for n in range(SLOTS + 5)]
    assert await statuses(client, *many) == ["running"] * SLOTS + ["queued"] * 5
    refused = await client.post("/executions", {"argv": ["true"], "queue": False}, expect=429)
    assert refused["code"] == "limit"
    go.touch()
    while (await statuses(client, many[-1]))[0] in ("queued", "starting", "running"):
        listed = (await client.get("/executions"))["executions"]
        assert sum(one["status"] in ("starting", "running", "stopping") for one in listed) <= SLOTS
    ended = [await end(client, execution) for execution in many]
    for moment in ("created_at", "started_at"):
        assert [one[moment] for one in ended] == sorted(one[moment] for one in ended)
    for one in ended:
        assert sum(other["started_at"] < one["completed_at"] <= other["completed_at"] for other in ended) <= SLOTS
    assert (await run(client, "true", queue=False))["status"] == "completed"


async def test_c19_a_queued_one_that_is_cancelled_never_starts(client: Client, daemon: DaemonProcess) -> None:
    holders = [await start(client, "sleep", "600") for _ in range(SLOTS)]
    proof = daemon.home / "ran"
    waiting = await client.post("/executions", {"script": f"touch {proof}"})
    assert waiting["status"] == "queued"
    assert (await control(client, waiting, "pause", expect=409))["code"] == "conflict"
    cancelled = await control(client, waiting, "cancel")
    assert (cancelled["status"], cancelled["started_at"]) == ("cancelled", None)
    assert (await control(client, waiting, "cancel", expect=409))["code"] == "exited"
    for holder in holders:
        await control(client, holder, "cancel")
        await end(client, holder)
    assert (await run(client, "true"))["status"] == "completed"
    assert not proof.exists()


async def test_slots_come_back_whatever_the_outcome(client: Client) -> None:
    for _ in range(2 * SLOTS):
        await shell(client, "exit 1")
        await shell(client, "kill -KILL $$")
        await shell(client, "sleep 9", timeout_ms=20)
        await shell(client, "yes", max_output_bytes=10, overflow="fail")
    assert (await run(client, "true", queue=False))["status"] == "completed"


async def test_a_reload_changes_the_number_of_slots() -> None:
    async with daemon_process(start=False) as daemon:
        config = daemon.home / "config" / "teleclaude" / "config.yml"
        config.parent.mkdir(parents=True)
        config.write_text("executions: {max_concurrent: 1}\n")
        await daemon.start()
        async with Client(daemon.socket) as client:
            many = [await start(client, "sleep", "600") for _ in range(3)]
            assert await statuses(client, *many) == ["running", "queued", "queued"]
            config.write_text("executions: {max_concurrent: 2}\n")
            daemon.signal(signal.SIGHUP)

            async def granted() -> bool:
                return await statuses(client, *many) == ["running", "running", "queued"]

            await eventually(granted)
        assert await daemon.terminate() == 0


async def test_b24_failing_starts_fail_at_once_until_one_succeeds() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        process = psutil.Process(daemon.pid)
        await run(client, "true")
        descriptors = process.rlimit(psutil.RLIMIT_NOFILE)
        process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + 1, descriptors[1]))
        try:
            for _ in range(5):
                failed = await client.post("/executions", {"argv": ["true"], "wait_ms": 5000})
                assert (failed["status"], failed["reason"]) == ("failed", "spawn_error")
            refused = await client.post("/executions", {"argv": ["true"]}, expect=503)
        finally:
            process.rlimit(psutil.RLIMIT_NOFILE, descriptors)
        assert refused["code"] == "unavailable"
        assert 0 < refused["retry_after_ms"] <= 3_000
        ready = await client.get("/ready", expect=503)
        assert not ready["checks"]["executions"]["ok"]

        async def again() -> bool:
            answer = await client.http.post(client.url("/executions"), json={"argv": ["true"], "wait_ms": 5000})
            return answer.status == 201 and (await answer.json())["status"] == "completed"

        await eventually(again, timeout=10)
        assert (await client.get("/ready"))["checks"]["executions"]["ok"]


async def test_b22_readiness_counts_what_runs_and_waits(client: Client) -> None:
    many = [await start(client, "sleep", "600") for _ in range(SLOTS + 2)]
    ready = await client.get("/ready")
    assert ready["checks"]["executions"] == {"ok": True, "detail": f"{SLOTS} running, 2 queued"}
    for execution in many:
        await control(client, execution, "cancel")
    await asyncio.gather(*(end(client, execution) for execution in many))
    assert all(marked(execution) == [] for execution in many)


@pytest.mark.timeout(90)
async def test_c25_only_ended_ones_go_oldest_first_with_their_files(client: Client, daemon: DaemonProcess) -> None:
    # It comes last: what other tests left is old too, and the daemon looks every few seconds, counted from its start.
    running = await start(client, "sleep", "600")
    old = [await run(client, "echo", str(number)) for number in range(6)]
    config = daemon.home / "config" / "teleclaude" / "config.yml"
    config.parent.mkdir(parents=True)
    config.write_text("executions: {max_kept: 3}\n")
    daemon.signal(signal.SIGHUP)

    async def left() -> bool:
        found = (await client.get("/executions"))["executions"]
        return [one["id"] for one in found] == [one["id"] for one in (*reversed(old[3:]), running)]

    await eventually(left, timeout=45)
    kept = {one["id"] for one in old[3:]}
    # The record goes first, its files right after it.
    await eventually(lambda: {path.name for path in (daemon.state / "streams").iterdir()} == kept)
    assert await output(client, old[3]) == b"3\n"
    await control(client, running, "cancel")
    await end(client, running)
