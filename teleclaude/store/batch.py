"""Group commit: many writes, one fsync, and each write stands or falls by itself. Blocks; runs in the writer thread."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from teleclaude.store.ballast import Ballast
from teleclaude.store.failures import is_full


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work on a connection. ``deliver`` is called in the thread that did it, with a result or an error.

    ``frees`` says that it makes room, so it may use the ballast. ``synced`` False lets it outlive this process without
    outliving a power failure, until the next synced one.
    """

    work: Callable[[sqlite3.Connection], Any]
    deliver: Callable[[Any, Exception | None], None]
    frees: bool = False
    synced: bool = True


Outcome = tuple[Any, Exception | None]


def write_batch(connection: sqlite3.Connection, jobs: Sequence[Job], ballast: Ballast) -> list[Outcome]:
    """Run ``jobs`` in order in one transaction; one that raises leaves no trace and does not touch the others.

    When the transaction as a whole fails each job runs again in its own, so a job may run twice.
    """
    # The write-ahead log is in the system's hands after either; only FULL waits for the disk: PRAGMA synchronous.
    connection.execute(f"PRAGMA synchronous = {'FULL' if any(job.synced for job in jobs) else 'NORMAL'}")
    try:
        outcomes = _together(connection, jobs)
    except sqlite3.Error:
        _roll_back(connection)
        outcomes = [_alone(connection, job, ballast) for job in jobs]
    else:
        outcomes = [
            _alone(connection, job, ballast) if job.frees and error is not None and is_full(error) else (result, error)
            for job, (result, error) in zip(jobs, outcomes, strict=True)
        ]
    ballast.keep()
    return outcomes


def _together(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    connection.execute("BEGIN IMMEDIATE")
    for job in jobs:
        connection.execute("SAVEPOINT job")
        try:
            outcomes.append((job.work(connection), None))
        except Exception as error:
            if not connection.in_transaction:
                # A full disk can roll back everything, the earlier jobs too.
                raise sqlite3.OperationalError("the transaction is gone") from error
            connection.execute("ROLLBACK TO job")
            outcomes.append((None, error))
        connection.execute("RELEASE job")
    connection.execute("COMMIT")
    return outcomes


def _alone(connection: sqlite3.Connection, job: Job, ballast: Ballast) -> Outcome:
    result, error = _once(connection, job)
    if error is not None and job.frees and is_full(error) and ballast.release():
        return _once(connection, job)
    return result, error


def _once(connection: sqlite3.Connection, job: Job) -> Outcome:
    try:
        connection.execute("BEGIN IMMEDIATE")
        result = job.work(connection)
        connection.execute("COMMIT")
    except Exception as error:
        _roll_back(connection)
        return None, error
    return result, None


def _roll_back(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def read_each(connection: sqlite3.Connection, jobs: Sequence[Job]) -> list[Outcome]:
    """Run reading jobs, each in its own transaction, so that it sees one state of the database."""
    outcomes: list[Outcome] = []
    for job in jobs:
        try:
            connection.execute("BEGIN")
            outcomes.append((job.work(connection), None))
        except Exception as error:
            outcomes.append((None, error))
        finally:
            _roll_back(connection)
    return outcomes
