"""``teleclaude doctor`` beside a real daemon and the fake Bot API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from teleclaude.testing.telegram import FakeBotApi
from tests.integration.assist.conftest import dialog
from tests.support.daemon import daemon_process


async def findings(environ: dict[str, str], *words: str) -> tuple[int, dict[str, dict[str, Any]]]:
    async with dialog(environ, "doctor", "--json", *words) as doctor:
        code = await doctor.end()
        rows = json.loads(doctor.text)["findings"]
        return code, {row["about"]: row for row in rows}


async def test_all_is_well() -> None:
    async with daemon_process() as daemon:
        code, found = await findings(daemon.environ)
        assert code == 0, found
        assert found["daemon"]["level"] == "ok"
        assert {
            "config",
            "state directory",
            "runtime directory",
            "token",
            "socket",
            "tmux",
            "listeners",
        } <= found.keys()
        assert found["daemon's tmux"]["level"] == "ok"
        daemon.state.chmod(0o755)
        code, found = await findings(daemon.environ)
        assert (code, found["state directory"]["level"]) == (1, "failure")
        daemon.state.chmod(0o700)


async def test_no_daemon_and_a_broken_config(tmp_path: Path) -> None:
    environ = {
        "TELECLAUDE_STATE_DIR": str(tmp_path / "s"),
        "TELECLAUDE_RUNTIME_DIR": str(tmp_path / "r"),
        "TELECLAUDE_CONFIG": str(tmp_path / "c.yml"),
    }
    (tmp_path / "c.yml").write_text("log: {level: loud}\n")
    code, found = await findings(environ)
    assert (code, found["config"]["level"]) == (1, "failure")
    (tmp_path / "c.yml").write_text("log: {level: info}\n")
    code, found = await findings(environ)
    assert (code, found["daemon"]["level"]) == (0, "warning")
    assert "teleclaude serve" in found["daemon"]["detail"]


async def test_the_bot(tmp_path: Path, fake: FakeBotApi) -> None:
    ann = fake.user(7, "Ann")
    group = fake.add_forum("Work", members=[ann])
    token = tmp_path / "bot-token"
    token.write_text(fake.token)
    token.chmod(0o600)
    environ = {
        "TELECLAUDE_STATE_DIR": str(tmp_path / "s"),
        "TELECLAUDE_RUNTIME_DIR": str(tmp_path / "r"),
        "TELECLAUDE_CONFIG": str(tmp_path / "c.yml"),
    }
    section = {"enabled": True, "token_file": str(token), "chat_id": group.id, "base_url": fake.base_url}
    (tmp_path / "c.yml").write_text(json.dumps({"telegram": section | {"users": {"7": "owner"}}}))
    chat = f"telegram chat {group.id}"
    code, found = await findings(environ)
    assert (code, found["telegram bot"]["level"], found[chat]["level"]) == (0, "ok", "ok"), found
    fake.demote_bot(group, ["can_manage_topics"])
    code, found = await findings(environ)
    assert (code, found[chat]["level"]) == (0, "warning")
    fake.demote_bot(group)
    code, found = await findings(environ)
    assert (code, found[chat]["level"]) == (1, "failure")
    fake.kick_bot(group)
    code, found = await findings(environ)
    assert "kicked" in found[chat]["detail"]
    fake.outage(on=True)
    code, found = await findings(environ)
    assert (code, found["telegram bot"]["level"]) == (0, "unknown")
    assert fake.token not in json.dumps(found)
