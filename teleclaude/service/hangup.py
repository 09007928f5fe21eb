"""Signals to everything that lives on one terminal."""

from __future__ import annotations

from collections.abc import Iterable
from signal import SIGKILL, Signals

from teleclaude.process.proctable import ProcessStat, all_processes
from teleclaude.tasks import send_signal

MOST_LOOKS = 400
EMPTY_LOOKS = 20
"""What lives for a moment and forks may be missed by a look, but hardly by so many in a row."""


def signal_session(leader: int, signals: Iterable[Signals]) -> int:
    """Signal every process of the kernel session that ``leader`` leads, background jobs included. Blocking.

    A process that left the session by setsid(2) did so on purpose and is spared. Answers how many were signalled.
    """
    members = _members(leader)
    for number in signals:
        _signal(members, number)
    return len(members)


def kill_session(leader: int) -> bool:
    """Kill every process of the session, also what forks faster than one look takes; whether none is left. Blocking."""
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
        _signal(members, SIGKILL)
    return False


def _signal(members: Iterable[ProcessStat], number: Signals) -> None:
    for member in members:
        send_signal(member.pid, member.start_time, number)


def _members(leader: int) -> list[ProcessStat]:
    return [stat for stat in all_processes() if stat.session == leader and not stat.has_ended]
