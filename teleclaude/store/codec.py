"""Sessions as text and back. Pure; old records must stay readable for ever, so new members need a default here."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from teleclaude.model import (
    Agent,
    Exit,
    Exited,
    HandedOff,
    HandingOff,
    Kind,
    Lost,
    PaneIdentity,
    Running,
    Session,
    SessionSpec,
    SessionState,
    Starting,
)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970 UTC, exactly."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def encode_session(session: Session) -> str:
    """ASCII JSON: it can hold any str that Python can, lone surrogates too."""
    record = {
        "id": session.id,
        "name": session.name,
        "kind": session.kind.value,
        "computer": session.computer,
        "spec": asdict(session.spec) | {"env": dict(session.spec.env)},
        "state": {"name": session.state.name, **asdict(session.state)},
        "created_at": session.created_at,
        "owner": session.owner,
        "tags": session.tags,
        "epoch": session.epoch,
        "title": session.title,
        "input_offset": session.input_offset,
        "tmux_socket": session.tmux_socket,
        "ending": asdict(session.ending) if session.ending is not None else None,
    }
    return json.dumps(record, default=_moment_text, separators=(",", ":"))


def decode_session(text: str) -> Session:
    """The session that ``encode_session`` wrote. Raises ``ValueError`` or ``KeyError`` for anything else."""
    record = json.loads(text)
    return Session(
        id=record["id"],
        name=record["name"],
        kind=Kind(record["kind"]),
        computer=record["computer"],
        spec=_spec(record["spec"]),
        state=_STATES[record["state"]["name"]](record["state"]),
        created_at=_moment(record["created_at"]),
        owner=record["owner"],
        tags=tuple(record["tags"]),
        epoch=record["epoch"],
        title=record["title"],
        input_offset=record["input_offset"],
        tmux_socket=record.get("tmux_socket"),
        ending=_exit(record["ending"]) if record.get("ending") else None,
    )


def _spec(record: dict[str, Any]) -> SessionSpec:
    command, agent = record["command"], record["agent"]
    return SessionSpec(
        command=tuple(command) if isinstance(command, list) else command,
        cwd=record["cwd"],
        env=record["env"],
        cols=record["cols"],
        rows=record["rows"],
        agent=Agent(name=agent["name"], conversation_id=agent["conversation_id"]) if agent is not None else None,
    )


def _pane(record: dict[str, Any]) -> PaneIdentity | None:
    pane = record["pane"]
    return PaneIdentity(**pane) if pane is not None else None


def _exit(exit_: dict[str, Any]) -> Exit:
    return Exit(
        code=exit_["code"],
        signal=exit_["signal"],
        at=_moment(exit_["at"]) if exit_["at"] is not None else None,
        reason=exit_["reason"],
    )


_STATES: dict[str, Callable[[dict[str, Any]], SessionState]] = {
    Starting.name: lambda _record: Starting(),
    Running.name: lambda record: Running(_pane(record)),
    Exited.name: lambda record: Exited(_exit(record["exit"])),
    Lost.name: lambda record: Lost(_exit(record["exit"])),
    HandingOff.name: lambda record: HandingOff(record["computer"], record["epoch"], _pane(record)),
    HandedOff.name: lambda record: HandedOff(record["computer"], record["session_id"], record["epoch"]),
}


def _moment_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    raise TypeError(f"{type(value).__name__} has no place in a record")


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
