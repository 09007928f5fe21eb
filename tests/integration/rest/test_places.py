"""What menus offer, and what binds those below owner."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.daemon import Client
from tests.support.outside import outside_daemon


@pytest.fixture
def trusted(tmp_path: Path) -> Path:
    folder = tmp_path / "trusted"
    (folder / "inner").mkdir(parents=True)
    (tmp_path / "other").mkdir()
    (folder / "way-out").symlink_to(tmp_path / "other")
    return folder


async def test_menus_and_trusted_directories(trusted: Path) -> None:
    gone = trusted.parent / "gone"
    directories = [{"path": str(trusted), "name": "work", "description": "Ours"}, {"path": str(gone)}]
    environ = {
        "TELECLAUDE_COMPUTER__TRUSTED_DIRS": json.dumps(directories),
        "TELECLAUDE_COMPUTER__NAME": "desk",
        "TELECLAUDE_COMPUTER__ROLE": "workstation",
    }
    async with outside_daemon(environ) as outside, Client(outside.daemon.socket) as client:
        found = (await client.get("/directories"))["directories"]
        assert found == [
            {"path": str(trusted), "name": "work", "description": "Ours", "exists": True},
            {"path": str(gone), "name": "gone", "description": "", "exists": False},
        ]
        agents = (await client.get("/agents"))["agents"]
        assert [agent["name"] for agent in agents] == ["claude", "codex", "gemini", "opencode"]
        assert all(agent["resumable"] and isinstance(agent["installed"], bool) for agent in agents)
        (computer,) = (await client.get("/computers"))["computers"]
        assert (computer["name"], computer["role"], computer["state"]) == ("desk", "workstation", "online")
        token = await outside.new_token("hand", role="operator")

        async def start(cwd: Path, name: str) -> int:
            body = {"command": ["cat"], "cwd": str(cwd), "name": name}
            return (await outside.ask("POST", "/v1/sessions", token=token, json=body))[0]

        assert await start(trusted / "inner", "in") == 201
        for outside_of_it in (trusted.parent, trusted / "way-out", trusted / "..", Path("/")):
            assert await start(outside_of_it, "out") == 403, outside_of_it
        no_cwd = await outside.ask("POST", "/v1/sessions", token=token, json={"command": ["cat"]})
        assert (no_cwd[0], no_cwd[1]["cwd"]) == (201, str(trusted))
        await client.delete(f"/sessions/{no_cwd[1]['id']}?purge=true")
        ran = {"argv": ["pwd"], "cwd": str(trusted.parent)}
        assert (await outside.ask("POST", "/v1/executions", token=token, json=ran))[0] == 403
        assert [session["name"] for session in (await client.get("/sessions"))["sessions"]] == ["in"]
        await client.delete("/sessions/in?purge=true")
