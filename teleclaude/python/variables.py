"""What a session is asked besides cells: its variables, and snapshots of them."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from teleclaude.errors import BusyError, DeadlineError, ExitedError, InvalidError, TooLargeError
from teleclaude.python.messages import Reply
from teleclaude.python.settings import PythonSettings
from teleclaude.python.supervisor import Supervisor
from teleclaude.python.turn import Turns
from teleclaude.python.worker.frames import MAX_FRAME_BYTES, FrameTooLargeError, Message, encode


class Variables:
    """Part of a ``PythonSession``: each question holds ``turn``, and after it ``replace_killed`` is called.

    All raise ``BusyError`` while a cell runs or waits, ``ExitedError`` when there is no worker, and ``DeadlineError``
    when the user's objects, whose code may run for it, took too long and were interrupted.
    """

    def __init__(
        self,
        settings: PythonSettings,
        supervisor: Supervisor,
        turns: Turns,
        turn: asyncio.Lock,
        *,
        is_busy: Callable[[], bool],
        replace_killed: Callable[[], Awaitable[None]],
    ) -> None:
        self._settings = settings
        self._supervisor = supervisor
        self._turns = turns
        self._turn = turn
        self._is_busy = is_busy
        self._replace_killed = replace_killed

    async def list(self) -> dict[str, Any]:
        """``{variables: [{name, type, repr}], total}``."""
        return await self._ask("variables.list", {"op": "variables"})

    async def update(self, values: Mapping[str, object], strategy: str) -> dict[str, Any]:
        """Merge; answers ``{updated, skipped}``. ``worker.namespace`` describes the strategies.

        Raises ``InvalidError`` for another strategy.
        """
        return await self._ask("variables.update", {"op": "update", "values": dict(values), "strategy": strategy})

    async def clear(self) -> dict[str, Any]:
        """Remove the user's names; answers ``{cleared}``, how many."""
        return await self._ask("variables.clear", {"op": "clear"})

    async def save(self, descriptor: int) -> dict[str, Any]:
        """Write a snapshot to ``descriptor``; answers ``{carried, dropped: [{name, type, reason}]}``."""
        return await self._ask("session.snapshot", {"op": "snapshot"}, (descriptor,))

    async def load(self, descriptor: int) -> dict[str, Any]:
        """Read back what ``save`` wrote, and nothing else; answers ``{restored, removed, kept, missing}``."""
        return await self._ask("session.restore", {"op": "restore"}, (descriptor,))

    async def _ask(self, operation: str, message: Message, descriptors: Sequence[int] = ()) -> dict[str, Any]:
        """At once or not at all."""
        worker = self._supervisor.require(operation)
        if self._is_busy():
            raise BusyError("the session is busy; wait until its cells have ended", operation=operation)
        message = {**message, "id": f"request-{secrets.token_hex(8)}"}
        check_size(message, operation)
        async with self._turn:
            answer = await worker.call(message, descriptors)
            try:
                # It may run the user's code: every repr does.
                await asyncio.wait([answer], timeout=self._settings.request_timeout_ms / 1000)
            finally:
                late = not answer.done()
                if late:  # or nobody waits for it any more
                    await self._turns.end(answer, worker, message["id"], self._supervisor.kill)
                    await self._replace_killed()
            reply = await answer
        if late:
            raise DeadlineError("the session's objects took too long over it; it was interrupted", operation=operation)
        return _data_of(reply if isinstance(reply, Reply) else None, operation)


def check_size(message: Message, operation: str) -> None:
    """Raises ``TooLargeError`` for what does not fit into a frame."""
    try:
        encode(message)
    except FrameTooLargeError as error:
        raise TooLargeError(
            f"it takes more than the {MAX_FRAME_BYTES} bytes of a message; use a file", operation=operation
        ) from error


def _data_of(reply: Reply | None, operation: str) -> dict[str, Any]:
    if reply is None:
        raise ExitedError("the interpreter ended over it; restart the session", operation=operation)
    if reply.error is not None:
        raise InvalidError(f"{reply.error.type}: {reply.error.message}", operation=operation)
    data: dict[str, Any] = reply.data
    return data
