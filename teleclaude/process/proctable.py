"""What the kernel says about processes: proc(5). Reads only; where there is no /proc, nobody is found."""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")

ENDED_STATES = ("Z", "X", "x")
STOPPED_STATES = ("T", "t")

_EXEC_TRIES = 100
_EXEC_SECONDS = 0.001
_NEVER = threading.Event()
_PIECE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class ProcessStat:
    """A line of ``/proc/<pid>/stat``. ``start_time`` is in clock ticks since boot, ``state`` one letter."""

    pid: int
    state: str
    parent: int
    group: int
    session: int
    start_time: int

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED_STATES


def parse_stat(line: bytes) -> ProcessStat:
    """Parse a stat line; raises ``ValueError`` for anything else.

    The command name stands in parentheses and may hold any byte, also parentheses: fields count from the last one.
    """
    head, _, tail = line.rpartition(b")")
    fields = tail.split()
    if len(fields) < 20:
        raise ValueError("not a line of /proc/<pid>/stat")
    return ProcessStat(
        pid=int(head.partition(b" ")[0]),
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_time=int(fields[19]),
    )


def read_stat(pid: int) -> ProcessStat | None:
    """The process now, a zombie too; None when there is none."""
    try:
        return parse_stat(_read(f"{PROC}/{pid}/stat"))
    except OSError:
        return None


def all_processes() -> list[ProcessStat]:
    """Every process there is: about 10 µs each, so not for hot paths."""
    try:
        pids = [int(entry.name) for entry in os.scandir(PROC) if entry.name.isdigit()]
    except OSError:
        return []
    return [stat for pid in pids if (stat := read_stat(pid))]


def has_variable(pid: int, entry: bytes) -> bool:
    """Whether the process was started with ``entry`` (``NAME=value``) in its environment; False when not readable.

    For a moment within execve the environment reads as empty: then it is read again. Blocks for up to 100 ms.
    """
    for _ in range(_EXEC_TRIES):
        before = _environment_start(pid)
        try:
            environment = (PROC / str(pid) / "environ").read_bytes()
        except OSError:
            return False
        if environment or before is None or before == _environment_start(pid) != 0:
            return entry in environment.split(b"\0")
        _NEVER.wait(_EXEC_SECONDS)
    return False


def child_lister() -> Callable[[int], Iterable[int]]:
    """A function that names the children of a process.

    The kernel lists them per thread where it was built with CONFIG_PROC_CHILDREN; else one scan of all processes
    answers every question that is put to the function.
    """
    if (PROC / f"self/task/{os.getpid()}/children").exists():
        return _children
    by_parent: defaultdict[int, list[int]] = defaultdict(list)
    for stat in all_processes():
        by_parent[stat.parent].append(stat.pid)
    return lambda pid: by_parent.get(pid, ())


def adopted_children() -> list[int] | None:
    """The children of our first thread, with all that a subreaper adopts; None where the kernel does not list them.

    The kernel gives an orphan to the first thread of its subreaper that has not ended: find_new_reaper in its exit.c.
    """
    try:
        return [int(pid) for pid in _read(f"{PROC}/self/task/{os.getpid()}/children").split()]
    except OSError:
        return None


def _children(pid: int) -> list[int]:
    found: list[int] = []
    # What has ended meanwhile is passed over: its children have a new parent by now and are found there.
    with suppress(OSError):
        for task in os.scandir(f"{PROC}/{pid}/task"):
            with suppress(OSError):
                found += map(int, _read(f"{PROC}/{pid}/task/{task.name}/children").split())
    return found


def _read(path: str) -> bytes:
    """All of a file of the kernel's. Twice as fast as by ``Path``, and a look at a group reads dozens."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = b""
        # A short answer is no sign of the end here.
        while piece := os.read(descriptor, _PIECE_BYTES):
            data += piece
        return data
    finally:
        os.close(descriptor)


def _environment_start(pid: int) -> int | None:
    """Where in memory its environment begins: ``env_start``, field 50, 0 within execve; None when it has ended."""
    try:
        fields = (PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return None
    return int(fields[47]) if len(fields) > 47 and fields[0].decode() not in ENDED_STATES else None
