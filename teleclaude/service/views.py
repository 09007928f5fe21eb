"""What clients see of a session, put together from its record and its stream."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from teleclaude.clock import Clock, timestamp
from teleclaude.model import Activity, Kind, Running, Session
from teleclaude.service.settings import Settings
from teleclaude.streams import Stream, StreamStore
from teleclaude.wire.sessions import SessionView

WORKING_SECONDS = 2.0
"""A running session that wrote within this time is called working."""


class Views:
    """Makes ``SessionView`` objects; reads only file sizes and times."""

    def __init__(self, streams: StreamStore, settings: Settings, clock: Clock) -> None:
        self._streams = streams
        self._settings = settings
        self._clock = clock
        self.python: Callable[[Session], Activity] | None = None
        """Who knows what Python sessions do."""

    def session(self, session: Session, stream: Stream | None = None) -> SessionView:
        stream = stream or self._streams.get(session.id)
        last = self.last_activity(session, stream)
        return SessionView.of(
            session,
            bounds=stream.bounds(),
            last_activity_at=timestamp(last),
            activity=self.activity(session, last),
            attach=self._attach(session),
        )

    def last_activity(self, session: Session, stream: Stream) -> datetime:
        """When the session last wrote; its creation when it never did."""
        written = stream.written_at()
        if written is None:
            return session.created_at
        return max(session.created_at, datetime.fromtimestamp(written, UTC))

    def activity(self, session: Session, last: datetime) -> Activity:
        """Of a terminal, what its output alone tells: working while it writes, else idle; unknown once it has ended."""
        if not isinstance(session.state, Running):
            return Activity.UNKNOWN
        if session.kind is Kind.PYTHON and self.python is not None:
            return self.python(session)
        quiet = (self._clock.now() - last).total_seconds()
        return Activity.WORKING if quiet < WORKING_SECONDS else Activity.IDLE

    def _attach(self, session: Session) -> list[str] | None:
        if session.kind is not Kind.TERMINAL or session.pane is None:
            return None
        tmux = self._settings.current.tmux
        server = ["-L", tmux.socket_name] if session.tmux_socket is None else ["-S", session.tmux_socket]
        return [tmux.binary, *server, "attach-session", "-t", session.pane.session_id]
