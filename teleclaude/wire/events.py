"""Events as every surface shows them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from teleclaude.clock import timestamp
from teleclaude.events import Event


def event_of(said: Mapping[str, Any]) -> Event:
    """What ``event_object`` made. Raises ``ValueError``, ``KeyError`` or ``TypeError`` for anything else."""
    session, execution, data = said["session_id"], said["execution_id"], said["data"]
    if not isinstance(data, dict):
        raise TypeError("data is an object")
    return Event(
        seq=int(said["seq"]),
        at=datetime.fromisoformat(said["at"]),
        type=str(said["type"]),
        session_id=None if session is None else str(session),
        execution_id=None if execution is None else str(execution),
        data=data,
    )


def event_object(event: Event) -> dict[str, object]:
    """``{seq, at, type, session_id, execution_id, data}``."""
    return {
        "seq": event.seq,
        "at": timestamp(event.at),
        "type": event.type,
        "session_id": event.session_id,
        "execution_id": event.execution_id,
        "data": event.data,
    }
