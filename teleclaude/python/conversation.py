"""What is said between us and one worker: questions and their answers, and what the worker says by itself."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Awaitable, Callable, Sequence

import structlog

from teleclaude.errors import ExitedError
from teleclaude.python.channel import Channel
from teleclaude.python.errors import ProtocolError
from teleclaude.python.messages import Booted, FromWorker, Ready, Reply, Result, Told, parse
from teleclaude.python.pace import Pace
from teleclaude.python.worker.frames import FrameError, Message

log = structlog.get_logger(__name__)

Answer = Result | Reply | None
"""None: the worker ended before it answered."""

Said = Callable[[Told], Awaitable[None]]

_MESSAGES_A_SECOND, _MESSAGES_AT_ONCE = 5000, 500


class Conversation:
    """Owns the socket. ``read`` is its task; after ``close`` every call that is open has the answer None.

    ``said`` takes what is no answer; ``python`` is the worker's version, once it has booted.
    """

    def __init__(self, worker_id: str, connection: socket.socket) -> None:
        self.python = ""
        self.said: Said = _ignore
        self._worker_id = worker_id
        self._channel = Channel(connection)
        self._calls: dict[str, asyncio.Future[Answer]] = {}
        self._step: asyncio.Future[None] | None = None
        self._pings = itertools.count(1)

    async def call(self, message: Message, descriptors: Sequence[int] = ()) -> asyncio.Future[Answer]:
        """Ask; the future holds the answer to the message's ``id``.

        Raises ``FrameTooLargeError`` and ``OSError``; then nothing was asked.
        """
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._calls[message["id"]] = answer
        try:
            await self._channel.send(message, descriptors)
        except BaseException:
            self._calls.pop(message["id"], None)
            raise
        return answer

    async def tell(self, message: Message) -> None:
        """Say something that has no answer. Raises ``ExitedError`` when the worker is gone."""
        try:
            await self._channel.send(message)
        except OSError as error:
            raise ExitedError("the worker has ended", operation="python.tell") from error

    async def ping(self) -> int:
        """Ask for a ``Beat``; answers its number."""
        seq = next(self._pings)
        await self.tell({"op": "ping", "seq": seq})
        return seq

    async def take_step(self, message: Message | bytes) -> None:
        """Send, and wait for the ``Booted`` or ``Ready`` it brings about, or the end. Raises ``OSError``."""
        self._step = asyncio.get_running_loop().create_future()
        if isinstance(message, bytes):
            await self._channel.send_raw(message)
        else:
            await self._channel.send(message)
        await self._step

    async def read(self) -> None:
        """Hear the worker out, to the end or to the first message that is none."""
        pace = Pace(_MESSAGES_A_SECOND, _MESSAGES_AT_ONCE)
        try:
            while (messages := await self._channel.receive()) is not None:
                for message in messages:
                    await pace.take()
                    await self._hear(parse(message))
        except (FrameError, ProtocolError):
            log.exception("worker_protocol_broken", worker=self._worker_id)

    def close(self) -> None:
        """Nobody may be reading."""
        self._channel.close()
        calls, self._calls = self._calls, {}
        for answer in calls.values():
            if not answer.done():
                answer.set_result(None)
        self._step_done()

    async def _hear(self, message: FromWorker) -> None:
        match message:
            case Booted():
                self.python = message.python
                self._step_done()
            case Ready():
                self._step_done()
            case Result() | Reply():
                answer = self._calls.pop(message.id, None)
                if answer is None:
                    raise ProtocolError(f"an answer to {message.id!r}, which nobody asked")
                if not answer.done():
                    answer.set_result(message)
            case _:
                await self.said(message)

    def _step_done(self) -> None:
        if self._step is not None and not self._step.done():
            self._step.set_result(None)


async def _ignore(message: Told) -> None:
    """For a worker that has no session yet."""
