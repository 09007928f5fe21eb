"""What is sent next, and when: the budget of a chat, shared by its topics. Pure: times come in as monotonic seconds.

A group takes 20 sends and edits in any minute, whatever topics they go to, and about one a second. What is said has a
``Rank``; each rank may use the budget only up to its own mark, so that for a question there is always room. Within a
rank the topic that was served longest ago comes first, and within a topic the order stays. Of live edits the newest
replaces one that waits, and when many topics share the budget they become digests, then stop. What has waited long
counts as of the next higher rank, so that nobody who presses keys all the time keeps others from being said.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

WINDOW_SECONDS = 60.0
MARGIN_SECONDS = 0.25
"""The server's minute and ours do not begin together."""

DIGEST_SECONDS = 20.0
SILENT_SECONDS = 90.0
"""How long a topic would wait between two live edits before they become digests, or stop."""

MAX_TOPICS = 2000
MAX_AT_ONCE = 10
"""So many messages one call sends at most: an album."""


class Rank(IntEnum):
    URGENT = 0
    """Questions, approvals, failures."""
    REPLY = 1
    """Somebody waits for it."""
    FINAL = 2
    """It has to be said; a minute later will do."""
    LIVE = 3
    """Worth something now or never."""
    SIGN = 4
    """How a topic looks in the list: its title and icon."""


PATIENCE_SECONDS: Mapping[Rank, float] = {Rank.FINAL: 30.0, Rank.SIGN: 45.0}
"""How long something waits before it counts as of the next higher rank."""


class Detail(StrEnum):
    """How much of the running output is shown."""

    LIVE = "live"
    DIGEST = "digest"
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Limits:
    """``marks``: up to how many of ``per_window`` each rank may use. ``spacing`` are seconds between two calls."""

    per_window: int
    spacing: float
    marks: Mapping[Rank, int]


GROUP = Limits(20, 1.05, {Rank.URGENT: 20, Rank.REPLY: 15, Rank.FINAL: 13, Rank.LIVE: 9, Rank.SIGN: 9})
PRIVATE = Limits(56, 1.05, {Rank.URGENT: 56, Rank.REPLY: 50, Rank.FINAL: 46, Rank.LIVE: 38, Rank.SIGN: 38})


@dataclass(slots=True)
class Job:
    """Something to be said in ``topic`` ("" is the chat itself), not before ``ready``. ``key`` names what a newer job
    replaces. ``id`` is its row in the journal, None for what may be forgotten.
    """

    topic: str
    rank: Rank
    doc: dict[str, Any]
    key: str | None = None
    id: int | None = None
    ready: float = 0.0
    last: bool = False
    """Waits until nothing else is to be said in its topic."""
    attempts: int = 0
    busy: bool = False
    """It is being sent at this moment: it is replaced by nothing, and what comes under its name is one more."""
    since: float | None = None
    """When the first one of its key was queued."""

    @property
    def messages(self) -> int:
        """How many of the budget it takes at once."""
        return min(max(1, len(self.doc.get("files", ()))), MAX_AT_ONCE)


