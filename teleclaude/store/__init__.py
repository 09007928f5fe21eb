"""The embedded store: one SQLite file, one writer, functions per table that take a connection."""

from teleclaude.store import audit, events, receipts, sessions, tokens
from teleclaude.store.db import Database
from teleclaude.store.events import EventLog

__all__ = ["Database", "EventLog", "audit", "events", "receipts", "sessions", "tokens"]
