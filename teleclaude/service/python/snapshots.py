"""Snapshots kept beside a session's streams, each with a record of what it is."""

from __future__ import annotations

import asyncio
import json
import os
from datetime import datetime
from pathlib import Path

from teleclaude.clock import Clock, timestamp
from teleclaude.errors import LimitError, NotFoundError
from teleclaude.python import PythonSession
from teleclaude.python.snapshots import Dropped, Snapshot, put_back, take
from teleclaude.streams import StreamStore
from teleclaude.wire.python import DroppedView, RestoredView, SnapshotView

MAX_SNAPSHOTS = 20


class Snapshots:
    """One folder for each session; it goes with the session's streams."""

    def __init__(self, streams: StreamStore, clock: Clock) -> None:
        self._streams = streams
        self._clock = clock

    async def take(self, engine: PythonSession, name: str | None) -> SnapshotView:
        """Raises ``ConflictError`` for a name in use and ``LimitError`` when there are ``MAX_SNAPSHOTS``."""
        known = await self.list(engine.id)
        if len(known) >= MAX_SNAPSHOTS:
            raise LimitError(f"the session has {len(known)} snapshots already", operation="session.snapshot")
        folder = self._folder(engine.id)
        await asyncio.to_thread(folder.mkdir, 0o700, parents=True, exist_ok=True)
        now = self._clock.now()
        name = name or f"{now:%Y%m%d-%H%M%S}-{now.microsecond:06d}"
        snapshot = await take(engine, folder / f"{name}.pickle")
        await asyncio.to_thread(_write_record, folder / f"{name}.json", snapshot, now)
        return _view(name, snapshot, now)

    async def list(self, session_id: str) -> list[SnapshotView]:
        """Oldest first."""
        found = await asyncio.to_thread(_read_all, self._folder(session_id))
        return [_view(name, snapshot, at) for name, snapshot, at in sorted(found, key=lambda entry: entry[2])]

    async def restore(self, engine: PythonSession, name: str) -> RestoredView:
        """Raises ``NotFoundError``, and ``ConflictError`` for a file that is not what was written."""
        path = self._folder(engine.id) / f"{name}.json"
        try:
            snapshot, _ = await asyncio.to_thread(_read_record, path)
        except FileNotFoundError as error:
            raise NotFoundError(f"there is no snapshot {name}", operation="session.restore") from error
        restored = await put_back(engine, snapshot)
        return RestoredView(
            restored=list(restored.restored),
            removed=list(restored.removed),
            kept=list(restored.kept),
            missing=list(restored.missing),
        )

    def _folder(self, session_id: str) -> Path:
        return self._streams.directory(session_id) / "snapshots"


def _view(name: str, snapshot: Snapshot, at: datetime) -> SnapshotView:
    return SnapshotView(
        name=name,
        created_at=timestamp(at),
        size_bytes=snapshot.size_bytes,
        carried=list(snapshot.carried),
        dropped=[DroppedView(name=entry.name, type=entry.type, reason=entry.reason) for entry in snapshot.dropped],
    )


def _write_record(path: Path, snapshot: Snapshot, at: datetime) -> None:
    record = {
        "created_at": at.isoformat(),
        "digest": snapshot.digest,
        "size_bytes": snapshot.size_bytes,
        "carried": snapshot.carried,
        "dropped": [[entry.name, entry.type, entry.reason] for entry in snapshot.dropped],
    }
    with open(path, "w", encoding="ascii", opener=_private) as file:
        json.dump(record, file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def _read_all(folder: Path) -> list[tuple[str, Snapshot, datetime]]:
    return [(path.stem, *_read_record(path)) for path in folder.glob("*.json")]


def _read_record(path: Path) -> tuple[Snapshot, datetime]:
    record = json.loads(path.read_text("ascii"))
    snapshot = Snapshot(
        path=path.with_suffix(".pickle"),
        digest=record["digest"],
        size_bytes=record["size_bytes"],
        carried=tuple(record["carried"]),
        dropped=tuple(Dropped(*entry) for entry in record["dropped"]),
    )
    return snapshot, datetime.fromisoformat(record["created_at"])
