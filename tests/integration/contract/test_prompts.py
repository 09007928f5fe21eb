"""What a program asks is on its screen for whoever reads it, with the keys that answer."""

from __future__ import annotations

from tests.integration.contract.api import Api


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
