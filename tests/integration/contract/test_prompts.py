"""What a program asks is on its screen for whoever reads it, with the keys that answer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from teleclaude.testing import fake_agent
from tests.integration.contract.api import Api
from tests.support.wait import eventually


async def test_a_question_is_answered_by_its_keys(api: Api) -> None:
    await api.new("read -p 'Overwrite it? [y/N] ' answer; echo \"answer: $answer\"; exec sleep 60", "build")
    await api.wait("build", text="[y/N] ")
    prompt = (await api.get("/sessions/build/screen"))["prompt"]
    assert (prompt["kind"], prompt["question"], prompt["context"]) == ("confirm", "Overwrite it? [y/N]", [])
    yes = prompt["options"][0]
    assert yes == {"label": "Yes", "keys": ["y", "Enter"], "selected": False}
    assert (await api.get("/sessions/build/screen"))["prompt"]["fingerprint"] == prompt["fingerprint"]
    await api.post("/sessions/build/keys", {"keys": yes["keys"]})
    assert (await api.wait("build", text="answer: y"))["outcome"] == "matched"
    assert (await api.get("/sessions/build/screen"))["prompt"] is None


async def test_nothing_is_asked_by_a_session_that_has_ended(api: Api) -> None:
    await api.new("printf 'Overwrite it? [y/N] '", "build")
    await api.wait("build", exit=True)
    assert (await api.get("/sessions/build/screen"))["prompt"] is None


async def test_a_question_is_waited_for(api: Api) -> None:
    await api.new("sleep 0.2; read -p 'Overwrite it? [y/N] ' answer; echo done; exec sleep 60", "build")
    assert (await api.wait("build", activity="needs_input"))["outcome"] == "matched"
    assert (await api.get("/sessions/build"))["activity"] == "needs_input"
    await api.text("build", "n")
    await api.wait("build", text="done")
    assert (await api.get("/sessions/build"))["activity"] in ("working", "idle")
    assert (await api.wait("build", activity="idle"))["outcome"] == "matched"


async def test_a_menu_of_an_agent_is_answered(api: Api, tmp_path: Path) -> None:
    script = tmp_path / "script.json"
    script.write_text(
        json.dumps({"rules": [{"when": "danger", "ask": "May I run rm -rf build?", "say": "It is gone."}]})
    )
    await api.post("/sessions", {"name": "agent", "command": [sys.executable, "-m", fake_agent.__name__, str(script)]})
    await api.wait("agent", text="? for help")
    await api.text("agent", "danger", submit=False)
    await api.wait("agent", idle_ms=300)
    await api.post("/sessions/agent/keys", {"keys": ["Enter"]})
    assert (await api.wait("agent", activity="needs_input"))["outcome"] == "matched"
    prompt = (await api.get("/sessions/agent/screen"))["prompt"]
    assert (prompt["kind"], prompt["question"]) == ("menu", "May I run rm -rf build?")
    yes, no = prompt["options"]
    assert (yes["label"], yes["keys"], yes["selected"], no["selected"]) == ("Yes", ["1"], True, False)
    await api.post("/sessions/agent/keys", {"keys": ["Down"]})
    await eventually(lambda: _chooses(api, "agent", no["label"]))
    again = (await api.get("/sessions/agent/screen"))["prompt"]
    assert again["fingerprint"] == prompt["fingerprint"]
    await api.post("/sessions/agent/keys", {"keys": yes["keys"]})
    await api.wait("agent", text="It is gone.")
    assert (await api.get("/sessions/agent/screen"))["prompt"] is None


async def _chooses(api: Api, session: str, label: str) -> bool:
    prompt = (await api.get(f"/sessions/{session}/screen"))["prompt"]
    return prompt is not None and [o["label"] for o in prompt["options"] if o["selected"]] == [label]
