"""Control over everything one execution started: its process group, and the descendants that left it.

The leader was started in a session of its own, so session == group == pid, saved once and never looked up. While the
leader is not reaped its number cannot pass to a stranger; ``release`` ends that time and every signal with it.
Descendants that called setsid are found by descent, and once orphaned by the daemon's being their subreaper plus the
execution's mark in their environment, or by its control group. Nothing else is ever signalled.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import structlog

from teleclaude.model import ProcessIdentity
from teleclaude.process.cgroup import NO_CAPS_HIT, Cgroup
from teleclaude.process.orphans import is_subreaper, reap
from teleclaude.process.proctable import (
    STOPPED_STATES,
    ProcessStat,
    adopted_children,
    all_processes,
    child_lister,
    has_variable,
    read_stat,
)
from teleclaude.tasks import send_signal

log = structlog.get_logger(__name__)

T = TypeVar("T")

MARK_VARIABLE = "TELECLAUDE_EXECUTION_ID"
"""Environment variable that names the execution to whatever it starts, and to us what it left behind."""

PAUSE_SECONDS = 1.0
KILL_SECONDS = 5.0
_EASE_SECONDS = 0.15
_FIRST_POLL_SECONDS = 0.002
_POLL_SECONDS = 0.05
_GLANCE_PROCESSES = 16


class ProcessGroup:
    """One execution's processes. Methods that look at processes run in a thread; ``signal_group`` is instant."""

    def __init__(self, leader: ProcessIdentity, execution_id: str, cgroup: Cgroup | None = None) -> None:
        if leader.pid <= 1:
            raise ValueError(f"{leader.pid} is no process group of ours")
        self.leader = leader
        self._mark = f"{MARK_VARIABLE}={execution_id}".encode()
        self._cgroup = cgroup
        self._released = False
        self.caps_hit = NO_CAPS_HIT
        """What its control group's caps brought about; known once ``remove`` was called."""
        self._escaped: set[tuple[int, int]] = set()
        self._strangers: set[tuple[int, int]] = set()

    def signal_group(self, sig: signal.Signals) -> bool:
        """Signal the process group alone, at once; False when nobody in it may be signalled."""
        if self._released:
            return False
        try:
            os.killpg(self.leader.pid, sig)
        except ProcessLookupError:
            return False
        except PermissionError:
            log.debug("signal_refused", pid=self.leader.pid, signal=sig.name)
            return False
        return True

    async def send(self, *signals: signal.Signals) -> None:
        """Signal the group and every descendant outside it, with each of ``signals`` in turn."""
        await asyncio.to_thread(self._signal_all, *signals)

    async def stop(self, timeout: float = PAUSE_SECONDS) -> bool:
        """SIGSTOP, verified: True when every member is stopped, False when some could not be within ``timeout``.

        It takes milliseconds, longer only on a machine that has no time for the members to stop. A member in an
        uninterruptible wait counts at the deadline: it stops before it runs its own code again.
        """
        if not _all_stopped(await self._until(self._stop_and_ease, _all_stopped, _EASE_SECONDS)):
            states = await self._until(self._stop_once, _all_stopped, timeout - _EASE_SECONDS)
            return _all_stopped(states - {"D"})
        return True

    async def kill(self, timeout: float = KILL_SECONDS) -> list[ProcessStat]:
        """SIGKILL until nobody is left; answers who still lived after ``timeout`` seconds."""
        return await self._until(self._kill_once, lambda left: not left, timeout)

    async def wait_empty(self, timeout: float) -> bool:
        """Wait until no member lives; False after ``timeout`` seconds."""
        return self.is_plainly_empty() or not await self._until(self._survivors, lambda left: not left, timeout)

    def is_plainly_empty(self) -> bool:
        """Whether a glance shows that no member lives; False means that it takes a closer look.

        A leader that has ended has no children any more: they are its subreaper's, which is us, and so its first
        thread's. Who is alive descends from one of those. So when that thread's children are the leader and some that
        are known to be strangers, nobody is. The list may miss somebody while another one is reaped, so it is read
        twice. Reads a few short files of /proc, so it may be called on the loop.
        """
        if self._released or self._cgroup is not None or not is_subreaper():
            return False
        return self._leader_has_ended() and self._sees_strangers_only() and self._sees_strangers_only()

    def _leader_has_ended(self) -> bool:
        try:
            return os.waitid(os.P_PID, self.leader.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return False

    def _sees_strangers_only(self) -> bool:
        children = adopted_children()
        if children is None or len(children) > _GLANCE_PROCESSES:
            return False
        others = (read_stat(pid) for pid in children if pid != self.leader.pid)
        return all(stat is not None and (stat.pid, stat.start_time) in self._strangers for stat in others)

    def members(self) -> list[ProcessStat]:
        """Everybody alive now, the leader included. Reads /proc."""
        return [stat for stat in self._find().values() if not stat.has_ended]

    def release(self) -> None:
        """The leader is about to be reaped: from now on nobody is signalled."""
        self._released = True

    @property
    def has_remains(self) -> bool:
        """Whether there is something for ``remove`` to do."""
        return self._cgroup is not None

    def remove(self) -> None:
        """Remove the control group, once released. Removes directories: call it in a thread."""
        if self._cgroup is not None:
            self.caps_hit = self._cgroup.caps_hit()
            self._cgroup.remove()

    async def _until(self, attempt: Callable[[], T], good: Callable[[T], bool], timeout: float) -> T:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        pause = _FIRST_POLL_SECONDS
        while not good(answer := await asyncio.to_thread(attempt)) and loop.time() < deadline:
            await asyncio.sleep(pause)
            pause = min(pause * 2, _POLL_SECONDS)
        return answer

    def _signal_all(self, *signals: signal.Signals) -> None:
        # Looked up first: once its parent has died of the signal, a descendant is harder to find.
        members = self.members()
        for sig in signals:
            self.signal_group(sig)
            for stat in members:
                if stat.group != self.leader.pid:
                    self._signal_one(stat, sig)

    def _stop_once(self) -> frozenset[str]:
        self._signal_all(signal.SIGSTOP)
        return frozenset(stat.state for stat in self.members())

    def _stop_and_ease(self) -> frozenset[str]:
        """Stop everybody, and let a stopped child of vfork go on to its exec: its parent cannot stop before that."""
        self._signal_all(signal.SIGSTOP)
        members = self.members()
        stuck = {stat.pid for stat in members if stat.state == "D"}
        for stat in members:
            if stat.parent in stuck and stat.state in STOPPED_STATES:
                self._signal_one(stat, signal.SIGCONT)
        return frozenset(stat.state for stat in members)

    def _kill_once(self) -> list[ProcessStat]:
        if self._cgroup is not None and not self._released:
            self._cgroup.kill()
        self._signal_all(signal.SIGKILL)
        left = self._survivors()
        for stat in left:
            self._signal_one(stat, signal.SIGKILL)
        return left

    def _survivors(self) -> list[ProcessStat]:
        # A process may get a new parent between two reads of /proc, so that nobody is there is looked up twice.
        return self.members() or self.members()

    def _signal_one(self, stat: ProcessStat, sig: signal.Signals) -> None:
        try:
            send_signal(stat.pid, stat.start_time, sig)
        except PermissionError:
            log.debug("signal_refused", pid=stat.pid, signal=sig.name)

    def _find(self) -> dict[int, ProcessStat]:
        found: dict[int, ProcessStat] = {}
        leader = None if self._released else read_stat(self.leader.pid)
        if leader is None:
            return found
        children = child_lister()
        # Who loses its parent while we walk down is among the orphans by the time these are listed.
        self._descend([leader], children, found)
        self._descend(self._orphans(children), children, found)
        if self._cgroup is not None:
            self._descend(filter(None, map(read_stat, self._cgroup.pids())), children, found)
        self._escaped.update((stat.pid, stat.start_time) for stat in found.values() if stat.session != self.leader.pid)
        return found

    def _descend(
        self,
        roots: Iterable[ProcessStat],
        children: Callable[[int], Iterable[int]],
        found: dict[int, ProcessStat],
    ) -> None:
        waiting = list(roots)
        while waiting:
            stat = waiting.pop()
            if stat.pid in found:
                continue
            found[stat.pid] = stat
            offspring = map(read_stat, children(stat.pid))
            waiting += [child for child in offspring if child and child.parent == stat.pid]

    def _orphans(self, children: Callable[[int], Iterable[int]]) -> Iterator[ProcessStat]:
        """Who of ours lost its parent. Without a subreaper: who stayed in the session, or was seen before."""
        adopting = is_subreaper()
        candidates = filter(None, map(read_stat, children(os.getpid()))) if adopting else all_processes()
        for stat in candidates:
            if stat.pid == self.leader.pid:
                continue
            known = stat.session == self.leader.pid or (stat.pid, stat.start_time) in self._escaped
            if stat.has_ended:
                # A zombie's environment is gone: who was never seen alive is the sweeper's.
                if known and adopting:
                    reap(stat.pid)
            elif known or (adopting and self._is_marked(stat)):
                yield stat

    def _is_marked(self, stat: ProcessStat) -> bool:
        # Nobody comes by our mark later, so one look is enough; the daemon has many children.
        identity = (stat.pid, stat.start_time)
        if identity in self._strangers:
            return False
        if has_variable(stat.pid, self._mark):
            return True
        self._strangers.add(identity)
        return False


def _all_stopped(states: frozenset[str]) -> bool:
    return states <= {*STOPPED_STATES}
