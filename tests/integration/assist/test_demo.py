"""``teleclaude demo telegram``: the whole adapter, offline."""

from __future__ import annotations

import json
from pathlib import Path

from tests.integration.assist.conftest import dialog


async def test_the_conversation_goes_as_announced() -> None:
    async with dialog({}, "demo", "telegram") as demo:
        code = await demo.end()
    assert code == 0, demo.text
    for line in ("Ann → General: /new build", "Ann presses [Yes]", "Eve → General: /run id"):
        assert line in demo.text
    for line in ("42 apples", "you said y", "[document] notes.txt", "closes the topic"):
        assert line in demo.text
    assert "did not happen" not in demo.text


async def test_the_doctor_walks_from_an_update_to_a_terminal_and_back(tmp_path: Path) -> None:
    token = tmp_path / "bot-token"
    token.write_text("123456:fake-token-of-nobody")
    token.chmod(0o600)
    section = {"enabled": True, "token_file": str(token), "chat_id": -1, "users": {"7": "owner"}}
    config = tmp_path / "c.yml"
    config.write_text(json.dumps({"telegram": section | {"base_url": "http://127.0.0.1:9/bot"}}))
    environ = {
        "TELECLAUDE_STATE_DIR": str(tmp_path / "s"),
        "TELECLAUDE_RUNTIME_DIR": str(tmp_path / "r"),
        "TELECLAUDE_CONFIG": str(config),
    }
    async with dialog(environ, "doctor", "--echo", "--json") as doctor:
        await doctor.end()
    found = {row["about"]: row for row in json.loads(doctor.text)["findings"]}
    assert found["telegram rehearsal"]["level"] == "ok", found
    assert found["telegram echo"]["level"] == "unknown"
