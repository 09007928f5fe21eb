"""One control-mode client process: a pipe in, a pipe out, replies matched to lines first in, first out."""

from __future__ import annotations

import asyncio
import signal
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from teleclaude.errors import BusyError, TeleclaudeError, UnavailableError
from teleclaude.tasks import process_start_time, send_signal
from teleclaude.tmux.failures import refused, unanswered, unsent
from teleclaude.tmux.line import Line, control_line
from teleclaude.tmux.protocol import ControlParser, Notification, Reply, Violation

log = structlog.get_logger(__name__)

MAX_PENDING = 4096
"""Lines without an answer; the deadline bounds how long, this how many."""

_MAX_STDERR_BYTES = 4096
_REAP_SECONDS = 1.0


@dataclass(slots=True, eq=False)
class _Pending:
    line: Line
    data: bytes
    answer: asyncio.Future[list[Reply]]
    deadline: asyncio.TimerHandle | None = None
    replies: list[Reply] = field(default_factory=list)
    sent: bool = False

    def resolve(self, error: TeleclaudeError | None) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        if self.answer.done():
            return
        if error is None:
            self.answer.set_result(self.replies)
        else:
            self.answer.set_exception(error)


class ControlClient(asyncio.SubprocessProtocol):
    """Lives until the first thing goes wrong, then fails everything that waits and calls ``on_lost`` once.

    ``on_lost`` gets the reason and whether a deadline had passed.
    """

    def __init__(self, on_notification: Callable[[Notification], None], on_lost: Callable[[str, bool], None]) -> None:
        self._on_notification = on_notification
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._parser = ControlParser()
        self._pending: deque[_Pending] = deque()
        self._outbox: list[_Pending] = []
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._pid = 0
        self._pid_start: int | None = None
        self._stderr = bytearray()
        self._started = asyncio.Event()
        self._exited = asyncio.Event()
        self._lost = False
        self._why = ""

    @classmethod
    async def spawn(
        cls,
        argv: Sequence[str],
        env: Mapping[str, str],
        on_notification: Callable[[Notification], None],
        on_lost: Callable[[str, bool], None],
    ) -> ControlClient:
        """Raises ``UnavailableError`` when the program cannot be started."""
        try:
            _, client = await asyncio.get_running_loop().subprocess_exec(
                lambda: cls(on_notification, on_lost),
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env=dict(env),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise UnavailableError(f"{argv[0]} cannot be started: {error}", operation="tmux.connect") from error
        return client

    async def wait_started(self, timeout: float) -> None:
        """Wait until the client is attached; what is sent earlier meets a server without a current session.

        Raises ``UnavailableError``.
        """
        try:
            async with asyncio.timeout(timeout):
                await self._started.wait()
        except TimeoutError:
            self.lose(f"tmux did not answer within {timeout:g} s", timed_out=True)
        if self._lost:
            raise UnavailableError(f"no control client: {self._why}", operation="tmux.connect")

    @property
    def alive(self) -> bool:
        return not self._lost

    def send(self, lines: Sequence[Line], timeout: float) -> list[asyncio.Future[list[Reply]]]:
        """Send ``lines``, all or none: at once when nothing waits for its answer, else with all else of this turn of
        the loop in one write.

        Raises ``TooLargeError`` for a line, ``BusyError`` when too many wait, ``UnavailableError`` when it has ended.
        """
        if self._lost:
            raise unsent(lines[0], "the tmux client has ended")
        if len(self._pending) + len(lines) > MAX_PENDING:
            raise BusyError(f"{MAX_PENDING} tmux commands wait for their answer; try again", operation="tmux.submit")
        queued = [_Pending(line, control_line(line), self._loop.create_future()) for line in lines]
        is_first = not self._pending
        if not self._outbox and not is_first:
            self._loop.call_soon(self._flush)
        self._pending += queued
        self._outbox += queued
        if is_first:
            self._flush()
        for pending in queued:
            pending.deadline = self._loop.call_later(timeout, self._expire, timeout)
        return [pending.answer for pending in queued]

    def _flush(self) -> None:
        outbox, self._outbox = self._outbox, []
        if self._stdin is None or self._lost:
            return
        for pending in outbox:
            pending.sent = True
        self._stdin.write(b"".join(pending.data for pending in outbox))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.SubprocessTransport)
        self._transport = transport
        stdin = transport.get_pipe_transport(0)
        assert isinstance(stdin, asyncio.WriteTransport)
        self._stdin = stdin
        self._pid = transport.get_pid()
        self._pid_start = process_start_time(self._pid)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 2:
            self._stderr += data[: _MAX_STDERR_BYTES - len(self._stderr)]
            return
        for item in self._parser.feed(data):
            match item:
                case Reply(ours=True):
                    self._answer(item)
                case Reply():
                    self._start_answered(item)
                case Notification(name="exit"):
                    self.lose(f"tmux ended the control client ({item.rest or 'detached'})")
                case Notification():
                    self._on_notification(item)
                case Violation(reason):
                    self.lose(f"the control protocol broke: {reason}")

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        if fd == 1:
            self.lose(self._last_words())

    def process_exited(self) -> None:
        self._exited.set()
        self.lose(self._last_words())
        if self._transport is not None:
            self._transport.close()

    def _last_words(self) -> str:
        words = self._stderr.decode("utf-8", "replace").strip()
        return words or "the control client ended"

    def _answer(self, reply: Reply) -> None:
        if not self._pending:
            self.lose("the control protocol broke: a reply that nobody asked for")
            return
        pending = self._pending[0]
        index = len(pending.replies)
        pending.replies.append(reply)
        if not reply.ok:
            self._pending.popleft()
            name = pending.line[min(index, len(pending.line) - 1)].name
            pending.resolve(refused(name, reply.text))
        elif len(pending.replies) == sum(command.replies for command in pending.line):
            self._pending.popleft()
            pending.resolve(None)

    def _start_answered(self, reply: Reply) -> None:
        """The command that started the client answers first; later ones that are not ours come from hooks."""
        if reply.ok:
            self._started.set()
        elif not self._started.is_set():
            self.lose(reply.text)

    def _expire(self, timeout: float) -> None:
        self.lose(f"tmux did not answer within {timeout:g} s", timed_out=True)

    def lose(self, why: str, *, timed_out: bool = False) -> None:
        """Kill the process, close its pipes, fail what waits. Does nothing the second time.

        Its end is not waited for: a stopped tmux server holds our pipes open as long as it likes.
        """
        if self._lost:
            return
        self._lost = True
        self._why = why
        self._started.set()
        waiting, self._pending, self._outbox = self._pending, deque(), []
        self._kill()
        for pending in waiting:
            pending.resolve(unanswered(pending.line, why) if pending.sent else unsent(pending.line, why))
        self._on_lost(why, timed_out)

    def _kill(self) -> None:
        """Only signals and closes pipes: the transport's own kill and close would reap behind the loop's back."""
        if self._transport is None:
            return
        if not self._exited.is_set():
            send_signal(self._pid, self._pid_start, signal.SIGKILL)
        for fd in (0, 1, 2):
            pipe = self._transport.get_pipe_transport(fd)
            if isinstance(pipe, asyncio.WriteTransport) and not pipe.is_closing():
                pipe.abort()
            elif pipe is not None:
                pipe.close()

    async def aclose(self) -> None:
        """End the client and wait a moment for the process to be gone."""
        self.lose("the daemon lets go of tmux")
        with suppress(TimeoutError):
            async with asyncio.timeout(_REAP_SECONDS):
                await self._exited.wait()
