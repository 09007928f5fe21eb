"""One SQLite file (mode 0600) with one writer: a single thread, which every call goes through."""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self, TypeVar

T = TypeVar("T")

Statement = tuple[str, Sequence[Any]]


class Ledger:
    """An async context manager. Every method may raise ``sqlite3.Error``."""

    def __init__(self, path: Path, schema: str) -> None:
        self._path = path
        self._schema = schema
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="telegram-journal")
        self._db: sqlite3.Connection

    async def __aenter__(self) -> Self:
        try:
            await self._run(self._open)
        except BaseException:
            self._thread.shutdown(wait=False)
            raise
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._run(self._db.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    def _open(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        # People write passwords, too.
        self._db.execute("PRAGMA secure_delete=ON")
        self._db.executescript(self._schema)

    async def _change(self, *statements: Statement) -> int:
        """All of them or none; answers the last inserted row's id."""
        return await self._run(lambda: self._all(statements).lastrowid or 0)

    async def _removed(self, *statements: Statement) -> int:
        """All of them or none; answers how many rows the last one has changed."""
        return await self._run(lambda: self._all(statements).rowcount)

    def _all(self, statements: Sequence[Statement]) -> sqlite3.Cursor:
        cursor = self._db.execute("BEGIN IMMEDIATE")
        try:
            for sql, values in statements:
                cursor = self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        return cursor

    async def _rows(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        return await self._run(lambda: self._db.execute(sql, values).fetchall())
