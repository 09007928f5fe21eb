"""The connections to Redis. Nothing is retried here: a repeated XADD would be a second message."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, ConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    BusyLoadingError,
    ConnectionError,  # noqa: A004 - the library's own name
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TimeoutError,  # noqa: A004 - as above
)

from teleclaude.errors import TeleclaudeError, UnavailableError

COMMAND_SECONDS = 2.0
"""How long Redis may take for one command."""

MAX_COMMANDS = 16
MAX_BLOCKING = 400
"""Connections that wait: one for each call that is under way and each stream that is followed."""

MAX_IDLE = 32

FAILURES = (RedisError, OSError)


class Link:
    """``commands`` is for what is answered at once; ``blocking`` gives connections to whoever waits."""

    def __init__(self, url: str) -> None:
        options: dict[str, Any] = {
            "retry": Retry(NoBackoff(), 0),
            "retry_on_error": [],
            "socket_connect_timeout": COMMAND_SECONDS,
            "health_check_interval": 0,
            "protocol": 2,
            "driver_info": None,
        }
        self.place = place_of(url)
        self._idle: list[AbstractConnection] = []
        self._closed = False
        self.blocking = ConnectionPool.from_url(url, max_connections=MAX_BLOCKING, socket_timeout=None, **options)
        self._pool = BlockingConnectionPool.from_url(
            url, max_connections=MAX_COMMANDS, timeout=COMMAND_SECONDS, socket_timeout=COMMAND_SECONDS, **options
        )
        # The library's types leave open whether it decodes; here everything comes as bytes.
        self.commands: Any = Redis(connection_pool=self._pool)

    def waiting_client(self) -> Any:
        """A client for commands that block; each of its calls needs a deadline of its own."""
        return Redis(connection_pool=self.blocking)

    async def connection(self) -> AbstractConnection:
        """A connection to write to and read from directly, without what a client does around each command; give it
        back with ``release``. Its user sees to deadlines.
        """
        while self._idle:
            known = self._idle.pop()
            if _is_open(known):
                return known
            await known.disconnect(nowait=True)
        pool: Any = self.blocking
        fresh: Any = pool.make_connection()
        try:
            await fresh.connect()
        except BaseException:
            # Nobody else knows it: what is half made would stay open.
            await fresh.disconnect(nowait=True)
            raise
        connection: AbstractConnection = fresh
        return connection

    async def release(self, connection: AbstractConnection, *, is_clean: bool) -> None:
        """``is_clean`` says that every answer has been read."""
        if is_clean and len(self._idle) < MAX_IDLE and not self._closed:
            self._idle.append(connection)
        else:
            await connection.disconnect(nowait=True)

    async def at_once(self, *commands: tuple[Any, ...]) -> list[Any]:
        """The answers to commands that are sent together. Raises what a client would, for the first that failed."""
        is_clean = False
        connection: AbstractConnection | None = None
        try:
            async with asyncio.timeout(COMMAND_SECONDS):
                connection = await self.connection()
                await connection.send_packed_command(packed(commands))
                answers = [await _answer(connection) for _ in commands]
            is_clean = True
        except builtins.TimeoutError as error:
            raise TimeoutError("Redis did not answer in time") from error
        finally:
            if connection is not None:
                await self.release(connection, is_clean=is_clean)
        for answer in answers:
            if isinstance(answer, ResponseError):
                raise answer
        return answers

    async def aclose(self) -> None:
        self._closed = True
        await self._pool.disconnect()
        for connection in self._idle:
            await connection.disconnect(nowait=True)
        await self.blocking.disconnect()


def packed(commands: Iterable[tuple[Any, ...]]) -> bytes:
    """Commands as they go to the server (RESP, arrays of bulk strings)."""
    parts: list[bytes] = []
    for command in commands:
        parts.append(b"*%d\r\n" % len(command))
        for word in command:
            data = word if isinstance(word, bytes) else str(word).encode()
            parts += (b"$%d\r\n" % len(data), data, b"\r\n")
    return b"".join(parts)


def _is_open(connection: AbstractConnection) -> bool:
    """Whether the server has not hung up while nobody looked."""
    reader = connection._reader
    return connection.is_connected and reader is not None and not reader.at_eof()


async def _answer(connection: AbstractConnection) -> Any:
    try:
        return await connection.read_response(disable_decoding=True)
    except ResponseError as error:
        return error


def place_of(url: str) -> str:
    """Where Redis is, without user and password."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return parts.path
    return f"{parts.hostname or 'localhost'}:{parts.port or 6379}"


def unavailable(error: BaseException, operation: str) -> TeleclaudeError:
    """What to tell of a failure of Redis by which nothing was done."""
    return UnavailableError(explain(error), operation=operation)


def explain(error: BaseException) -> str:
    """The failure in a sentence, without what may hold a secret."""
    match error:
        case OutOfMemoryError():
            return "Redis is out of memory; raise its maxmemory or free some, then try again"
        case AuthenticationError():
            return "Redis does not accept the user or password of redis.url"
        case NoPermissionError():
            return f"the Redis user of redis.url may not do this: {error}"
        case ReadOnlyError():
            return "this Redis is a replica and takes no writes; point redis.url at the primary"
        case BusyLoadingError():
            return "Redis is loading its data; try again"
        case TimeoutError():
            return "Redis did not answer in time"
        case ConnectionError() | OSError():
            return "Redis cannot be reached"
        case _:
            return f"Redis refused: {error}"


@contextmanager
def redis_errors(operation: str) -> Iterator[None]:
    """Failures of Redis as ``UnavailableError``."""
    try:
        yield
    except FAILURES as error:
        raise unavailable(error, operation) from error
