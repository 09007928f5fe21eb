"""Signals to everything that lives on one terminal."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from signal import SIGKILL, Signals

from teleclaude.process.proctable import ProcessStat, all_processes
from teleclaude.tasks import send_signal

MOST_LOOKS = 100
EMPTY_LOOKS = 10
"""What lives for a moment and forks may be missed by a look, but hardly by so many in a row."""


def signal_session(leader: int, signals: Iterable[Signals]) -> int:
    """Signal every process of the kernel session that ``leader`` leads, background jobs included. Blocking.

    A process that left the session by setsid(2) did so on purpose and is spared, and so is one of another user (sudo):
    the end of its terminal tells it. Answers how many there were.
    """
    members = _members(leader)
    for number in signals:
        for member in members:
            with suppress(PermissionError):
                send_signal(member.pid, member.start_time, number)
    return len(members)


def kill_session(leader: int) -> bool:
    """Kill every process of the session, also one that forks meanwhile; whether none is left. Blocking.

    Whole process groups are killed: of these the kernel lets none get away by forking, as it could between two signals.
    """
    known: set[int] = set()
    empty, enough = 0, 1
    for _ in range(MOST_LOOKS):
        members = _members(leader)
        empty = 0 if members else empty + 1
        if empty >= enough:
            return True
        found = {member.pid for member in members}
        if known and found - known:
            enough = EMPTY_LOOKS
        known |= found
        for group in {member.group for member in members}:
            _kill_group(group)
    return False


def _kill_group(group: int) -> None:
    # 0 and 1 mean something else to killpg(2).
    if group > 1 and group != os.getpgrp():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, SIGKILL)


def _members(leader: int) -> list[ProcessStat]:
    return [stat for stat in all_processes() if stat.session == leader and not stat.has_ended]
