"""Waiting for a condition, never for a while."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")

POLL_SECONDS = 0.01


@overload
async def eventually(predicate: Callable[[], Awaitable[T]], timeout: float = 5) -> T: ...
@overload
async def eventually(predicate: Callable[[], T], timeout: float = 5) -> T: ...
async def eventually(predicate: Callable[[], object], timeout: float = 5) -> object:
    """Ask ``predicate`` (plain or async) until it answers something true, and give that back.

    An ``AssertionError`` from it means not yet. Raises ``AssertionError`` after ``timeout`` seconds, from the last one.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        answer: object = None
        failure: AssertionError | None = None
        try:
            answer = predicate()
            if inspect.isawaitable(answer):
                answer = await answer
        except AssertionError as error:
            failure = error
        if answer and failure is None:
            return answer
        if loop.time() >= deadline:
            raise AssertionError(f"not so within {timeout:g} s; last answer: {answer!r}") from failure
        await asyncio.sleep(POLL_SECONDS)
