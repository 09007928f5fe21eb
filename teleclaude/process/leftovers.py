"""Ending what an execution left running when the daemon died without a chance to."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress

import structlog

from teleclaude.model import ProcessIdentity
from teleclaude.process.cgroup import Cgroup, CgroupRoot
from teleclaude.process.group import MARK_VARIABLE
from teleclaude.process.proctable import ProcessStat, all_processes, child_lister, has_variable, read_stat
from teleclaude.tasks import send_signal

log = structlog.get_logger(__name__)

_ROUNDS = 20
_ROUND_SECONDS = 0.05


async def end_leftovers(leader: ProcessIdentity | None, execution_id: str) -> list[ProcessIdentity]:
    """Kill what is left of a lost execution; answers who could not be ended. ``leader`` None: its start was not seen.

    Numbers may have passed to strangers meanwhile. So only these are taken for its own: who carries the execution's
    mark, which nobody else has; the leader itself, known by when it started, with its session; who descends from these.
    """
    left: list[ProcessStat] = []
    for _ in range(_ROUNDS):
        left = await asyncio.to_thread(_kill, leader, execution_id)
        if not left:
            break
        await asyncio.sleep(_ROUND_SECONDS)
    return [ProcessIdentity(stat.pid, stat.start_time) for stat in left]


async def end_left_groups(root: CgroupRoot) -> None:
    """Kill what is in the control groups below ``root``, of whatever descent and name, and remove these groups.

    For a daemon that has made none yet.
    """
    left: list[Cgroup] = []
    for _ in range(_ROUNDS):
        left = await asyncio.to_thread(_end_groups, root)
        if not left:
            return
        await asyncio.sleep(_ROUND_SECONDS)
    log.error("groups_left", groups=" ".join(group.directory.name for group in left))


def _end_groups(root: CgroupRoot) -> list[Cgroup]:
    for group in root.left():
        group.kill()
        group.remove()
    return root.left()


def find_leftovers(leader: ProcessIdentity | None, execution_id: str) -> list[ProcessStat]:
    """Who is alive of a lost execution. Reads /proc: call it in a thread."""
    mark = f"{MARK_VARIABLE}={execution_id}".encode()
    session = leader.pid if leader is not None and _is_alive(leader) else None
    earliest = 0 if leader is None else leader.start_time
    waiting = [
        stat
        for stat in all_processes()
        if stat.start_time >= earliest and (stat.session == session or has_variable(stat.pid, mark))
    ]
    children = child_lister()
    found: dict[int, ProcessStat] = {}
    while waiting:
        stat = waiting.pop()
        if stat.pid not in found:
            found[stat.pid] = stat
            offspring = map(read_stat, children(stat.pid))
            waiting += [child for child in offspring if child and child.parent == stat.pid]
    return [stat for stat in found.values() if not stat.has_ended]


def _is_alive(leader: ProcessIdentity) -> bool:
    stat = read_stat(leader.pid)
    return stat is not None and leader.start_time > 0 and stat.start_time == leader.start_time


def _kill(leader: ProcessIdentity | None, execution_id: str) -> list[ProcessStat]:
    left = find_leftovers(leader, execution_id)
    for stat in left:
        with suppress(PermissionError):
            send_signal(stat.pid, stat.start_time, signal.SIGKILL)
    return left
