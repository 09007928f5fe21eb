"""What the doctor says of files and settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from teleclaude.assist.findings import Level, line, ok, summary, unknown, warning
from teleclaude.assist.places import look_at_config, look_at_directories, look_at_exposure, look_at_tmux, private
from teleclaude.config import Config
from teleclaude.paths import Paths


def levels(config: Config) -> dict[str, Level]:
    return {finding.about: finding.level for finding in look_at_exposure(config)}


def test_what_is_open_to_others_is_told_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("x")
    path.chmod(0o644)
    finding = private("token", path, directory=False)
    assert finding.level is Level.FAILURE
    assert f"chmod 600 {path}" in finding.detail
    path.chmod(0o600)
    assert private("token", path, directory=False).level is Level.OK


def test_directories(tmp_path: Path) -> None:
    paths = Paths(state=tmp_path / "state", runtime=tmp_path / "run")
    assert {finding.level for finding in look_at_directories(paths)} == {Level.OK}
    paths.state.mkdir(mode=0o755)
    paths.state.chmod(0o755)
    found = {finding.about: finding.level for finding in look_at_directories(paths)}
    assert found == {"state directory": Level.FAILURE, "runtime directory": Level.OK}


@pytest.mark.parametrize(
    ("listen", "level"),
    [(None, Level.OK), ("127.0.0.1:7433", Level.OK), ("[::1]:7433", Level.OK)],
)
def test_listeners(listen: str | None, level: Level) -> None:
    assert levels(Config.model_validate({"rest": {"listen": listen}})) == {"listeners": level}


def test_nobody_allowed_in_telegram_is_a_failure(tmp_path: Path) -> None:
    token = tmp_path / "bot"
    token.write_text("1:x")
    token.chmod(0o600)
    section = {"enabled": True, "token_file": str(token), "chat_id": -100}
    for users, level in [({}, Level.FAILURE), ({7: "viewer"}, Level.WARNING), ({7: "owner"}, Level.OK)]:
        config = Config.model_validate({"telegram": {**section, "users": users}})
        assert levels(config)["telegram.users"] is level
        assert levels(config)["telegram.token_file"] is Level.OK


def test_redis_in_clear_text(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("k" * 32)
    key.chmod(0o640)
    for url, level in [("redis://192.0.2.1", Level.WARNING), ("rediss://a.example", Level.OK), ("unix:///r", Level.OK)]:
        config = Config.model_validate({"redis": {"enabled": True, "url": url, "key_file": str(key)}})
        assert levels(config)["redis.url"] is level
        assert levels(config)["redis.key_file"] is Level.FAILURE


def test_a_config_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "config.yml"
    path.write_text("sesions: {}\nlog: {level: loud}\n")
    config, findings = look_at_config(path, {})
    assert config is None
    assert [finding.level for finding in findings] == [Level.FAILURE, Level.FAILURE]
    assert f"{path}:1" in findings[0].detail


def test_tmux() -> None:
    assert look_at_tmux(Config()).level is Level.OK
    finding = look_at_tmux(Config.model_validate({"tmux": {"binary": "no-such-tmux"}}))
    assert finding.level is Level.FAILURE
    assert "install tmux" in finding.detail


def test_lines() -> None:
    assert line(ok("a", "b\x1b[31m")) == "ok    a: b"
    assert summary([ok("a", ""), warning("b", ""), unknown("c", "")]) == "3 checks: nothing failed, 2 to look at"
