"""All streams of this computer: one directory per session or execution, one below it per stream."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import structlog

from teleclaude.errors import InternalError, InvalidError, TeleclaudeError
from teleclaude.model import Gap
from teleclaude.streams.directory import StreamDirectory
from teleclaude.streams.follow import Follower, Mode
from teleclaude.streams.layout import Kept
from teleclaude.streams.retention import Aged, within_budget, within_length
from teleclaude.streams.stream import Stream
from teleclaude.streams.succession import unwritable
from teleclaude.streams.watch import Watcher
from teleclaude.streams.worker import in_thread

log = structlog.get_logger(__name__)

PTY = "pty"
NAMES = (PTY, "stdout", "stderr", "order")

_OWNER = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
_DELETED = ".deleted-"
_STAGED = ".staged-"
_Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Dropped:
    """What retention took from one stream."""

    owner: str
    name: str
    gap: Gap


class StreamStore:
    """Knows every stream below ``root``. An async context manager: entering loads them, leaving ends all followers.

    A stream belongs to its owner (the id of a session or an execution) and goes with it.
    """

    def __init__(self, root: Path, *, watcher: Watcher, segment_bytes: int) -> None:
        self._root = root
        self._watcher = watcher
        self._segment_bytes = segment_bytes
        self._streams: dict[_Key, Stream] = {}
        self._live_before: frozenset[str] = frozenset()

    async def __aenter__(self) -> Self:
        """Load all streams. One that cannot be used is left as it is, and every use of it says why."""
        self._streams = await in_thread(self._load)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Write down what is still to be, and end all followers. Does nothing the second time."""
        streams = list(self._streams.values())
        self._streams.clear()
        for stream in streams:
            await stream.write_down_gaps()
            await stream.aclose()

    def directory(self, owner: str) -> Path:
        """Where the owner's streams are, and whatever else belongs to it."""
        return self._root / _checked(owner)

    def get(self, owner: str, name: str = PTY) -> Stream:
        """The owner's stream; empty when there is nothing on the disk, where it appears with its first generation."""
        stream = self._streams.get((owner, name))
        if stream is None:
            path = self._path(owner, name)
            stream = self._streams[owner, name] = Stream(path, self._segment_bytes, told=name != PTY)
        return stream

    async def create(self, owner: str, name: str = PTY) -> Stream:
        """A new stream, its directory open to nobody else. Raises ``InternalError`` when there is one."""
        path = self._path(owner, name)
        if (owner, name) in self._streams or path.exists():
            raise InternalError(f"stream {owner}/{name} exists already", operation="stream.create")
        stream = self.get(owner, name)
        try:
            await in_thread(StreamDirectory(path).create)
        except OSError as error:
            del self._streams[owner, name]
            raise unwritable(error, "stream.create") from error
        except BaseException:
            del self._streams[owner, name]
            raise
        return stream

    async def delete(self, owner: str) -> None:
        """End the followers of all the owner's streams and remove its directory with all that is in it."""
        directory = self.directory(owner)
        for key in [key for key in self._streams if key[0] == owner]:
            await self._streams.pop(key).aclose()
        await in_thread(_remove, directory)

    def staging(self, name: str) -> Path:
        """Where something for a stream that is to come here can be built up, on the same disk."""
        return self._root / f"{_STAGED}{_checked(name)}"

    def staged(self) -> list[str]:
        """The names of all that is being built up. Blocking."""
        found = (entry.name.removeprefix(_STAGED) for entry in self._root.iterdir() if entry.name.startswith(_STAGED))
        return [name for name in found if _OWNER.fullmatch(name)]

    async def install(self, owner: str, staged: Path) -> Stream:
        """Put the owner's streams that were built up in ``staged`` in the place of those it had here."""
        await self.delete(owner)
        directory = self.directory(owner)
        await in_thread(staged.rename, directory)
        loaded = await in_thread(self._load_one, directory / PTY)
        self._streams[owner, PTY] = loaded
        return loaded

    async def uninstall(self, owner: str, staged: Path) -> None:
        """Take back what ``install`` did; what was there before is gone all the same."""
        stream = self._streams.pop((owner, PTY), None)
        if stream is not None:
            await stream.aclose()
        await in_thread(self.directory(owner).rename, staged)

    @asynccontextmanager
    async def follow(self, stream: Stream, start: int, *, mode: Mode = "lossless") -> AsyncIterator[Follower]:
        """A cursor on ``stream`` from offset ``start``."""
        async with Follower(stream, self._watcher, start, mode=mode) as follower:
            yield follower

    def usage(self) -> int:
        """Bytes that all streams keep, as last seen; nothing is asked of the disk."""
        return sum(stream.known_bytes for stream in self._streams.values())

    async def retain(self, *, retention_bytes: int, disk_bytes: int, live: Collection[str]) -> list[Dropped]:
        """Bring each terminal's stream below ``retention_bytes`` and all streams below ``disk_bytes``: what an
        execution writes has a cap of its own.

        The newest segment stays, unless the disk budget needs it and the owner is not in ``live``. Holes that could
        not be written down before are written down now.
        """
        dropped: list[Dropped] = []
        for key, stream in list(self._streams.items()):
            await stream.write_down_gaps()
            if key[0] in live or key[0] in self._live_before:
                stream.bounds()
            if key[1] == PTY and stream.known_bytes > retention_bytes:
                below = within_length(stream.kept(), retention_bytes)
                await self._drop(key, stream, below, newest_too=False, dropped=dropped)
        self._live_before = frozenset(live)
        excess = self.usage() - disk_bytes
        if excess > 0:
            await self._free(excess, live, dropped)
        return dropped

    async def _free(self, excess: int, live: Collection[str], dropped: list[Dropped]) -> None:
        streams = dict(self._streams)
        newest_too = {key for key, stream in streams.items() if not stream.writing and key[0] not in live}
        files = {key: stream.kept_files(newest_too=key in newest_too) for key, stream in streams.items()}
        aged = await in_thread(_ages, files)
        for key, below in within_budget(aged, excess).items():
            await self._drop(key, streams[key], below, newest_too=key in newest_too, dropped=dropped)

    async def _drop(self, key: _Key, stream: Stream, below: int, *, newest_too: bool, dropped: list[Dropped]) -> None:
        try:
            gap = await stream.drop(below, newest_too=newest_too)
        except (TeleclaudeError, OSError) as error:
            log.warning("stream_not_shortened", owner=key[0], stream=key[1], error=str(error))
            return
        if gap is not None:
            dropped.append(Dropped(*key, gap))
            log.info("stream_shortened", owner=key[0], stream=key[1], start=gap.end)

    def _path(self, owner: str, name: str) -> Path:
        if name not in NAMES:
            raise InvalidError(f"{name} names no stream; there are {', '.join(NAMES)}", operation="stream.find")
        return self.directory(owner) / name

    def _load(self) -> dict[_Key, Stream]:
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        streams: dict[_Key, Stream] = {}
        for directory in self._root.iterdir():
            if directory.name.startswith(_DELETED):
                shutil.rmtree(directory, ignore_errors=True)
            elif _OWNER.fullmatch(directory.name):
                for name in NAMES:
                    if (directory / name).is_dir():
                        streams[directory.name, name] = self._load_one(directory / name)
        return streams

    def _load_one(self, path: Path) -> Stream:
        try:
            return Stream.open(path, self._segment_bytes, told=path.name != PTY)
        except InternalError as error:
            log.exception("stream_unusable", stream=str(path))
            return Stream(path, self._segment_bytes, fault=error)


def _checked(owner: str) -> str:
    """Raises ``InvalidError`` for what could leave the streams' directory."""
    if _OWNER.fullmatch(owner) is None:
        raise InvalidError(f"{owner!r} is not an id", operation="stream.find")
    return owner


def _remove(directory: Path) -> None:
    """First out of sight in one step, so that a crash leaves no half of it."""
    hidden = directory.with_name(_DELETED + secrets.token_hex(8))
    try:
        directory.rename(hidden)
    except FileNotFoundError:
        return
    shutil.rmtree(hidden)


def _ages(files: Mapping[_Key, Sequence[tuple[Kept, str]]]) -> dict[_Key, list[Aged]]:
    return {key: [Aged(kept, _written_at(path)) for kept, path in segments] for key, segments in files.items()}


def _written_at(path: str) -> float:
    try:
        return Path(path).stat().st_mtime
    except FileNotFoundError:
        return 0.0
