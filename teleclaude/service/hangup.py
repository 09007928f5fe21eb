"""Signals to everything that lives on one terminal.

``leader`` leads a kernel session, or is about to: tmux tells the number of a process that it has forked, and on a busy
machine that one may not have run yet, so that no session is its own. ``started`` tells it from any other of its number.
"""

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


def signal_session(leader: int, started: int, signals: Iterable[Signals]) -> int:
    """Signal every process of the leader's session, background jobs included. Blocking.

    A process that left the session by setsid(2) did so on purpose and is spared, and so is one of another user (sudo):
    the end of its terminal tells it. Answers how many there were.
    """
    members = _members(leader, started)
    for number in signals:
        for member in members:
            with suppress(PermissionError):
                send_signal(member.pid, member.start_time, number)
    return len(members)


def kill_session(leader: int, started: int) -> bool:
    """Kill every process of the session, also one that forks meanwhile; whether none is left. Blocking.

    Whole process groups are killed: of these the kernel lets none get away by forking, as it could between two signals.
    A leader without a session is still in a group of tmux's own, and is killed alone.
    """
    known: set[int] = set()
    empty, enough = 0, 1
    for _ in range(MOST_LOOKS):
        members = _members(leader, started)
        empty = 0 if members else empty + 1
        if empty >= enough:
            return True
        found = {member.pid for member in members}
        if known and found - known:
            enough = EMPTY_LOOKS
        known |= found
        for member in members:
            if member.session != leader:
                _kill(member)
        for group in {member.group for member in members if member.session == leader}:
            _kill_group(group)
    return False


def _kill_group(group: int) -> None:
    # 0 and 1 mean something else to killpg(2).
    if group > 1 and group != os.getpgrp():
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, SIGKILL)


def _kill(process: ProcessStat) -> None:
    with suppress(PermissionError):
        send_signal(process.pid, process.start_time, SIGKILL)


def _members(leader: int, started: int) -> list[ProcessStat]:
    return [
        stat
        for stat in all_processes()
        if not stat.has_ended and (stat.session == leader or (stat.pid, stat.start_time) == (leader, started))
    ]
