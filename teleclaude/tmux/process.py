"""The processes of a pane, seen through the kernel: its terminal's foreground group and mode."""

from __future__ import annotations

import asyncio
import os
import signal
import termios
from contextlib import suppress
from pathlib import Path

from teleclaude.errors import ExitedError, ForbiddenError, UnavailableError
from teleclaude.model import PaneIdentity
from teleclaude.tasks import process_start_time, run_bounded

_PS_SECONDS = 2.0
_SETTLE_SECONDS = 0.3
_POLL_SECONDS = 0.005


async def foreground_group(pid: int) -> int | None:
    """The process group in the foreground of the terminal that ``pid`` leads a session on; None when there is none.

    Fields 6 and 8 of proc_pid_stat(5), or ps where there is no /proc.
    """
    if Path("/proc/self/stat").exists():
        try:
            stat = (Path("/proc") / str(pid) / "stat").read_bytes()
        except OSError:
            return None
        fields = stat[stat.rindex(b")") + 2 :].split()
        # What tmux has only just forked is still on the terminal that tmux itself may have been started on.
        group = int(fields[5]) if int(fields[3]) == pid else -1
    else:
        done = await run_bounded(
            ["ps", "-o", "tpgid=", "-p", str(pid)], operation="tmux.foreground", timeout=_PS_SECONDS
        )
        words = done.stdout.strip()
        group = int(words) if words.lstrip(b"-").isdigit() else -1
    return group if group > 1 else None


async def signal_foreground(pane: PaneIdentity, sig: signal.Signals) -> int:
    """Signal the foreground process group of ``pane`` and answer its number.

    Raises ``ExitedError`` when the pane's process has ended, ``ForbiddenError`` when the group is another user's and
    ``UnavailableError`` when the terminal has no foreground group.
    """
    if process_start_time(pane.pid) != pane.pid_start:
        raise ExitedError("the pane's process has ended; restart the session", operation="tmux.signal")
    group = await _settled_group(pane.pid)
    if group is None:
        raise UnavailableError("the terminal has no process in the foreground", operation="tmux.signal")
    try:
        os.killpg(group, sig)
    except ProcessLookupError as error:
        raise ExitedError("the foreground process has just ended", operation="tmux.signal") from error
    except PermissionError as error:
        raise ForbiddenError("the foreground process belongs to another user", operation="tmux.signal") from error
    return group


async def _settled_group(pid: int) -> int | None:
    """A process that tmux has just forked takes a moment to get its terminal."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + _SETTLE_SECONDS
    while True:
        group = await foreground_group(pid)
        if group is not None or loop.time() >= deadline:
            return group
        await asyncio.sleep(_POLL_SECONDS)


def is_cooked(tty: str) -> bool:
    """Whether the terminal collects whole lines (canonical mode), so that the kernel limits their length."""
    with suppress(OSError, termios.error):
        descriptor = os.open(tty, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return bool(termios.tcgetattr(descriptor)[3] & termios.ICANON)
        finally:
            os.close(descriptor)
    return False
