"""One worker process, from its start to the end of everything it started."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from signal import Signals
from typing import Self

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import ExitedError, UnavailableError
from teleclaude.process.outcome import LeaderExit
from teleclaude.process.pipes import OutputPipe
from teleclaude.process.signals import signal_name
from teleclaude.python.conversation import Answer, Conversation
from teleclaude.python.launch import Launched, launch
from teleclaude.python.output import Late
from teleclaude.python.settings import Place, PythonSettings
from teleclaude.python.source import boot_message
from teleclaude.python.worker.frames import Message
from teleclaude.tasks import watch_process

log = structlog.get_logger(__name__)

_TAIL_BYTES = 4096
_CLOSE_SECONDS = 5.0


async def discard(data: bytes) -> None:
    """For output that nobody keeps."""


class WorkerProcess:
    """Made by ``start``, when it has booted. ``begin`` makes it a session, ``call`` asks it for something; what else is
    said goes through its ``conversation``.

    Whatever ends it - its own exit, a signal, a message that is none, ``aclose`` - all its descendants are ended, it is
    reaped, every open call is answered with None, and then ``wait`` answers.
    """

    def __init__(self, worker_id: str, launched: Launched, settings: PythonSettings, tasks: Tasks) -> None:
        self.id = worker_id
        self.conversation = Conversation(worker_id, launched.socket)
        self.late: Late = discard
        self._launched = launched
        self._settings = settings
        self._tasks = tasks
        self._background = OutputPipe(launched.background)
        self._tail = b""
        self._watch = watch_process(launched.identity.pid, launched.identity.start_time)
        self._ending = asyncio.Event()
        self._over = asyncio.Event()
        self._exit = LeaderExit()

    @classmethod
    async def start(cls, settings: PythonSettings, tasks: Tasks, env: Mapping[str, str] | None = None) -> Self:
        """Start the interpreter and give it the source.

        Raises ``InvalidError`` and ``UnavailableError`` as ``launch`` does, and the latter when it does not boot within
        ``ready_timeout_ms``; then nothing of it is left.
        """
        worker_id = f"python-{secrets.token_hex(8)}"
        starting = asyncio.get_running_loop().run_in_executor(
            None, launch, settings.interpreter, worker_id, env or {}, settings.cgroups
        )
        try:
            launched = await asyncio.shield(starting)
        except asyncio.CancelledError:
            # The thread cannot be stopped, and what it starts must not be left behind: milliseconds, in general.
            while not starting.done():
                with suppress(asyncio.CancelledError):
                    await asyncio.wait([starting])
            if starting.exception() is None:
                cls(worker_id, starting.result(), settings, tasks)._follow().kill()
            raise
        worker = cls(worker_id, launched, settings, tasks)
        try:
            worker._follow()
            await worker._expect(boot_message())
        except BaseException:
            await worker.aclose(grace=0)
            raise
        return worker

    @property
    def pid(self) -> int:
        return self._launched.identity.pid

    @property
    def ended(self) -> bool:
        """Whether its end has begun or is over."""
        return self._ending.is_set()

    @property
    def exit(self) -> LeaderExit:
        """How it ended, once ``wait`` has answered."""
        return self._exit

    @property
    def was_capped(self) -> bool:
        """Whether it was killed to keep the memory cap of its control group, once ``wait`` has answered."""
        return self._exit.signal == "KILL" and self._launched.group.caps_hit.memory_kills > 0

    async def begin(self, place: Place) -> None:
        """Make it a session. Raises ``UnavailableError`` when it is not ready in time."""
        await self._expect(
            {
                "op": "start",
                "cwd": place.cwd,
                "env": dict(place.env),
                "memory_bytes": self._settings.memory_bytes,
                "cache_size": self._settings.cache_size,
            }
        )

    async def call(self, message: Message, descriptors: Sequence[int] = ()) -> asyncio.Future[Answer]:
        """Ask; the future holds the answer to the message's ``id``.

        Raises ``FrameTooLargeError``; then nothing was asked.
        """
        if not self.ended:
            try:
                return await self.conversation.call(message, descriptors)
            except OSError:
                self._ending.set()
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        answer.set_result(None)
        return answer

    async def interrupt(self, work: str) -> None:
        """Interrupt the call ``work``, even one that has not begun yet. A paused worker goes on."""
        self.signal(Signals.SIGCONT)
        await self.conversation.tell({"op": "interrupt", "id": work})

    async def pause(self) -> bool:
        """Stop every process; False when some could not be, and then all go on."""
        if await self._launched.group.stop():
            return True
        await self.resume()
        return False

    async def resume(self) -> None:
        await self._launched.group.send(Signals.SIGCONT)

    def signal(self, sig: Signals) -> None:
        """To its process group."""
        self._launched.group.signal_group(sig)

    def kill(self) -> None:
        """Begin its end now; ``wait`` tells when it is over."""
        self._ending.set()

    async def wait(self) -> LeaderExit:
        """Until it and everything it started are gone."""
        await self._over.wait()
        return self._exit

    async def aclose(self, grace: float) -> None:
        """Ask it to exit, and end it after ``grace`` seconds. Does nothing the second time."""
        if grace > 0 and not self.ended:
            try:
                async with asyncio.timeout(grace):
                    self.signal(Signals.SIGCONT)
                    await self.conversation.tell({"op": "exit"})
                    await self._ending.wait()
            except (TimeoutError, ExitedError):
                log.debug("worker_not_exited", worker=self.id, grace_s=grace)
        self.kill()
        try:
            async with asyncio.timeout(_CLOSE_SECONDS + grace):
                await self._over.wait()
        except TimeoutError:
            log.exception("worker_not_ended", worker=self.id, pid=self.pid)

    def _follow(self) -> Self:
        self._watch.on_exit(self._ending.set)
        self._tasks.spawn(self._see_to_the_end(), name="follow", owner=self.id)
        return self

    async def _see_to_the_end(self) -> None:
        reader = self._tasks.spawn(self._read(), name="read", owner=self.id)
        background = self._tasks.spawn(self._read_background(), name="background", owner=self.id)
        cancelled = False
        while not self._over.is_set():
            try:
                await self._ending.wait()
                await self._end([reader, background])
            except asyncio.CancelledError:
                # The daemon ends, and so does the worker: whatever was begun is done again, to the end.
                cancelled = True
                self._ending.set()
        if cancelled:
            raise asyncio.CancelledError

    async def _end(self, readers: list[asyncio.Task[None]]) -> None:
        """May be begun again; only the last part, which does not wait, is done once."""
        left = await self._launched.group.kill()
        if left:
            log.warning("processes_left", worker=self.id, pids=" ".join(str(stat.pid) for stat in left))
        # Its children become orphans with its last thread, and only then can those that have ended be reaped.
        await self._watch.wait(_CLOSE_SECONDS)
        await asyncio.to_thread(self._launched.group.members)
        self._launched.group.release()
        code, number = await asyncio.to_thread(self._launched.reap)
        if self._launched.group.has_remains:
            await asyncio.to_thread(self._launched.group.remove)
        self._exit = LeaderExit(code, None if number is None else signal_name(number))
        # What it said last is still in the pipes; nobody can add to it.
        _, late = await asyncio.wait(readers, timeout=_CLOSE_SECONDS)
        for task in late:
            log.warning("worker_pipe_held", worker=self.id, pipe=task.get_name())
            task.cancel()
        if late:
            await asyncio.wait(late)
        self._watch.close()
        self.conversation.close()
        self._background.close()
        os.close(self._launched.lifeline)
        self._over.set()

    async def _read(self) -> None:
        try:
            await self.conversation.read()
        finally:
            self._ending.set()

    async def _read_background(self) -> None:
        always = asyncio.Event()
        always.set()
        while data := await self._background.read(always):
            self._tail = (self._tail + data)[-_TAIL_BYTES:]
            await self.late(data)
            await asyncio.sleep(0)

    async def _expect(self, message: Message | bytes) -> None:
        """Send, and wait for the step that it brings about."""
        timeout = self._settings.ready_timeout_ms / 1000
        try:
            async with asyncio.timeout(timeout):
                await self.conversation.take_step(message)
        except TimeoutError as error:
            raise await self._not_ready(f"was not ready within {timeout:g} s") from error
        except OSError as error:
            raise await self._not_ready("ended before it was ready") from error
        if self.ended:
            raise await self._not_ready("ended before it was ready")

    async def _not_ready(self, what: str) -> UnavailableError:
        await self.aclose(grace=0)
        words = self._tail.decode("utf-8", "replace").strip()
        return UnavailableError(
            f"{self._settings.interpreter} {what}"
            + (f"; it said: {words[-500:]}" if words else "; is it Python 3.9 or newer?"),
            operation="session.create",
        )
