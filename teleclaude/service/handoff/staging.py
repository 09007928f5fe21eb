"""What was brought for sessions that may come here, on disk until it is taken or given up. Blocking, off the loop."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from teleclaude.errors import ConflictError, InvalidError, NotFoundError, TooLargeError
from teleclaude.model import Gap
from teleclaude.service.screens import LAST_SCREEN
from teleclaude.streams import PTY, StreamStore, Transplant
from teleclaude.streams.transplant import discard
from teleclaude.wire.handoff import MAX_BUNDLE_BYTES, MAX_HISTORY_BYTES, PrepareHandoff, SealHandoff

OPERATION = "handoff.part"
MAX_STAGED = 8
KEEP_SECONDS = 3600.0
_REQUEST, _SEAL, _BUNDLE, _STREAMS, _PLACE = "request.json", "seal.json", "bundle", "streams", "place.json"


class Staged:
    """One handoff's folder."""

    def __init__(self, folder: Path, segment_bytes: int) -> None:
        self.folder = folder
        self._segment_bytes = segment_bytes
        self._request: PrepareHandoff | None = None

    @property
    def bundle(self) -> Path:
        return self.folder / _BUNDLE

    @property
    def streams(self) -> Path:
        return self.folder / _STREAMS

    @property
    def request(self) -> PrepareHandoff:
        """Raises ``NotFoundError`` when nothing was prepared, or it was given up."""
        if self._request is not None:
            return self._request
        try:
            self._request = PrepareHandoff.model_validate_json((self.folder / _REQUEST).read_bytes())
            return self._request
        except FileNotFoundError:
            raise NotFoundError("nothing is prepared for this handoff (any more)", operation=OPERATION) from None

    @property
    def seal(self) -> SealHandoff | None:
        """None before everything was there."""
        try:
            return SealHandoff.model_validate_json((self.folder / _SEAL).read_bytes())
        except FileNotFoundError:
            return None

    @property
    def cwd(self) -> str:
        """Where it will start here."""
        return str(json.loads((self.folder / _PLACE).read_text())["cwd"])

    @property
    def role(self) -> int:
        """What the computer it came from may do here."""
        return int(json.loads((self.folder / _PLACE).read_text())["role"])

    def begin(self, request: PrepareHandoff, cwd: str, role: int) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._history(request).begin()
        _write(self.folder / _PLACE, json.dumps({"cwd": cwd, "role": int(role)}).encode())
        _write(self.folder / _REQUEST, request.model_dump_json().encode())

    def write_history(self, offset: int, data: bytes) -> int:
        """Raises ``TooLargeError`` beyond what a history may have."""
        self._require_short(offset + len(data))
        return self._history(self.request).write(offset, data)

    def skip_history(self, end: int) -> int:
        """Raises ``TooLargeError`` as above: a hole takes files, too."""
        self._require_short(end)
        return self._history(self.request).skip(end)

    def _require_short(self, end: int) -> None:
        if end - self.request.start > MAX_HISTORY_BYTES:
            raise TooLargeError(f"a history has at most {MAX_HISTORY_BYTES} bytes", operation=OPERATION)

    def write_bundle(self, offset: int, data: bytes) -> int:
        """Raises ``ConflictError`` for a hole, ``TooLargeError`` beyond what a bundle may have."""
        if not self.request.git:
            raise InvalidError("no bundle was announced", operation=OPERATION)
        if offset + len(data) > MAX_BUNDLE_BYTES:
            raise TooLargeError(f"a bundle has at most {MAX_BUNDLE_BYTES} bytes", operation=OPERATION)
        with open(self.bundle, "ab", opener=_private) as file:
            if offset > file.tell():
                raise ConflictError(f"bytes before {offset} are missing; send them first", operation=OPERATION)
        with self.bundle.open("r+b") as file:
            file.seek(offset)
            file.write(data)
            return file.seek(0, os.SEEK_END)

    def finish(self, seal: SealHandoff) -> None:
        """Everything has to be here; make it durable. Raises ``ConflictError`` for what is missing."""
        history = self._history(self.request)
        if history.end() != seal.end:
            raise ConflictError(
                f"the history ends at {history.end()}, and {seal.end} was announced", operation=seal.operation
            )
        size = self.bundle.stat().st_size if self.bundle.exists() else 0
        if size != seal.bundle_bytes:
            raise ConflictError(
                f"the bundle has {size} bytes, and {seal.bundle_bytes} were announced", operation=seal.operation
            )
        history.finish([Gap(gap.start, gap.end, gap.bytes, gap.reason) for gap in seal.gaps])
        if seal.screen is not None:
            _write(self.streams / LAST_SCREEN, seal.screen.encode("ascii", "backslashreplace"))
        _write(self.folder / _SEAL, seal.model_dump_json().encode())

    def _history(self, request: PrepareHandoff) -> Transplant:
        return Transplant(self.streams / PTY, start=request.start, segment_bytes=self._segment_bytes)


class Staging:
    def __init__(self, streams: StreamStore, segment_bytes: int) -> None:
        self._streams = streams
        self._segment_bytes = segment_bytes
        self._open: dict[str, Staged] = {}

    def of(self, handoff: str) -> Staged:
        """Kept while it is worked on, for as many as may be staged."""
        staged = self._open.pop(handoff, None) or Staged(self._streams.staging(handoff), self._segment_bytes)
        self._open[handoff] = staged
        if len(self._open) > MAX_STAGED:
            del self._open[next(iter(self._open))]
        return staged

    def names(self) -> list[str]:
        return self._streams.staged()

    def discard(self, handoff: str) -> None:
        self._open.pop(handoff, None)
        discard(self._streams.staging(handoff))

    def expired(self) -> list[str]:
        """Those that nobody went on with for an hour."""
        before = time.time() - KEEP_SECONDS
        return [name for name in self.names() if _touched(self._streams.staging(name)) < before]


def _touched(folder: Path) -> float:
    try:
        return max([folder.stat().st_mtime, *(entry.stat().st_mtime for entry in folder.rglob("*"))])
    except FileNotFoundError:
        return 0.0


def _write(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    with open(temporary, "wb", opener=_private) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
