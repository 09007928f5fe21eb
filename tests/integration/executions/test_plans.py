"""Plans against a real daemon: order, failures, caps, progress."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.executions import all_events
from tests.support.wait import eventually


def step(name: str, script: str = "true", **fields: Any) -> dict[str, Any]:
    return {"id": name, "script": script, **fields}


async def plan(client: Client, mode: str, *steps: dict[str, Any], wait_ms: int = 20_000, **fields: Any) -> Any:
    return await client.post("/plans", {"mode": mode, "steps": list(steps), "wait_ms": wait_ms, **fields}, expect=201)


def states(found: Any) -> dict[str, str]:
    return {one["id"]: one["status"] for one in found["steps"]}


async def test_serial_steps_run_one_after_the_other_and_stop_at_the_first_failure(
    client: Client, daemon: DaemonProcess
) -> None:
    log = daemon.home / "serial"
    steps = [step(name, f"echo {name}+ >>{log}; sleep 0.1; echo {name}- >>{log}") for name in "ab"]
    found = await plan(client, "serial", *steps, step("c", "exit 3"), step("d", f"echo d >>{log}"))
    assert found["status"] == "failed"
    assert states(found) == {"a": "completed", "b": "completed", "c": "failed", "d": "skipped"}
    assert log.read_text().split() == ["a+", "a-", "b+", "b-"]
    execution = await client.get(f"/executions/{found['steps'][2]['execution_id']}")
    assert execution["exit_code"] == 3
    assert (await client.get(f"/plans/{found['id']}")) == found


async def test_serial_steps_go_on_after_a_failure_when_told_to(client: Client) -> None:
    found = await plan(client, "serial", step("a", "exit 1"), step("b"), stop_on_error=False)
    assert found["status"] == "failed"
    assert states(found) == {"a": "failed", "b": "completed"}


async def test_a_step_elsewhere_is_refused_before_anything_runs(client: Client) -> None:
    here = (await client.get("/health"))["computer"]
    steps = [step("a"), step("b", computer="elsewhere")]
    refusal = await client.post("/plans", {"mode": "serial", "steps": steps}, expect=422)
    assert "step b" in refusal["detail"]
    assert (await plan(client, "serial", step("a", computer=here)))["status"] == "completed"


async def test_parallel_steps_run_side_by_side_up_to_the_cap(client: Client, daemon: DaemonProcess) -> None:
    log = daemon.home / "parallel"
    script = f"echo + >>{log}; sleep 0.3; echo - >>{log}"
    began = time.monotonic()
    found = await plan(client, "parallel", *(step(f"s{n}", script) for n in range(4)), max_concurrency=2)
    assert found["status"] == "completed"
    assert 0.6 <= time.monotonic() - began < 1.8
    depth = deepest = 0
    for sign in log.read_text().split():
        depth += 1 if sign == "+" else -1
        deepest = max(deepest, depth)
    assert deepest == 2


async def test_a_graph_is_run_in_its_order(client: Client, daemon: DaemonProcess) -> None:
    log = daemon.home / "graph"
    found = await plan(
        client,
        "graph",
        step("deploy", f"echo deploy >>{log}", after=["test", "lint"]),
        step("test", f"sleep 0.2; echo test >>{log}", after=["build"]),
        step("lint", f"echo lint >>{log}", after=["build"]),
        step("build", f"echo build >>{log}"),
    )
    assert found["status"] == "completed"
    assert log.read_text().split() == ["build", "lint", "test", "deploy"]


async def test_what_depends_on_a_failure_is_skipped_and_the_rest_goes_on(client: Client) -> None:
    found = await plan(
        client,
        "graph",
        step("bad", "exit 1"),
        step("child", after=["bad"]),
        step("grandchild", after=["child"]),
        step("other", "sleep 0.2"),
        step("last", after=["other"]),
        stop_on_error=False,
    )
    assert found["status"] == "failed"
    assert states(found) == {
        "bad": "failed",
        "child": "skipped",
        "grandchild": "skipped",
        "other": "completed",
        "last": "completed",
    }


async def test_a_step_that_cannot_start_says_why(client: Client) -> None:
    found = await plan(client, "serial", {"id": "a", "argv": ["no-such-program"]}, step("b"))
    assert states(found) == {"a": "failed", "b": "skipped"}
    assert "no-such-program" in found["steps"][0]["error"]


async def test_progress_is_told_by_events(client: Client) -> None:
    found = await plan(client, "serial", step("a"), step("b"))
    events = [event for event in await all_events(client) if event["data"].get("plan_id") == found["id"]]
    told = [(e["data"]["step"], e["data"]["status"], e["data"]["done"]) for e in events if e["type"] == "plan.step"]
    assert told == [("a", "started", 0), ("a", "completed", 1), ("b", "started", 1), ("b", "completed", 2)]
    assert events[-1]["type"] == "plan.exit"
    assert events[-1]["data"]["status"] == "completed"
    assert events[0]["execution_id"] == found["steps"][0]["execution_id"]


async def test_a_cancelled_plan_ends_what_runs_and_starts_nothing_more(client: Client) -> None:
    running = await plan(client, "serial", step("a", "sleep 600"), step("b"), wait_ms=0)

    async def is_running() -> bool:
        return states(await client.get(f"/plans/{running['id']}"))["a"] == "started"

    await eventually(is_running)
    await client.post(f"/plans/{running['id']}/cancel")
    found = await client.get(f"/plans/{running['id']}", params={"wait_ms": "5000"})
    assert found["status"] == "cancelled"
    assert states(found) == {"a": "cancelled", "b": "skipped"}
    assert (await client.post(f"/plans/{running['id']}/cancel", expect=409))["code"] == "exited"
    assert found["id"] in [one["id"] for one in (await client.get("/plans"))["plans"]]


@pytest.mark.parametrize(
    "body",
    [
        {"mode": "serial", "steps": []},
        {"mode": "ring", "steps": [step("a")]},
        {"mode": "serial", "steps": [step("a"), step("a")]},
        {"mode": "serial", "steps": [step("a", after=["b"]), step("b")]},
        {"mode": "graph", "steps": [step("a", after=["nobody"])]},
        {"mode": "graph", "steps": [step("a", after=["b"]), step("b", after=["a"])]},
        {"mode": "graph", "steps": [step("a", after=["a"])]},
        {"mode": "parallel", "steps": [step("a")], "max_concurrency": 0},
        {"mode": "serial", "steps": [step("a")], "max_concurrency": 2},
        {"mode": "serial", "steps": [step("a", lifetime="connection")]},
        {"mode": "serial", "steps": [{"id": "a"}]},
        {"mode": "serial", "steps": [step("a;b")]},
    ],
)
async def test_a_plan_that_makes_no_sense_is_refused(client: Client, body: dict[str, Any]) -> None:
    assert (await client.post("/plans", body, expect=422))["code"] == "invalid"


@pytest.mark.timeout(90)
async def test_a_killed_daemons_plan_is_lost_and_a_stopped_ones_cancelled() -> None:
    async with daemon_process() as daemon:
        async with Client(daemon.socket) as client:
            running = await plan(client, "serial", step("a", "sleep 600"), step("b"), wait_ms=0)
            await eventually(lambda: "execution_started" in daemon.log)
        await daemon.kill()
        await daemon.start()
        async with Client(daemon.socket) as client:
            found = await client.get(f"/plans/{running['id']}")
            assert found["status"] == "lost"
            assert states(found)["b"] == "skipped"
            again = await plan(client, "serial", step("a", "sleep 600"), step("b"), wait_ms=0)
        assert await daemon.terminate() == 0
        await daemon.start()
        async with Client(daemon.socket) as client:
            found = await client.get(f"/plans/{again['id']}")
            assert found["status"] == "cancelled"
            assert states(found)["b"] == "skipped"
