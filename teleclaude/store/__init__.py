"""The embedded store: one SQLite file, one writer, functions per table that take a connection."""

from teleclaude.store import events, receipts, sessions
from teleclaude.store.db import Database
from teleclaude.store.events import EventLog

__all__ = ["Database", "EventLog", "events", "receipts", "sessions"]
