"""Rows of the route table for handing a session to another computer."""

from __future__ import annotations

from teleclaude.wire import handoff
from teleclaude_rest import handlers
from teleclaude_rest.route import Media, Route

HANDOFF_ROUTES: tuple[Route, ...] = (
    Route(
        "POST",
        "/sessions/{id}/handoff",
        handlers.call,
        "Hand it to another computer",
        (Media(handlers.JSON, handoff.HandoffReply),),
        command=handoff.HandoffSession,
    ),
    Route(
        "POST",
        "/sessions/{id}/take",
        handlers.call,
        "Take it over from a computer that is dead",
        (Media(handlers.JSON, handoff.HandoffReply),),
        command=handoff.TakeSession,
    ),
)
