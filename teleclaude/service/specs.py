"""From a request to a specification that can be started: directory, environment, command, name."""

from __future__ import annotations

import os
import re
import shutil
import uuid
from collections.abc import Mapping
from pathlib import Path

from teleclaude.config import CONVERSATION_ID, AgentProfile, Config
from teleclaude.errors import ConflictError, ForbiddenError, InvalidError
from teleclaude.model import Agent, Principal, Role, SessionSpec
from teleclaude.wire.sessions import CreateSession

_OPERATION = CreateSession.operation
_OWNER_ONLY_ENV = re.compile(r"LD_.*|BASH_ENV|ENV|PROMPT_COMMAND|TMUX.*|PYTHON(STARTUP|PATH|HOME)|TELECLAUDE_.*")


def build_spec(command: CreateSession, principal: Principal, config: Config) -> SessionSpec:
    """Everything needed to start the session, checked. Blocks on the file system: call it off the loop.

    Raises ``InvalidError`` for a directory or program that is not there, ``ForbiddenError`` for what the principal's
    role does not allow.
    """
    env = dict(command.env)
    check_env(env, principal, operation=_OPERATION)
    cwd = check_directory(command.cwd, principal, config, operation=_OPERATION)
    agent = Agent(command.agent) if command.agent else None
    argv: str | tuple[str, ...] | None
    if agent is not None:
        profile = agent_profile(agent.name, config)
        agent, argv = new_conversation(profile, agent.name)
        argv += (command.prompt,) if command.prompt else ()
        env = {**profile.env, **env}
    else:
        argv = tuple(command.command) if isinstance(command.command, list) else command.command
    if isinstance(argv, tuple):
        _check_program(argv[0], cwd, env)
    return SessionSpec(
        command=argv,
        cwd=cwd,
        env=env,
        cols=command.cols or config.sessions.cols,
        rows=command.rows or config.sessions.rows,
        agent=agent,
    )


def agent_profile(name: str, config: Config) -> AgentProfile:
    """The profile of ``NAME`` or ``NAME:MODE``; a mode's arguments are in its commands. Raises ``InvalidError``."""
    agent, colon, mode = name.partition(":")
    profile = config.agents.get(agent)
    if profile is None:
        known = ", ".join(sorted(config.agents)) or "none"
        raise InvalidError(f"no agent is called {agent!r}; known: {known}", operation=_OPERATION)
    if not colon:
        return profile
    more = profile.modes.get(mode)
    if more is None:
        known = ", ".join(profile.modes) or f"none; set agents.{agent}.modes"
        raise InvalidError(f"agent {agent} has no mode {mode!r}; known: {known}", operation=_OPERATION)
    resume = None if profile.resume is None else (*profile.resume, *more)
    return profile.model_copy(update={"command": (*profile.command, *more), "resume": resume})


def new_conversation(profile: AgentProfile, name: str) -> tuple[Agent, tuple[str, ...]]:
    """The agent and its command, with an id of our own making where the profile has a place for one."""
    if not any(CONVERSATION_ID in word for word in profile.command):
        return Agent(name), tuple(profile.command)
    conversation = str(uuid.uuid4())
    return Agent(name, conversation), tuple(word.replace(CONVERSATION_ID, conversation) for word in profile.command)


def resumed_conversation(profile: AgentProfile, agent: Agent, *, operation: str) -> tuple[str, ...]:
    """The command that takes up the agent's conversation.

    Raises ``InvalidError`` when there is no such command, ``ConflictError`` when the conversation's id is not known.
    """
    if not profile.resume:
        raise InvalidError(
            f"agent {agent.name} has no resume command; set agents.{agent.name}.resume", operation=operation
        )
    if any(CONVERSATION_ID in word for word in profile.resume) and agent.conversation_id is None:
        raise ConflictError("the agent's conversation id is not known; restart without resume", operation=operation)
    return tuple(word.replace(CONVERSATION_ID, agent.conversation_id or "") for word in profile.resume)


def base_name(spec: SessionSpec) -> str:
    """A name to start from when none was asked for: the agent's or the program's."""
    if spec.agent is not None:
        text = spec.agent.name
    elif isinstance(spec.command, tuple):
        text = Path(spec.command[0]).name
    elif spec.command is not None:
        text = Path(spec.command.split()[0]).name if spec.command.split() else "shell"
    else:
        text = "shell"
    name = re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-_")[:60]
    return name or "session"


def check_directory(cwd: str | None, principal: Principal, config: Config, *, operation: str) -> str:
    """An absolute, existing, enterable directory; when none was given the home directory, or the first trusted one for
    whom that is out of bounds.

    Below owner, a session starts in one of ``computer.trusted_dirs`` or beneath.
    """
    path = cwd if cwd is not None else _default_directory(principal, config)
    if not Path(path).is_absolute():
        raise InvalidError(f"cwd {path!r} is not an absolute path", operation=operation)
    if not Path(path).is_dir():
        raise InvalidError(f"cwd {path!r} is not an existing directory", operation=operation)
    if not os.access(path, os.X_OK):
        raise InvalidError(f"cwd {path!r} cannot be entered by this user", operation=operation)
    if principal.role < Role.OWNER:
        real = Path(path).resolve()
        trusted = [Path(entry.path).resolve() for entry in config.computer.trusted_dirs]
        if not any(real.is_relative_to(root) for root in trusted):
            raise ForbiddenError(
                f"{path!r} is not in a trusted directory; an owner can add it to computer.trusted_dirs",
                operation=operation,
            )
    return path


def _default_directory(principal: Principal, config: Config) -> str:
    trusted = [Path(entry.path) for entry in config.computer.trusted_dirs]
    home = Path.home()
    if principal.role >= Role.OWNER or not trusted or any(home.is_relative_to(root) for root in trusted):
        return str(home)
    return str(trusted[0])


def check_env(env: Mapping[str, str], principal: Principal, *, operation: str) -> None:
    """Raises ``InvalidError`` for variables by which a program is made to run something else, below owner."""
    if principal.role >= Role.OWNER:
        return
    for key in env:
        if _OWNER_ONLY_ENV.fullmatch(key):
            raise InvalidError(f"only an owner may set the variable {key}", operation=operation)


def is_owner_only(variable: str) -> bool:
    """Whether only an owner may set it."""
    return _OWNER_ONLY_ENV.fullmatch(variable) is not None


def _check_program(program: str, cwd: str, env: Mapping[str, str]) -> None:
    search = env.get("PATH", os.environ.get("PATH", os.defpath))
    found = shutil.which(str(Path(cwd, program)) if "/" in program else program, path=search)
    if found is None:
        raise InvalidError(
            f"program {program[:200]!r} was not found or cannot be executed; give its full path or set PATH",
            operation=_OPERATION,
        )


def check_startable(spec: SessionSpec, *, operation: str) -> None:
    """Whether what was started once can be started again. Blocks. Raises ``InvalidError`` naming what is gone."""
    if not Path(spec.cwd).is_dir() or not os.access(spec.cwd, os.X_OK):
        raise InvalidError(f"the directory {spec.cwd!r} is gone or cannot be entered", operation=operation)
    if isinstance(spec.command, tuple):
        _check_program(spec.command[0], spec.cwd, spec.env)
