"""``teleclaude doctor`` beside a real daemon and the fake Bot API."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from teleclaude.assist.bot_check import look_at_bot
from teleclaude.assist.findings import Finding, Level
from teleclaude.config import Config
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
    group = fake.add_forum("Work", members=[fake.user(7, "Ann")])
    token = tmp_path / "bot-token"
    token.write_text(fake.token)
    section = {"enabled": True, "token_file": str(token), "chat_id": group.id, "base_url": fake.base_url}
    config = Config.model_validate({"telegram": section})
    chat = f"telegram chat {group.id}"

    async def look() -> dict[str, Finding]:
        return {finding.about: finding for finding in await asyncio.to_thread(lambda: list(look_at_bot(config)))}

    assert {finding.level for finding in (await look()).values()} == {Level.OK}
    fake.demote_bot(group, ["can_manage_topics"])
    assert (await look())[chat].level is Level.WARNING
    fake.demote_bot(group)
    assert (await look())[chat].level is Level.FAILURE
    group.forum = False
    assert "has no topics" in (await look())[chat].detail
    fake.bot.webhook = "https://a.example"
    assert (await look())["telegram updates"].level is Level.FAILURE
    fake.kick_bot(group)
    assert "kicked" in (await look())[chat].detail
    fake.outage(on=True)
    found = await look()
    assert found["telegram bot"].level is Level.UNKNOWN
    assert fake.token not in str(found)
    fake.outage(on=False)
    token.write_text("123456:another-token-of-nobody")
    assert "token is not valid" in (await look())["telegram bot"].detail
    token.write_text("nonsense")
    assert (await look())["telegram token"].level is Level.FAILURE