@dataclass(slots=True)
class Plan:
    """The queue and the budget of one chat."""

    limits: Limits = GROUP
    _used: deque[float] = field(default_factory=deque)
    _paused: float = 0.0
    _jobs: list[Job] = field(default_factory=list)
    _served: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _lively: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _aged_last: bool = False

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def jobs(self) -> Iterable[Job]:
        return tuple(self._jobs)

    def add(self, job: Job, now: float) -> Job | None:
        """Queue it. Answers the job that it replaced, which keeps its place in the order for the new one."""
        if job.rank is Rank.LIVE:
            _touch(self._lively, job.topic, now)
        job.since = now if job.since is None else job.since
        if job.key is not None:
            for place, other in enumerate(self._jobs):
                if other.key == job.key and not other.busy:
                    job.since = other.since
                    if job.id is None:
                        job.ready = min(job.ready, other.ready)
                        job.rank = min(job.rank, other.rank)
                        job.doc = other.doc | job.doc
                    self._jobs[place] = job
                    return other
        self._jobs.append(job)
        return None

    def find(self, key: str) -> Job | None:
        """What waits under this key."""
        return next((job for job in self._jobs if job.key == key and not job.busy), None)

    def remove(self, job: Job) -> None:
        """It was said, or need not be."""
        self._jobs = [other for other in self._jobs if other is not job]

    def forget(self, key: str) -> None:
        """Drop what waits under this key and need not be said."""
        self._jobs = [job for job in self._jobs if job.key != key or job.id is not None]

    def drop(self, topic: str) -> None:
        """Forget everything that is to be said in ``topic``."""
        self._jobs = [job for job in self._jobs if job.topic != topic]

    def spent(self, now: float, messages: int = 1) -> None:
        """A call was made; refused ones count, too."""
        self._used.extend([now] * messages)

    def answered(self, now: float) -> None:
        """The last call is over: it may have reached the server, and been counted there, as late as now."""
        last, count = (self._used[-1], self._used.count(self._used[-1])) if self._used else (now, 0)
        if last < now:
            for _ in range(count):
                self._used.pop()
            self._used.extend([now] * count)

    def pause(self, until: float) -> None:
        """Say nothing at all before ``until``: the server asked for it."""
        self._paused = max(self._paused, until)

    def paused(self, now: float) -> float:
        """Seconds left of a pause."""
        return max(0.0, self._paused - now)

    def served(self, topic: str, now: float) -> None:
        _touch(self._served, topic, now)

    def used(self, now: float) -> int:
        """Calls within the window that ends now."""
        while self._used and self._used[0] <= now - WINDOW_SECONDS - MARGIN_SECONDS:
            self._used.popleft()
        return len(self._used)

    def rank(self, job: Job, now: float) -> Rank:
        """What it counts as by now."""
        patience = PATIENCE_SECONDS.get(job.rank)
        if patience is None or job.since is None or now - job.since < patience:
            return job.rank
        return Rank(job.rank - 1)

    def wait(self, rank: Rank, now: float, messages: int = 1) -> float:
        """Seconds until so many ``messages`` of ``rank`` may be said."""
        used = self.used(now)
        wait = self.paused(now)
        if self._used:
            wait = max(wait, self._used[-1] + self.limits.spacing - now)
        over = used + messages - 1 - self.limits.marks[rank]
        if over >= 0 and used:
            wait = max(wait, self._used[min(over, used - 1)] + WINDOW_SECONDS + MARGIN_SECONDS - now)
        return max(0.0, wait)

    def next(self, now: float) -> Job | None:
        """What may be said now, by order of rank, then of who waited longest; None while nothing may.

        A lower rank has less room than a higher one, so it has nothing while that one waits. What has become of a rank
        by waiting takes turns with what is of it.
        """
        ready = [job for job in self._jobs if job.ready <= now and not self._held(job)]
        if not ready:
            return None
        rank = min(self.rank(job, now) for job in ready)
        own = [job for job in ready if job.rank is rank]
        aged = [job for job in ready if job.rank > rank and self.rank(job, now) is rank]
        turn = aged if aged and not (own and self._aged_last) else own
        first = min(turn, key=lambda job: self._served.get(job.topic, -1.0))
        if self.wait(rank, now, first.messages) > 0:
            return None
        self._aged_last = turn is aged
        return first

    def delay(self, now: float) -> float | None:
        """Seconds until it is worth asking again; None when nothing is queued."""
        waits = [
            max(job.ready - now, self.wait(self.rank(job, now), now, job.messages))
            for job in self._jobs
            if not self._held(job)
        ]
        return min(waits, default=None)

    def detail(self, now: float) -> Detail:
        """How live output is shown, by how many topics share what is left for it."""
        while self._lively and next(iter(self._lively.values())) < now - WINDOW_SECONDS:
            self._lively.popitem(last=False)
        interval = len(self._lively) * WINDOW_SECONDS / self.limits.marks[Rank.LIVE]
        if interval > SILENT_SECONDS:
            return Detail.SILENT
        return Detail.DIGEST if interval > DIGEST_SECONDS else Detail.LIVE

    def _held(self, job: Job) -> bool:
        """The end of a topic waits for the rest of it, and within a topic and rank the order stays.

        Uploads go one at a time, whatever topic they are for, and what comes after one does not wait for it.
        """
        if job.busy or (is_upload(job) and any(other.busy and is_upload(other) for other in self._jobs)):
            return True
        for other in self._jobs:
            if other is job:
                if not job.last:
                    return False
                continue
            if other.topic != job.topic or (is_upload(other) and not job.last):
                continue
            if job.last and other.rank < Rank.LIVE and not other.last:
                return True
            if not job.last and other.rank is job.rank and not other.last:
                return True
        return False


def is_upload(job: Job) -> bool:
    """Whether it is so large that nothing else may wait until it is there."""
    return job.doc.get("do") in ("file", "album")


def _touch(known: OrderedDict[str, float], topic: str, now: float) -> None:
    known[topic] = now
    known.move_to_end(topic)
    if len(known) > MAX_TOPICS:
        known.popitem(last=False)


def joined(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """The newer one, which is silent only when both are."""
    joined = old | new
    if "silent" in old and "silent" in new:
        joined["silent"] = bool(old["silent"]) and bool(new["silent"])
    return joined
