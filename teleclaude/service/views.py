"""What clients see of a session, put together from its record and its stream."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from teleclaude.clock import Clock, timestamp
from teleclaude.config import TmuxConfig
from teleclaude.model import Activity, Bounds, Kind, Running, Session
from teleclaude.service.settings import Settings
from teleclaude.streams import Stream, StreamStore
from teleclaude.wire.sessions import SessionView

WORKING_SECONDS = 2.0
"""A running session that wrote within this time is called working."""


MAX_KNOWN = 2000
"""Views kept, for the lists that are asked for again and again."""


class _Seen(NamedTuple):
    """All that a view is made of."""

    session: Session
    bounds: Bounds
    last: datetime
    activity: Activity
    tmux: TmuxConfig

    def is_still(self, other: _Seen) -> bool:
        return self.session is other.session and self.tmux is other.tmux and self[1:4] == other[1:4]


class Views:
    """Makes ``SessionView`` objects; reads only file sizes and times."""

    def __init__(self, streams: StreamStore, settings: Settings, clock: Clock) -> None:
        self._streams = streams
        self._settings = settings
        self._clock = clock
        self._known: OrderedDict[str, tuple[_Seen, SessionView]] = OrderedDict()
        self.python: Callable[[Session], Activity] | None = None
        """Who knows what Python sessions do."""
        self.asks: Callable[[Session], bool] = lambda _session: False
        """Who knows whether a terminal was seen to ask something, with nothing written since."""

    def session(self, session: Session, stream: Stream | None = None) -> SessionView:
        bounds, written = (stream or self._streams.get(session.id)).latest()
        last = _last_activity(session, written)
        seen = _Seen(session, bounds, last, self.activity(session, last), self._settings.current.tmux)
        known = self._known.get(session.id)
        if known is not None and known[0].is_still(seen):
            return known[1]
        view = SessionView.of(
            session,
            bounds=bounds,
            last_activity_at=timestamp(last),
            activity=seen.activity,
            attach=self._attach(session),
        )
        self._known[session.id] = (seen, view)
        self._known.move_to_end(session.id)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return view

    def last_activity(self, session: Session, stream: Stream) -> datetime:
        """When the session last wrote; its creation when it never did."""
        return _last_activity(session, stream.written_at())

    def activity(self, session: Session, last: datetime) -> Activity:
        """Of a terminal, what it was seen to ask, else what its output tells: working while it writes, then idle."""
        if not isinstance(session.state, Running):
            return Activity.UNKNOWN
        if session.kind is Kind.PYTHON and self.python is not None:
            return self.python(session)
        if self.asks(session):
            return Activity.NEEDS_INPUT
        quiet = (self._clock.now() - last).total_seconds()
        return Activity.WORKING if quiet < WORKING_SECONDS else Activity.IDLE

    def _attach(self, session: Session) -> list[str] | None:
        if session.kind is not Kind.TERMINAL or session.pane is None:
            return None
        tmux = self._settings.current.tmux
        server = ["-L", tmux.socket_name] if session.tmux_socket is None else ["-S", session.tmux_socket]
        return [tmux.binary, *server, "attach-session", "-t", session.pane.session_id]


def _last_activity(session: Session, written: float | None) -> datetime:
    return session.created_at if written is None else max(session.created_at, datetime.fromtimestamp(written, UTC))
