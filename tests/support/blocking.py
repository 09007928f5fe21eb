"""A blocking call of ours on the event loop fails the test that made it."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import IO

from blockbuster import BlockBuster, BlockBusterFunction

SMALL_BYTES = 64 * 1024
"""A read of at most this much of a local file is allowed on the loop: it comes from the page cache."""

CHEAP = (
    *("os.stat", "os.access", "os.getcwd", "os.readlink"),
    *("os.path.ismount", "os.path.samestat", "os.path.sameopenfile", "os.path.islink", "os.path.abspath"),
)
"""Questions about one path; they take microseconds."""

CONTENDED = ("threading.Lock.acquire", "threading.Lock.acquire_lock")
"""A lock that a worker thread holds for a moment is no defect, and would fail now and then."""


@contextmanager
def no_blocking_calls(packages: Sequence[ModuleType]) -> Iterator[None]:
    """Inside, a call that may block raises ``BlockingError`` when ``packages`` make it on a running loop."""
    guard = BlockBuster(packages)
    for name in (*CHEAP, *CONTENDED):
        del guard.functions[name]
    for name in ("io.BufferedReader.read", "io.TextIOWrapper.read"):
        _allow_small_files(guard.functions[name])
    _allow_small_reads(guard.functions["os.read"])
    guard.functions["os.remove"].can_block_in("asyncio/unix_events.py", "create_unix_server")
    guard.functions["os.unlink"].can_block_in("teleclaude/service/drop.py", "discard")
    # The interpreter is locked until the child's exec, whichever thread starts it; asyncio starts on the loop, too.
    guard.functions["os.read"].can_block_in("subprocess.py", "_execute_child")
    guard.activate()
    try:
        yield
    finally:
        guard.deactivate()


def _allow_small_files(function: BlockBusterFunction) -> None:
    harmless = function.can_block_predicate

    def may_block(file: IO[bytes], *arguments: object) -> bool:
        return harmless(file, *arguments) or _is_small_file(file.fileno(), SMALL_BYTES)

    function.can_block_predicate = may_block


def _allow_small_reads(function: BlockBusterFunction) -> None:
    harmless = function.can_block_predicate

    def may_block(descriptor: int, size: int) -> bool:
        return harmless(descriptor) or (size <= SMALL_BYTES and stat.S_ISREG(os.fstat(descriptor).st_mode))

    function.can_block_predicate = may_block


def _is_small_file(descriptor: int, limit: int) -> bool:
    status = os.fstat(descriptor)
    return stat.S_ISREG(status.st_mode) and status.st_size <= limit


def own_packages(root: Path) -> list[ModuleType]:
    """The core and every adapter of the checkout at ``root``, by their places: nothing is imported."""
    return [_place(folder) for folder in (root / "teleclaude", *sorted((root / "adapters").glob("teleclaude_*")))]


def _place(folder: Path) -> ModuleType:
    module = ModuleType(folder.name)
    module.__path__ = [str(folder)]
    return module
