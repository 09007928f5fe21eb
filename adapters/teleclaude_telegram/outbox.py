"""The one way out: what is to be said waits in the journal, goes when the plan lets it, and stays until it has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import structlog

from teleclaude.api import Tasks
from teleclaude.clock import Clock
from teleclaude.errors import DeadlineError, IndeterminateError, TeleclaudeError, UnavailableError
from teleclaude_telegram.api import (
    ApiError,
    BadRequest,
    ChatMigrated,
    Forbidden,
    InvalidToken,
    NetworkError,
    ToldToWaitError,
    explain,
    is_of_the_chat,
    never_arrived,
)
from teleclaude_telegram.journal import Journal
from teleclaude_telegram.plan import MARGIN_SECONDS, WINDOW_SECONDS, Job, Plan, Rank, joined
from teleclaude_telegram.spool import held

log = structlog.get_logger(__name__)

SIGN_SECONDS = 3.0
"""What is over that soon is not worth a change of how a topic looks."""
UPLOADS = "telegram-uploads"
LOOK_AGAIN_SECONDS = 0.25
IDLE_SECONDS = 60.0
MAX_BACKOFF_SECONDS = 60.0
MAX_REFUSALS = 3
PUT_OFF_SECONDS = 3.0
MAX_PUT_OFF = 100
SAYINGS = ("say", "final", "question", "picture", "file", "album")

Rest = Callable[[], Awaitable[bool]]
"""What is left to do of a job, beside all others."""

Step = Callable[[Job], Awaitable[bool | Rest]]
"""Makes at most one call that counts, after ``Outbox.spend``. Answers whether the job is done with, or, where the call
takes long, what makes it.
"""


class Outbox:
    """``trouble`` is what is in the way now; empty when the last call went well."""

    def __init__(
        self, plan: Plan, journal: Journal, clock: Clock, tasks: Tasks, moved: Callable[[int], Awaitable[None]]
    ) -> None:
        self.plan = plan
        self._journal = journal
        self._clock = clock
        self._tasks = tasks
        self._moved = moved
        self._wake = asyncio.Event()
        self._sending = 0
        self._called = False
        self._ending = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._failures = 0
        self.trouble = ""

    @property
    def busy(self) -> bool:
        """Whether something is being sent at this moment."""
        return self._sending > 0

    async def finish(self, seconds: float) -> None:
        """Begin nothing more, and let what is being sent end: a topic that was made has to be written down."""
        self._ending = True
        try:
            async with asyncio.timeout(seconds):
                await self._idle.wait()
        except TimeoutError:
            log.warning("telegram_left_while_sending")

    async def load(self) -> None:
        """Take up what was not said, and what of the budget was used, before this start."""
        now, wall = self._clock.monotonic(), self._clock.now().timestamp()
        for at in await self._journal.spent(wall - WINDOW_SECONDS):
            self.plan.spent(now - max(0.0, wall - at))
        self.plan.pause(now + await self._journal.told_to_wait(wall))
        for row in await self._journal.unsaid():
            doc = row.doc | ({"again": True} if row.doc.get("sent") else {})
            self.plan.add(Job(row.topic, Rank(row.rank), doc, key=row.key, id=row.id, last=row.last), now)

    async def say(
        self,
        topic: str,
        rank: Rank,
        doc: dict[str, Any],
        *,
        key: str | None = None,
        last: bool = False,
        delay: float = 0.0,
    ) -> None:
        """Queue what must be said; it is durable when this returns. A queued one with ``key`` becomes this one."""
        now = self._clock.monotonic()
        waiting = None if key is None else self.plan.find(key)
        if waiting is not None and waiting.id is not None:
            waiting.doc, waiting.ready = joined(waiting.doc, doc), max(waiting.ready, now + delay)
            await self._journal.requeue(waiting.id, waiting.doc)
        else:
            row = await self._journal.queue(topic, rank, doc, key=key, last=last)
            self.plan.add(Job(topic, rank, doc, key=key, id=row, ready=now + delay, last=last), now)
        self._wake.set()

    async def settle(self, key: str, more: dict[str, Any]) -> None:
        """What waits under ``key`` is said as it is, with ``more``; the next one is another."""
        waiting = self.plan.find(key)
        if waiting is not None and waiting.id is not None:
            waiting.key, waiting.doc = None, waiting.doc | more
            await self._journal.settle(waiting.id, waiting.doc)

    def show(self, topic: str, doc: dict[str, Any], *, key: str, delay: float = 0.0, rank: Rank = Rank.LIVE) -> None:
        """Queue what is worth something only until the next of its kind."""
        now = self._clock.monotonic()
        self.plan.add(Job(topic, rank, doc, key=key, ready=now + delay), now)
        self._wake.set()

    def holds(self, key: str) -> bool:
        """Whether something under ``key`` is waiting that must be said, or being sent."""
        return any(job.key == key and job.id is not None for job in self.plan.jobs)

    def sign(self, topic: str, delay: float | None = None) -> None:
        """A topic is to look in the list as its session is, once there is room for that."""
        wait = SIGN_SECONDS if delay is None else delay
        self.show(topic, {"do": "title"}, key=f"title:{topic}", delay=wait, rank=Rank.SIGN)

    async def spend(self, messages: int = 1) -> None:
        """A call that counts is about to be made."""
        self._called = True
        await self._journal.spend(self._clock.now().timestamp(), WINDOW_SECONDS, messages)
        self.plan.spent(self._clock.monotonic(), messages)

    async def about_to_send(self, job: Job) -> None:
        """A call that counts and must not be made twice is about to be made for ``job``."""
        if job.id is not None and not job.doc.get("sent"):
            job.doc["sent"] = True
            await self._journal.requeue(job.id, job.doc)
        await self.spend(job.messages)

    async def run(self, step: Step) -> None:
        """Send, until ``finish``."""
        while not self._ending:
            now = self._clock.monotonic()
            job = self.plan.next(now)
            if job is not None:
                await self._attempt(job, step)
                continue
            delay = self.plan.delay(now)
            if delay is None:
                self._wake.clear()
                await self._woken()
            else:
                await self._clock.sleep(min(max(delay, 0.01), LOOK_AGAIN_SECONDS))

    async def _woken(self) -> None:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _attempt(self, job: Job, step: Step) -> None:
        self._called = False
        job.busy = True
        self._sending += 1
        self._idle.clear()
        rest = None
        try:
            rest = await self._try(job, lambda: step(job))
        finally:
            if rest is None:
                if self._called:
                    self.plan.answered(self._clock.monotonic())
                self._attempted(job)
        if rest is not None:
            self._tasks.spawn(self._beside(job, rest), name="upload", owner=UPLOADS)

    async def _beside(self, job: Job, rest: Rest) -> None:
        try:
            await self._try(job, rest)
        finally:
            self._attempted(job)
            self._wake.set()

    def _attempted(self, job: Job) -> None:
        job.busy = False
        self._sending -= 1
        if not self._sending:
            self._idle.set()

    async def _try(self, job: Job, work: Callable[[], Awaitable[bool | Rest]]) -> Rest | None:
        try:
            done = await work()
            if not isinstance(done, bool):
                return done
        except ApiError as error:
            await self._failed(job, error)
            return None
        except (UnavailableError, DeadlineError, IndeterminateError) as error:
            done = self._put_off(job, error)
        except TeleclaudeError as error:
            log.warning("telegram_not_rendered", do=job.doc.get("do"), topic=job.topic, error=str(error))
            done = True
        except Exception:
            # A defect in one kind of message must not keep all others from being said.
            log.exception("telegram_not_said", do=job.doc.get("do"), topic=job.topic)
            done = self._refused(job)
        else:
            if self._called:
                self._failures, self.trouble = 0, ""
        now = self._clock.monotonic()
        self.plan.served(job.topic, now)
        if done:
            await self._finish(job)
        return None

    async def _finish(self, job: Job) -> None:
        self.plan.remove(job)
        if job.id is not None:
            await self._journal.said(job.id)
        for path in held(job.doc):
            await asyncio.to_thread(Path(path).unlink, missing_ok=True)

    async def _failed(self, job: Job, error: ApiError) -> None:
        now = self._clock.monotonic()
        self.trouble = explain(error)
        if isinstance(error, BadRequest | ToldToWaitError | Forbidden | ChatMigrated) or never_arrived(error):
            await self._not_sent(job)
        match error:
            case ToldToWaitError():
                log.info("telegram_told_to_wait", seconds=error.seconds, waiting=len(self.plan))
                self.plan.pause(now + error.seconds + MARGIN_SECONDS)
                await self._journal.wait(self._clock.now().timestamp(), error.seconds + MARGIN_SECONDS)
            case ChatMigrated():
                await self._moved(error.new_chat_id)
            case Forbidden() | InvalidToken():
                self._back_off(now, error, least=MAX_BACKOFF_SECONDS)
            case BadRequest() if is_of_the_chat(error):
                self._back_off(now, error, least=MAX_BACKOFF_SECONDS)
            case BadRequest():
                log.warning("telegram_refused", do=job.doc.get("do"), topic=job.topic, error=explain(error))
                if self._refused(job):
                    await self._finish(job)
                    await self._admit(job, error)
            case NetworkError():
                if job.doc.get("sent"):
                    job.doc["again"] = True
                self._back_off(now, error)
            case _:
                self._back_off(now, error)

    async def _admit(self, job: Job, error: BadRequest) -> None:
        """What could not be said is not passed over in silence, where something can be said at all."""
        doc = job.doc
        if job.id is None or doc.get("do") not in SAYINGS or doc.get("admits") or "thread" in str(error):
            return
        text = f"⚠️ Telegram refused what was to be said here ({error})."
        thread = {"thread": doc["thread"]} if "thread" in doc else {}
        await self.say(job.topic, Rank.URGENT, {"do": "say", "text": text, "silent": False, "admits": True, **thread})

    async def _not_sent(self, job: Job) -> None:
        """It certainly was not, so that after a restart it is not marked either."""
        if job.doc.pop("sent", None) and job.id is not None:
            await self._journal.requeue(job.id, job.doc)

    def _back_off(self, now: float, error: ApiError, *, least: float = 0.0) -> None:
        if self._failures == 0:
            log.warning("telegram_is_away", error=explain(error), waiting=len(self.plan))
        self._failures = min(self._failures + 1, 10)
        self.plan.pause(now + max(least, min(MAX_BACKOFF_SECONDS, 0.5 * 2**self._failures)))

    def _put_off(self, job: Job, error: TeleclaudeError) -> bool:
        """The core cannot show it now; whether to give up."""
        job.attempts += 1
        job.ready = self._clock.monotonic() + PUT_OFF_SECONDS
        log.debug("telegram_put_off", do=job.doc.get("do"), topic=job.topic, error=str(error))
        return job.id is None or job.attempts >= MAX_PUT_OFF

    def _refused(self, job: Job) -> bool:
        """Whether to give it up: nothing else can be said in its topic while it waits."""
        job.attempts += 1
        job.doc["bare"] = True
        return job.attempts >= MAX_REFUSALS or job.rank >= Rank.LIVE
