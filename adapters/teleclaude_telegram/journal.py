"""What must survive: updates before they count as taken, topics, what is still to be said, buttons, settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from teleclaude_telegram.ledger import Ledger

KEPT_UPDATES = 10_000
"""Ids of updates that are remembered, so that a repeat is known."""

IDS_SECONDS = 6 * 24 * 3600.0
FORGET_EVERY = 100
"""With so many updates the oldest are forgotten."""
MAX_CALLBACKS = 20_000
MAX_TIDY = 200

OFFSET, WAIT = "offset", "told_to_wait"
"""Settings of the journal itself."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS updates (id INTEGER PRIMARY KEY, raw TEXT, taken_at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS updates_waiting ON updates (id) WHERE raw IS NOT NULL;
CREATE INDEX IF NOT EXISTS updates_taken ON updates (taken_at, id);
CREATE TABLE IF NOT EXISTS places (session_id TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, rank INTEGER NOT NULL, key TEXT, last INTEGER NOT NULL,
    doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS callbacks (token TEXT PRIMARY KEY, keyboard TEXT NOT NULL, expires REAL NOT NULL,
    doc TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS callbacks_keyboard ON callbacks (keyboard);
CREATE TABLE IF NOT EXISTS begun (update_id INTEGER PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS beside (name TEXT PRIMARY KEY, doc TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS settings (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS spent (at REAL NOT NULL);
"""


_FORGET_UPDATES = """
DELETE FROM updates WHERE raw IS NULL AND taken_at < (
    SELECT taken_at FROM updates ORDER BY taken_at DESC, id DESC LIMIT 1 OFFSET ?)
"""


@dataclass(slots=True)
class Place:
    """Where a session is in the chat. ``said`` is the offset up to which its output has been shown for good.

    ``live`` and ``picture`` are messages that are edited in place; ``tidy`` those that go once they have served, and
    ``question`` is the one that goes when its question is open no more. ``ended`` is the end that was told.
    ``asked`` is the fingerprint of the question that was passed on, ``asks`` are its words, ``asked_at`` is when that
    was, ``asked_end`` up to where the output was then, and ``repeats`` how often the same words came again since.
    ``left`` is the computer that has the session now, when it has gone from here, and ``left_at`` when that was noticed
    (wall time in seconds). ``icon`` and ``shows_question`` say how the topic looks in the list.
    """

    session_id: str
    name: str
    thread: int | None = None
    title: str = ""
    closed: bool = False
    said: int = 0
    live: int | None = None
    live_hash: str = ""
    picture: int | None = None
    picture_hash: str = ""
    question: int | None = None
    asked: str = ""
    asks: str = ""
    asked_at: float = 0.0
    asked_end: int | None = None
    repeats: int = 0
    ended: str = ""
    icon: str = ""
    shows_question: bool = False
    remade: int = 0
    left: str = ""
    left_at: float = 0.0
    tidy: list[int] = field(default_factory=list)

    def tidy_later(self, message_id: int) -> None:
        """It goes once the session has said something else."""
        self.tidy = [*self.tidy, message_id][-MAX_TIDY:]

    def served(self) -> list[int]:
        """Take out the messages that go now."""
        if self.question is not None and not self.asked:
            self.tidy_later(self.question)
            self.question = None
        served = [*self.tidy, *([self.live] if self.live else [])]
        self.tidy, self.live = [], None
        return served


_FIELDS = {known.name for known in fields(Place)}


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that is still to be said."""

    id: int
    topic: str
    rank: int
    key: str | None
    last: bool
    doc: dict[str, Any]


class Journal(Ledger):
    """An async context manager. Every method may raise ``sqlite3.Error``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA)

    # Updates.

    async def take(self, updates: Sequence[tuple[int, Any]], now: float) -> None:
        """Commit raw updates and the offset behind them. One that was taken before stays as it is."""
        if not updates:
            return
        rows = [
            ("INSERT OR IGNORE INTO updates VALUES (?, ?, ?)", (update_id, json.dumps(raw), now))
            for update_id, raw in updates
        ]
        offset = max(update_id for update_id, _ in updates) + 1
        await self._change(*rows, _set(OFFSET, str(offset)))

    async def offset(self, now: float) -> int | None:
        """What to ask the server for next. None at the very first, and when no update has come for so long that the
        server may begin at a lower number: it chooses one at random after a week (see ``Update`` in its documentation).
        """
        value = await self.setting(OFFSET)
        if value is None:
            return None
        ((newest,),) = await self._rows("SELECT max(taken_at) FROM updates")
        return int(value) if newest is None or now - newest < IDS_SECONDS else None

    async def waiting(self) -> list[tuple[int, Any]]:
        """Updates that were taken and not yet worked off, oldest first."""
        rows = await self._rows("SELECT id, raw FROM updates WHERE raw IS NOT NULL ORDER BY taken_at, id LIMIT 500")
        return [(update_id, json.loads(raw)) for update_id, raw in rows]

    async def worked_off(self, update_id: int) -> None:
        done = [
            ("UPDATE updates SET raw = NULL WHERE id = ?", (update_id,)),
            ("DELETE FROM begun WHERE update_id = ?", (update_id,)),
        ]
        if update_id % FORGET_EVERY == 0:
            done.append((_FORGET_UPDATES, (KEPT_UPDATES,)))
        await self._change(*done)

    # Places.

    async def places(self) -> list[Place]:
        found = [json.loads(doc) for (doc,) in await self._rows("SELECT doc FROM places ORDER BY session_id")]
        return [Place(**{key: value for key, value in doc.items() if key in _FIELDS}) for doc in found]

    async def keep(self, place: Place) -> None:
        doc = json.dumps(asdict(place))
        await self._change(("INSERT OR REPLACE INTO places VALUES (?, ?)", (place.session_id, doc)))

    async def drop(self, session_id: str) -> None:
        await self._change(
            ("DELETE FROM places WHERE session_id = ?", (session_id,)),
            ("DELETE FROM outbox WHERE topic = ?", (session_id,)),
        )

    # What is to be said.

    async def queue(self, topic: str, rank: int, doc: dict[str, Any], *, key: str | None, last: bool) -> int:
        return await self._change(
            (
                "INSERT INTO outbox (topic, rank, key, last, doc) VALUES (?, ?, ?, ?, ?)",
                (topic, rank, key, last, json.dumps(doc)),
            )
        )

    async def requeue(self, row_id: int, doc: dict[str, Any]) -> None:
        await self._change(("UPDATE outbox SET doc = ? WHERE id = ?", (json.dumps(doc), row_id)))

    async def settle(self, row_id: int, doc: dict[str, Any]) -> None:
        """It stays as it is now: without its key nothing replaces it."""
        await self._change(("UPDATE outbox SET doc = ?, key = NULL WHERE id = ?", (json.dumps(doc), row_id)))

    async def said(self, row_id: int) -> None:
        await self._change(("DELETE FROM outbox WHERE id = ?", (row_id,)))

    async def unsaid(self) -> list[Row]:
        rows = await self._rows("SELECT id, topic, rank, key, last, doc FROM outbox ORDER BY id")
        return [
            Row(row_id, topic, rank, key, bool(last), json.loads(doc)) for row_id, topic, rank, key, last, doc in rows
        ]

    async def spend(self, at: float, window: float, messages: int = 1) -> None:
        """A call is about to be made, at this wall time; the server's counters survive our restart, so ours do."""
        await self._change(
            *([("INSERT INTO spent VALUES (?)", (at,))] * messages),
            ("DELETE FROM spent WHERE at < ? OR at > ?", (at - window, at + 1)),
        )

    async def spent(self, since: float) -> list[float]:
        return [at for (at,) in await self._rows("SELECT at FROM spent WHERE at > ? ORDER BY at", (since,))]

    async def wait(self, at: float, seconds: float) -> None:
        """The server asked at this wall time to be left alone for so long."""
        await self.set(WAIT, json.dumps([at, seconds]))

    async def told_to_wait(self, now: float) -> float:
        """Seconds that are left of it. A clock that was set back makes it no longer."""
        value = await self.setting(WAIT)
        if value is None:
            return 0.0
        at, seconds = json.loads(value)
        return max(0.0, float(min(seconds, at + seconds - now)))

    # Buttons.

    async def mint(self, keyboard: str, buttons: Sequence[tuple[str, dict[str, Any]]], expires: float) -> None:
        """Remember what each token of a keyboard stands for."""
        await self._change(
            *(
                ("INSERT INTO callbacks VALUES (?, ?, ?, ?)", (token, keyboard, expires, json.dumps(doc)))
                for token, doc in buttons
            ),
            (
                "DELETE FROM callbacks WHERE rowid <= (SELECT max(rowid) FROM callbacks) - ?",
                (MAX_CALLBACKS,),
            ),
        )

    async def look_up(self, token: str, now: float) -> dict[str, Any] | None:
        rows = await self._rows("SELECT doc FROM callbacks WHERE token = ? AND expires > ?", (token, now))
        found: dict[str, Any] | None = json.loads(rows[0][0]) if rows else None
        return found

    async def burn(self, token: str, *, keyboard: bool, by: int) -> bool:
        """Use a token up, with its whole keyboard when asked. Answers whether it was there: it works once. What it
        stood for stays with the update that used it until that is worked off; see ``begun``.
        """
        which = "keyboard = (SELECT keyboard FROM callbacks WHERE token = ?)" if keyboard else "token = ?"
        keep = "INSERT OR REPLACE INTO begun SELECT ?, doc FROM callbacks WHERE token = ?"
        return await self._removed((keep, (by, token)), (f"DELETE FROM callbacks WHERE {which}", (token,))) > 0

    async def begun(self, update_id: int) -> dict[str, Any] | None:
        """What a button stood for that was pressed with this update, which was not worked off to its end."""
        rows = await self._rows("SELECT doc FROM begun WHERE update_id = ?", (update_id,))
        found: dict[str, Any] | None = json.loads(rows[0][0]) if rows else None
        return found

    async def burn_keyboard(self, keyboard: str) -> None:
        await self._change(("DELETE FROM callbacks WHERE keyboard = ?", (keyboard,)))

    async def expire(self, now: float) -> None:
        """Forget buttons that work no more, and what the file still holds of rows that are gone."""
        await self._change(("DELETE FROM callbacks WHERE expires <= ?", (now,)))
        await self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    # What goes on beside.

    async def keep_beside(self, name: str, doc: dict[str, Any]) -> None:
        await self._change(("INSERT OR REPLACE INTO beside VALUES (?, ?)", (name, json.dumps(doc))))

    async def drop_beside(self, name: str) -> None:
        await self._change(("DELETE FROM beside WHERE name = ?", (name,)))

    async def beside(self) -> list[tuple[str, dict[str, Any]]]:
        return [(name, json.loads(doc)) for name, doc in await self._rows("SELECT name, doc FROM beside ORDER BY name")]

    async def begin_anew(self, *, keep_offset: bool) -> None:
        """Forget where everything was, what is to be said there, and all buttons."""
        tables = ("places", "outbox", "callbacks", "begun", "beside", "spent", *(() if keep_offset else ("updates",)))
        gone = (WAIT,) if keep_offset else (WAIT, OFFSET)
        await self._change(
            *((f"DELETE FROM {table}", ()) for table in tables),
            *(("DELETE FROM settings WHERE key = ?", (key,)) for key in gone),
        )

    # Settings.

    async def setting(self, key: str) -> str | None:
        rows = await self._rows("SELECT value FROM settings WHERE key = ?", (key,))
        return rows[0][0] if rows else None

    async def set(self, key: str, value: str) -> None:
        await self._change(_set(key, value))


def _set(key: str, value: str) -> tuple[str, Sequence[Any]]:
    return "INSERT OR REPLACE INTO settings VALUES (?, ?)", (key, value)
