"""The session's own stream: what a terminal with this interpreter would show, whichever cell it came from."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import TeleclaudeError
from teleclaude.model import CompletedState, FailedState, Outcome
from teleclaude.process import Sink
from teleclaude.service.executions.sinks import StreamSink
from teleclaude.streams import Stream

log = structlog.get_logger(__name__)


class Transcript:
    """Takes the printed output of all cells, what comes after their ends, values and tracebacks. What cannot be written
    costs nothing else, and leaves a named hole.
    """

    def __init__(self, session_id: str, stream: Stream, tasks: Tasks) -> None:
        self._session_id = session_id
        self._stream = stream
        self._sink = StreamSink(session_id, "pty", lambda: stream, tasks)
        self._missing = False

    async def write(self, data: bytes) -> None:
        kept = await self._attempt(lambda: self._sink.write(data), quietly=self._missing)
        if not kept:
            await self._stream.name_hole("not_kept")
        self._missing = not kept

    async def show(self, outcome: Outcome) -> None:
        """A value, or a traceback, in lines of its own; with all that came before it can be read from now on."""
        if isinstance(outcome, CompletedState) and outcome.result is not None:
            await self.write(f"{outcome.result.repr}\n".encode())
        elif isinstance(outcome, FailedState) and outcome.error is not None:
            lines = outcome.error.traceback or (f"{outcome.error.type}: {outcome.error.message}",)
            await self.write("".join(f"{line}\n" for line in lines).encode())
        await self._attempt(self._sink.flush)

    async def aclose(self) -> None:
        """Make everything readable. Does nothing the second time."""
        await self._attempt(self._sink.close)

    async def _attempt(self, work: Callable[[], Awaitable[None]], *, quietly: bool = False) -> bool:
        try:
            await work()
        except (OSError, TeleclaudeError) as error:
            if not quietly:
                log.warning("transcript_not_kept", session_id=self._session_id, error=str(error))
            return False
        return True


class Tee:
    """Implements ``teleclaude.process.Sink``: into the cell's own stream first, then into the transcript."""

    def __init__(self, sink: Sink, transcript: Transcript) -> None:
        self._sink = sink
        self._transcript = transcript

    async def write(self, data: bytes) -> None:
        try:
            await self._sink.write(data)
        finally:
            await self._transcript.write(data)

    async def close(self) -> None:
        await self._sink.close()
