"""An agent takes up its conversation on the other computer."""

from __future__ import annotations

import json

from tests.integration.handoff.pair import HERE, RECORD, THERE, Pair
from tests.support.fleet import refused


async def test_an_agent_resumes_with_its_conversation(both: Pair) -> None:
    made = await both.here.post("/sessions", {"agent": "fake", "name": "helper", "cwd": str(both.folders[HERE])})
    conversation = made["agent"]["conversation_id"]
    await both.here.wait("helper", text="? for help")
    await both.here.text("helper", "remember the milk")
    await both.here.wait("helper", text="You said: remember the milk")
    await both.move("helper")
    moved = (await both.here.get("/sessions/helper"))["output"]["end"]
    there = await both.there.get("/sessions/helper")
    assert there["agent"] == {"name": "fake", "conversation_id": conversation}
    assert there["command"][-2:] == ["--resume", conversation]
    await both.there.post(
        "/sessions/helper/wait", {"until": {"text": "? for help"}, "from": moved, "timeout_ms": 10_000}
    )
    await both.there.text("helper", "and the bread")
    await both.there.wait("helper", text="You said: and the bread")
    told = (both.folders[HERE] / RECORD).read_text().splitlines()
    assert [(row["prompt"], row["conversation_id"]) for row in map(json.loads, told)] == [
        ("remember the milk", conversation),
        ("and the bread", conversation),
    ]
    assert (await both.back("helper"))["epoch"] == 3
    assert (await both.here.get("/sessions/helper"))["agent"]["conversation_id"] == conversation


async def test_an_agent_that_cannot_resume_stays(both: Pair) -> None:
    await both.here.post("/sessions", {"agent": "once", "name": "helper", "cwd": str(both.folders[HERE])})
    await both.here.wait("helper", text="? for help")
    assert await refused(both.here, "POST", "/sessions/helper/handoff", {"computer": THERE}) == (422, "invalid")
    assert (await both.here.get("/sessions/helper"))["state"] == "running"
