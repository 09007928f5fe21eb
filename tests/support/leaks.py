"""What a test must not leave behind: processes, threads, descriptors, temporary files."""

from __future__ import annotations

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

MARK = "TC_TEST_RUN"
"""Environment variable that every process started by this run inherits, so that a daemonised one is found too."""

GRACE_SECONDS = 2.0
"""How long what was told to end may take to be gone."""

_PROC = Path("/proc")

_OLD_SECONDS = 10.0
"""A process that has been somebody else's for so long stays somebody else's."""

_foreign: dict[str, set[int]] = {}
"""Per mark: ids of old processes of others. Most of what a machine runs are these, so they are looked at once."""


@dataclass(frozen=True, slots=True)
class Process:
    """One process; ``started`` (clock ticks since boot) tells it from a later one with the same ``pid``."""

    pid: int
    started: int
    line: str

    def __str__(self) -> str:
        return f"process {self.pid} ({self.line})"


@dataclass(frozen=True, slots=True)
class Leaks:
    """What is there at one moment. The difference of two moments is what was left behind."""

    processes: frozenset[Process]
    threads: frozenset[threading.Thread]
    descriptors: frozenset[tuple[int, str]]
    files: frozenset[Path]

    def describe_new(self, earlier: Leaks) -> list[str]:
        """One line per thing that was not there at the ``earlier`` moment."""
        return [
            *(str(process) for process in self.processes - earlier.processes),
            *(f"thread {thread.name}" for thread in self.threads - earlier.threads),
            *(f"descriptor {number} ({target})" for number, target in self.descriptors - earlier.descriptors),
            *(f"temporary file {path}" for path in self.files - earlier.files),
        ]


def look(mark: str, folder: Path) -> Leaks:
    """What this test run owns right now: its processes carry ``mark``, its temporary files are in ``folder``."""
    return Leaks(
        processes=_processes(mark),
        threads=frozenset(threading.enumerate()),
        descriptors=_descriptors(),
        files=frozenset(folder.iterdir()),
    )


def wait_until_clean(earlier: Leaks, see: Callable[[], Leaks]) -> list[str]:
    """What is still there after a grace, as lines to read. Its processes are killed: later tests start clean."""
    deadline = time.monotonic() + GRACE_SECONDS
    now = see()
    if now.descriptors - earlier.descriptors:
        gc.collect()
    while (left := now.describe_new(earlier)) and time.monotonic() < deadline:
        time.sleep(0.01)
        now = see()
    for process in now.processes - earlier.processes:
        _kill(process)
    return left


def _kill(process: Process) -> None:
    try:
        os.kill(process.pid, signal.SIGKILL)
        os.waitpid(process.pid, os.WNOHANG)
    except (ProcessLookupError, ChildProcessError):
        pass


def _processes(mark: str) -> frozenset[Process]:
    if not (_PROC / "self/stat").exists():
        children = psutil.Process().children(recursive=True)
        return frozenset(Process(child.pid, int(child.create_time()), child.name()) for child in children)
    wanted = f"{MARK}={mark}".encode()
    with os.scandir(_PROC) as entries:
        pids = {int(entry.name) for entry in entries if entry.name.isdigit()}
    foreign = _foreign[mark] = _foreign.get(mark, set()) & pids
    stats = {pid: stat for pid in pids - foreign if (stat := _read_stat(pid))}
    family = _descendants(os.getpid(), {pid: parent for pid, (parent, _) in stats.items()})
    ours = {pid for pid in stats if pid in family or wanted in _read(f"{pid}/environ").split(b"\0")}
    old = (time.clock_gettime(time.CLOCK_BOOTTIME) - _OLD_SECONDS) * os.sysconf("SC_CLK_TCK")
    foreign.update(pid for pid in stats.keys() - ours if stats[pid][1] < old)
    return frozenset(Process(pid, stats[pid][1], _command_line(pid)) for pid in ours - {os.getpid()})


def _read_stat(pid: int) -> tuple[int, int] | None:
    """Parent and start time (proc(5), fields 4 and 22); the command name before them may hold any character."""
    fields = _read(f"{pid}/stat").rpartition(b")")[2].split()
    return (int(fields[1]), int(fields[19])) if fields else None


def _descendants(root: int, parents: dict[int, int]) -> set[int]:
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {root}


def _command_line(pid: int) -> str:
    words = _read(f"{pid}/cmdline").split(b"\0")
    return b" ".join(words).decode(errors="replace").strip() or "ended, but nobody waited for it"


def _read(name: str) -> bytes:
    try:
        return (_PROC / name).read_bytes()
    except OSError:
        return b""


def _descriptors() -> frozenset[tuple[int, str]]:
    folder = _PROC / "self/fd"
    if not folder.exists():
        return frozenset()
    return frozenset((int(link.name), target) for link in folder.iterdir() if (target := _target(link)))


def _target(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:
        return ""
