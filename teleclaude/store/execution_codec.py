"""Executions as text and back. Pure; old records must stay readable for ever, so new members need a default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, get_args

from pydantic import TypeAdapter

from teleclaude.model import CellSpec, Execution, ExecutionSpec, ExecutionState, StreamTotals

_STATES: Mapping[str, type] = {state.name: state for state in get_args(ExecutionState)}


def encode_execution(execution: Execution) -> str:
    """ASCII JSON."""
    record = {
        "id": execution.id,
        "computer": execution.computer,
        "spec": execution.spec,
        "state": {"name": execution.state.name, **_members(execution.state)},
        "created_at": execution.created_at,
        "owner": execution.owner,
        "session_id": execution.session_id,
        "streams": dict(execution.streams),
        "tags": execution.tags,
    }
    return json.dumps(record, default=_jsonable, separators=(",", ":"))


def decode_execution(text: str) -> Execution:
    """What ``encode_execution`` wrote. Raises ``ValueError`` or ``KeyError`` for anything else."""
    record = json.loads(text)
    spec, state = record["spec"], dict(record["state"])
    return Execution(
        id=record["id"],
        computer=record["computer"],
        spec=_adapter(CellSpec if "code" in spec else ExecutionSpec).validate_python(spec),
        state=_adapter(_STATES[state.pop("name")]).validate_python(state),
        created_at=datetime.fromisoformat(record["created_at"]),
        owner=record["owner"],
        session_id=record["session_id"],
        streams={name: _adapter(StreamTotals).validate_python(totals) for name, totals in record["streams"].items()},
        tags=tuple(record["tags"]),
    )


@cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def _members(value: Any) -> dict[str, object]:
    return {name: getattr(value, name) for name in value.__dataclass_fields__}


def _jsonable(value: object) -> object:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):  # of a class that json does not know
        return dict(value)
    if is_dataclass(value):
        return _members(value)
    raise TypeError(f"{type(value).__name__} has no place in a record")
