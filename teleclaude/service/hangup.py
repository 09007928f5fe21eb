"""Signals to everything that lives on one terminal."""

from __future__ import annotations

from collections.abc import Iterable
from signal import SIGKILL, Signals

from teleclaude.process.proctable import ProcessStat, all_processes
from teleclaude.tasks import send_signal

KILL_ROUNDS = 100
"""Looks at all processes for what was forked while others were being killed."""


def signal_session(leader: int, signals: Iterable[Signals]) -> int:
    """Signal every process of the kernel session that ``leader`` leads, background jobs included. Blocking.

    A process that left the session by setsid(2) did so on purpose and is spared. Answers how many were signalled.
    """
    members = _members(leader)
    for number in signals:
        for member in members:
            send_signal(member.pid, member.start_time, number)
    return len(members)


def kill_session(leader: int) -> bool:
    """Kill every process of the session, also what forks faster than one look takes; whether none is left. Blocking."""
    return any(signal_session(leader, [SIGKILL]) == 0 for _ in range(KILL_ROUNDS))


def _members(leader: int) -> list[ProcessStat]:
    return [stat for stat in all_processes() if stat.session == leader and not stat.has_ended]
