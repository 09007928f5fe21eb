"""Events as every surface shows them."""

from __future__ import annotations

from teleclaude.clock import timestamp
from teleclaude.events import Event


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
