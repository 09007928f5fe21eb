from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from teleclaude.config import Config
from teleclaude.errors import ConflictError, ForbiddenError, InvalidError
from teleclaude.model import Agent, Principal, Role, SessionSpec
from teleclaude.service.specs import agent_profile, base_name, build_spec, resumed_conversation
from teleclaude.wire.sessions import CreateSession

OWNER = Principal("local", Role.OWNER)
OPERATOR = Principal("token:ci", Role.OPERATOR)


def config(**sections: Any) -> Config:
    return Config.model_validate(sections)


def spec(who: Principal = OWNER, settings: Config | None = None, **fields: Any) -> SessionSpec:
    return build_spec(CreateSession.model_validate(fields), who, settings or config())


def test_defaults() -> None:
    made = spec()
    assert (made.command, made.cwd, made.cols, made.rows) == (None, str(Path.home()), 120, 40)


def test_a_program_must_be_there(tmp_path: Path) -> None:
    script = tmp_path / "run me"
    script.write_text("#!/bin/sh\n")
    with pytest.raises(InvalidError, match="run me"):
        spec(command=["./run me"], cwd=str(tmp_path))
    script.chmod(0o700)
    assert spec(command=["./run me", "-x"], cwd=str(tmp_path)).command == ("./run me", "-x")
    with pytest.raises(InvalidError, match="no-such-program"):
        spec(command=["no-such-program"])
    assert spec(command=["run me"], env={"PATH": str(tmp_path)}).command == ("run me",)


def test_an_agent_starts_its_command_with_its_environment() -> None:
    settings = config(agents={"mine": {"command": ["sh", "-i"], "env": {"A": "1", "B": "2"}}})
    made = spec(settings=settings, agent="mine", prompt="-hello", env={"B": "3"})
    assert made.command == ("sh", "-i", "-hello")
    assert made.env == {"A": "1", "B": "3"}
    with pytest.raises(InvalidError, match="claude"):
        spec(agent="clade")


def test_a_conversation_gets_an_id_to_be_taken_up_by() -> None:
    settings = config(
        agents={"mine": {"command": ["sh", "--id={conversation_id}"], "resume": ["sh", "{conversation_id}"]}}
    )
    first, second = spec(settings=settings, agent="mine", prompt="hi"), spec(settings=settings, agent="mine")
    assert first.agent is not None
    assert first.command == ("sh", f"--id={first.agent.conversation_id}", "hi")
    assert first.agent != second.agent
    profile = settings.agents["mine"]
    assert resumed_conversation(profile, first.agent, operation="o") == ("sh", first.agent.conversation_id)
    with pytest.raises(ConflictError, match="not known"):
        resumed_conversation(profile, Agent("mine"), operation="o")
    with pytest.raises(InvalidError, match=r"agents\.x\.resume"):
        resumed_conversation(config(agents={"x": {"command": ["sh"]}}).agents["x"], Agent("x"), operation="o")


def test_below_owner_only_trusted_directories_and_harmless_variables(tmp_path: Path) -> None:
    inside = tmp_path / "work/deep"
    inside.mkdir(parents=True)
    (tmp_path / "work/out").symlink_to("/etc")
    settings = config(computer={"trusted_dirs": [{"path": str(tmp_path / "work")}]})
    assert spec(OPERATOR, settings, cwd=str(inside)).cwd == str(inside)
    for outside in ["/etc", str(tmp_path), str(tmp_path / "work/out"), f"{inside}/../../.."]:
        with pytest.raises(ForbiddenError):
            spec(OPERATOR, settings, cwd=outside)
    for name in ["LD_PRELOAD", "BASH_ENV", "PROMPT_COMMAND", "TMUX", "PYTHONPATH"]:
        with pytest.raises(InvalidError):
            spec(OPERATOR, settings, cwd=str(inside), env={name: "x"})
        assert spec(env={name: "x"}).env == {name: "x"}


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (None, "shell"),
        (("/usr/bin/Python3.11", "-c"), "python3-11"),
        ("make -j4", "make"),
        ("   ", "shell"),
        (("--",), "session"),
        (("é" * 100,), "session"),
    ],
)
def test_a_name_is_made_up(command: str | tuple[str, ...] | None, name: str) -> None:
    assert base_name(SessionSpec(command=command, cwd="/")) == name


def test_a_mode_adds_its_arguments_to_both_commands() -> None:
    settings = config(
        agents={"mine": {"command": ["sh", "-i"], "resume": ["sh", "-c", "x"], "modes": {"fast": ["-m", "small"]}}}
    )
    made = spec(settings=settings, agent="mine:fast", prompt="hi")
    assert made.command == ("sh", "-i", "-m", "small", "hi")
    assert made.agent == Agent("mine:fast")
    assert base_name(made) == "mine-fast"
    profile = agent_profile("mine:fast", settings)
    assert resumed_conversation(profile, Agent("mine:fast"), operation="o") == ("sh", "-c", "x", "-m", "small")
    with pytest.raises(InvalidError, match="no mode 'slow'; known: fast"):
        spec(settings=settings, agent="mine:slow")
    with pytest.raises(InvalidError, match=r"set agents\.opencode\.modes"):
        spec(agent="opencode:fast")
    for name in ("claude", "codex", "gemini"):
        assert set(config().agents[name].modes) == {"fast", "med", "slow"}
