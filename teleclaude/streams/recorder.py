"""The process that records a generation: who it is, whether it lives, waiting for its end, giving it up."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
from dataclasses import dataclass
from pathlib import Path

import structlog

from teleclaude.errors import DeadlineError
from teleclaude.tasks import process_start_time, send_signal, watch_process

log = structlog.get_logger(__name__)

_PROC = Path("/proc")
_REVOKED = b"revoked\n"
_NEEDED_NONE = b"none\n"
_STAT_START_FIELD = 19  # field 22 of proc_pid_stat(5), counted from the one after the name
KILL_SECONDS = 2.0
CLAIM_SECONDS = 0.2
_POLL_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class RecorderProcess:
    """One recorder, named for good; ``start_time`` is in ticks since boot, None where the system does not tell."""

    pid: int
    start_time: int | None


@dataclass(frozen=True, slots=True)
class Claim:
    """What a generation's pid file says.

    ``barred``: no recorder can start any more. ``revoked``: one should have, so what it was to record is missing.
    With neither, ``process`` None is a claim by a process that is not written down yet, or could not be.
    """

    process: RecorderProcess | None
    barred: bool = False
    revoked: bool = False


@functools.cache
def this_boot() -> str:
    """Identifies the machine's run since its start; empty where the system does not tell."""
    try:
        return (_PROC / "sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def read_claim(pid_file: Path) -> Claim | None:
    """None as long as nobody has claimed the generation."""
    try:
        data = pid_file.read_bytes()
    except FileNotFoundError:
        return None
    if data in (_REVOKED, _NEEDED_NONE):
        return Claim(None, barred=True, revoked=data == _REVOKED)
    return Claim(_parse(data))


def revoke(pid_file: Path) -> bool:
    """Forbid a recorder that has not started yet to start ever; False when it was faster."""
    return _claim(pid_file, _REVOKED)


def bar(pid_file: Path) -> bool:
    """Say of a generation that it needs no recorder; False when it has one."""
    return _claim(pid_file, _NEEDED_NONE)


def _claim(pid_file: Path, what: bytes) -> bool:
    try:
        descriptor = os.open(pid_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        return False
    try:
        os.write(descriptor, what)
    finally:
        os.close(descriptor)
    return True


def is_alive(process: RecorderProcess) -> bool | None:
    """None when a process with that number runs and nothing tells whether it is the recorder."""
    now = process_start_time(process.pid)
    if now is None:
        return False
    if process.start_time is None:
        return None
    return now == process.start_time


def wake(process: RecorderProcess) -> bool:
    """Let a recorder go on that somebody stopped; whether it was stopped. What waits in its pipe is not lost then."""
    try:
        state = (_PROC / str(process.pid) / "stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state == b"T" and send_signal(process.pid, process.start_time, signal.SIGCONT)


async def end_of(process: RecorderProcess, timeout: float) -> bool:
    """Wait for the recorder's end; False when it still lived after ``timeout`` seconds."""
    async with watch_process(process.pid, process.start_time) as watch:
        return await watch.wait(timeout)


async def force_end(process: RecorderProcess, timeout: float, *, operation: str) -> bool:
    """Wait for the recorder's end and kill it when ``timeout`` seconds have passed; whether it had to be killed.

    Raises ``DeadlineError`` when it lives on, or when nothing proves that the process is the recorder.
    """
    if await end_of(process, timeout):
        return False
    if process.start_time is None:
        raise DeadlineError(
            f"the old recorder (pid {process.pid}) does not end and cannot be identified; end it by hand",
            operation=operation,
        )
    log.warning("recorder_killed", pid=process.pid)
    send_signal(process.pid, process.start_time, signal.SIGKILL)
    if not await end_of(process, KILL_SECONDS):
        raise DeadlineError(
            f"the old recorder (pid {process.pid}) does not end though it was killed; look at what it waits for",
            operation=operation,
        )
    return True


async def claimed_process(pid_file: Path, prefix: str) -> RecorderProcess | None:
    """Who claimed a generation, for a claim that was just made or that a full disk left empty; None: it has ended."""
    deadline = asyncio.get_running_loop().time() + CLAIM_SECONDS
    while asyncio.get_running_loop().time() < deadline:
        claim = read_claim(pid_file)
        if claim is None or claim.barred:
            return None
        if claim.process is not None:
            return claim.process
        await asyncio.sleep(_POLL_SECONDS)
    return await asyncio.to_thread(find_by_prefix, prefix)


def find_by_prefix(prefix: str) -> RecorderProcess | None:
    """The running ``split`` whose last argument is ``prefix``; a look at every process, so not for the loop."""
    wanted = os.fsencode(prefix)
    for entry in _PROC.iterdir() if _PROC.is_dir() else ():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes().rstrip(b"\0").split(b"\0")
        except OSError:
            continue
        if words[-1] == wanted:
            start_time = process_start_time(int(entry.name))
            if start_time is not None:
                return RecorderProcess(int(entry.name), start_time)
    return None


def writing_position(process: RecorderProcess, file: Path) -> int | None:
    """Where in ``file`` the recorder will write next, from proc_pid_fdinfo(5); None when that cannot be known."""
    if not is_alive(process):
        return None
    descriptors = _PROC / str(process.pid) / "fd"
    try:
        wanted = file.stat()
        for number in range(16):  # split has four: its standard ones and the segment
            try:
                status = (descriptors / str(number)).stat()
            except FileNotFoundError:
                continue
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino):
                fields = (_PROC / str(process.pid) / "fdinfo" / str(number)).read_text()
                return int(fields.split("pos:", 1)[1].split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return None
    return None


def _parse(data: bytes) -> RecorderProcess | None:
    first, parenthesis, rest = data.rpartition(b")")
    try:
        if not parenthesis:
            pid, start_time = int(data), None
        else:
            pid, start_time = int(first.split(b" ", 1)[0]), int(rest.split()[_STAT_START_FIELD])
    except (ValueError, IndexError):
        return None
    return RecorderProcess(pid, start_time) if pid > 1 else None
