"""The database as the rest of the daemon sees it: functions go in, results come out, nothing blocks the loop."""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import structlog

from teleclaude.clock import Clock
from teleclaude.errors import DeadlineError, IndeterminateError, TeleclaudeError, UnavailableError
from teleclaude.store.ballast import Ballast
from teleclaude.store.batch import Job, Outcome, read_each, write_batch
from teleclaude.store.failures import as_error
from teleclaude.store.files import open_database, open_reader

T = TypeVar("T")

log = structlog.get_logger(__name__)

MAX_BATCH = 500
MAX_WAITING = 10_000
"""Writes in the queue; beyond that the disk has stopped answering and more would only eat memory."""

DEADLINE_SECONDS = 15.0
CLOSE_SECONDS = 5.0


class Database:
    """An async context manager. One thread writes, another one reads.

    ``recovered_from`` is where a damaged database was moved to when this one was opened, else None.
    """

    def __init__(self, path: Path, *, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._writer: _Worker | None = None
        self._reader: _Worker | None = None
        self.recovered_from: Path | None = None

    async def __aenter__(self) -> Self:
        """Raises ``UnavailableError`` or ``NoSpaceError`` when the database cannot be opened."""
        await asyncio.to_thread(self._open)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Finish the writes already asked for, then close; a second time does nothing."""
        workers = [worker for worker in (self._writer, self._reader) if worker is not None]
        self._writer = self._reader = None
        for worker in workers:
            if not await asyncio.to_thread(worker.stop, CLOSE_SECONDS):
                log.error("database_not_closed", thread=worker.name)

    async def write(self, work: Callable[[sqlite3.Connection], T], *, frees: bool = False, synced: bool = True) -> T:
        """Run ``work`` inside a transaction; when this returns its effect is on disk, or with ``synced`` False it
        outlives this process, but maybe not a power failure.

        ``work`` runs in another thread, must do nothing but use its connection, and may run twice. What it raises is
        raised here and undoes it. ``frees`` marks a delete, which then works on a full disk too.

        Raises ``NoSpaceError``, ``UnavailableError``, and ``IndeterminateError`` when the disk does not answer.
        """
        try:
            return await _ask(self._writer, work, frees=frees, synced=synced)
        except TimeoutError:
            raise IndeterminateError(
                f"the disk did not answer within {DEADLINE_SECONDS:g} s; the change may still be stored",
                operation="store.write",
            ) from None
        except sqlite3.Error as error:
            raise as_error(error, "store.write") from error

    def write_soon(
        self,
        work: Callable[[sqlite3.Connection], T],
        then: Callable[[T], object] | None = None,
        *,
        synced: bool = True,
    ) -> None:
        """As ``write``, in order with all others, but nobody waits: a failure is logged. ``then`` is called on the
        running loop with the result.
        """
        if self._writer is None or self._writer.waiting >= MAX_WAITING:
            log.error("write_dropped", closed=self._writer is None)
            return
        loop = asyncio.get_running_loop() if then is not None else None

        def deliver(result: Any, error: Exception | None) -> None:
            _log_failure(result, error)
            if error is None and loop is not None and then is not None:
                with suppress(RuntimeError):  # the loop is closed, so nobody is left to hear of it
                    loop.call_soon_threadsafe(then, result)

        self._writer.put(Job(work, deliver, synced=synced))

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``work`` on one consistent state of what is committed.

        Raises ``UnavailableError``, and ``DeadlineError`` when the disk does not answer.
        """
        try:
            return await _ask(self._reader, work)
        except TimeoutError:
            raise DeadlineError(
                f"the disk did not answer within {DEADLINE_SECONDS:g} s", operation="store.read"
            ) from None
        except sqlite3.Error as error:
            raise as_error(error, "store.read") from error

    async def probe(self) -> None:
        """Show that the disk takes a write, by one that changes nothing. Raises as ``write`` does."""
        await self.write(_rewrite_version)

    async def flush(self) -> None:
        """Wait until everything asked for so far is on disk."""
        await self.write(lambda _connection: None)

    def _open(self) -> None:
        connection, self.recovered_from = open_database(self._path, self._clock.now())
        try:
            reader = open_reader(self._path)
        except BaseException:
            connection.close()
            raise
        ballast = Ballast(self._path.with_name(self._path.name + ".ballast"), self._clock)
        ballast.keep()
        self._writer = _Worker("store-writer", connection, lambda jobs: write_batch(connection, jobs, ballast))
        self._reader = _Worker("store-reader", reader, lambda jobs: read_each(reader, jobs))


class _Worker:
    """A thread that owns a connection and takes whatever waits for it at once."""

    def __init__(
        self, name: str, connection: sqlite3.Connection, handle: Callable[[Sequence[Job]], list[Outcome]]
    ) -> None:
        self.name = name
        self._connection = connection
        self._handle = handle
        self._queue: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def put(self, job: Job) -> None:
        self._queue.put(job)

    def stop(self, timeout: float) -> bool:
        """Blocks until the queue is worked off; whether that happened in time."""
        self._queue.put(None)
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        stopping = False
        while not stopping:
            jobs, stopping = self._take()
            if not jobs:
                continue
            try:
                outcomes = self._handle(jobs)
            except Exception as error:
                # The thread must outlive a defect, or every later caller would wait for nothing.
                log.exception("store_batch_failed", thread=self.name)
                outcomes = [(None, error)] * len(jobs)
            for job, (result, error_of_job) in zip(jobs, outcomes, strict=True):
                job.deliver(result, error_of_job)
        self._connection.close()

    def _take(self) -> tuple[list[Job], bool]:
        """All that waits, at least one, and whether the end was among it."""
        jobs: list[Job] = []
        item = self._queue.get()
        while item is not None:
            jobs.append(item)
            if len(jobs) >= MAX_BATCH:
                return jobs, False
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return jobs, False
        return jobs, True


async def _ask(
    worker: _Worker | None, work: Callable[[sqlite3.Connection], T], *, frees: bool = False, synced: bool = True
) -> T:
    if worker is None:
        raise UnavailableError("the database is closed; the daemon is stopping", operation="store")
    if worker.waiting >= MAX_WAITING:
        raise UnavailableError("the disk does not keep up; try again later", operation="store")
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(result: Any, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(result)
        else:
            answer.set_exception(error)

    def deliver(result: Any, error: Exception | None) -> None:
        try:
            loop.call_soon_threadsafe(settle, result, error)
        except RuntimeError:
            # The loop is closed: nobody is left to hear of it.
            log.debug("store_answer_unheard")

    worker.put(Job(work, deliver, frees, synced))
    async with asyncio.timeout(DEADLINE_SECONDS):
        return await answer


def _rewrite_version(connection: sqlite3.Connection) -> None:
    # An empty transaction does not reach the disk.
    [version] = connection.execute("PRAGMA user_version").fetchone()
    connection.execute(f"PRAGMA user_version = {int(version)}")


def _log_failure(_result: Any, error: Exception | None) -> None:
    if error is not None:
        known = isinstance(error, TeleclaudeError | sqlite3.Error)
        log.error("write_failed", error=str(error), exc_info=None if known else error)
