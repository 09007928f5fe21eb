"""Signals to everything that lives on one terminal."""

from __future__ import annotations

from collections.abc import Iterable
from signal import Signals

from teleclaude.process.proctable import all_processes
from teleclaude.tasks import send_signal


def signal_session(leader: int, signals: Iterable[Signals]) -> int:
    """Signal every process of the kernel session that ``leader`` leads, background jobs included. Blocking.

    A process that left the session by setsid(2) did so on purpose and is spared. Answers how many were signalled.
    """
    members = [stat for stat in all_processes() if stat.session == leader and not stat.has_ended]
    for number in signals:
        for member in members:
            send_signal(member.pid, member.start_time, number)
    return len(members)
