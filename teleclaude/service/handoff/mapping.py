"""From a session as it was elsewhere to one that can start here: directory, command, environment. Blocks."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from teleclaude.config import Config
from teleclaude.errors import InvalidError, TeleclaudeError
from teleclaude.model import Agent, Principal, Role, Session, SessionSpec
from teleclaude.service.specs import (
    agent_profile,
    check_directory,
    check_startable,
    is_owner_only,
    resumed_conversation,
)
from teleclaude.wire.handoff import Carried, CarriedAgent, Place

OPERATION = "handoff.prepare"


def carried(session: Session, config: Config) -> Carried:
    """The session as it travels; places are the most specific first."""
    spec = session.spec
    return Carried(
        id=session.id,
        name=session.name,
        command=list(spec.command) if isinstance(spec.command, tuple) else spec.command,
        agent=CarriedAgent(name=spec.agent.name, conversation_id=spec.agent.conversation_id) if spec.agent else None,
        cwd=spec.cwd,
        places=list(_places(Path(spec.cwd), config)),
        env=dict(spec.env),
        cols=spec.cols,
        rows=spec.rows,
        tags=list(session.tags),
        title=session.title.encode(errors="replace").decode(),
        owner=session.owner,
        created_at=session.created_at.isoformat(),
    )


def _places(cwd: Path, config: Config) -> Iterable[Place]:
    trusted = sorted(config.computer.trusted_dirs, key=lambda entry: -len(Path(entry.path).parts))
    for entry in trusted:
        if cwd.is_relative_to(entry.path):
            yield Place(name=entry.name or Path(entry.path).name, rest=str(cwd.relative_to(entry.path)))


def directory(session: Carried, principal: Principal, config: Config) -> str:
    """The directory here: that of a trusted directory by the same name, else the same path.

    Raises ``InvalidError`` when there is none, ``ForbiddenError`` for one that the principal may not use.
    """
    by_name = {entry.name or Path(entry.path).name: Path(entry.path) for entry in config.computer.trusted_dirs}
    for place in session.places:
        root = by_name.get(place.name)
        if root is None or ".." in Path(place.rest).parts or Path(place.rest).is_absolute():
            continue
        if (root / place.rest).is_dir():
            return check_directory(str(root / place.rest), principal, config, operation=OPERATION)
    if not Path(session.cwd).is_dir():
        names = ", ".join(place.name for place in session.places)
        tried = f"; it has no trusted directory {names} with it either" if names else ""
        raise InvalidError(
            f"the directory {session.cwd!r} does not exist there{tried}; make it, or name the same trusted directory "
            "on both computers",
            operation=OPERATION,
        )
    return check_directory(session.cwd, principal, config, operation=OPERATION)


def spec_here(session: Carried, cwd: str, principal: Principal, config: Config) -> tuple[SessionSpec, list[str]]:
    """What to start here, and the variables that may not come along.

    Raises ``InvalidError`` for a program or an agent that is not here, or one that cannot resume.
    """
    may_all = principal.role >= Role.OWNER
    dropped = [] if may_all else sorted(name for name in session.env if is_owner_only(name))
    env = {name: value for name, value in session.env.items() if name not in dropped}
    agent: Agent | None = None
    command = tuple(session.command) if isinstance(session.command, list) else session.command
    if session.agent is not None:
        agent = Agent(session.agent.name, session.agent.conversation_id)
        try:
            profile = agent_profile(agent.name, config)
            command = resumed_conversation(profile, agent, operation=OPERATION)
        except TeleclaudeError as error:
            raise InvalidError(f"it cannot go on there: {error.detail}", operation=OPERATION) from error
        env |= profile.env
    spec = SessionSpec(command=command, cwd=cwd, env=env, cols=session.cols, rows=session.rows, agent=agent)
    check_startable(spec, operation=OPERATION)
    return spec, dropped
