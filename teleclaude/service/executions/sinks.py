"""The way of an execution's output into its streams."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from teleclaude.api import Tasks
from teleclaude.errors import NoSpaceError, TeleclaudeError
from teleclaude.model import Bounds
from teleclaude.streams import Stream, StreamWriter

log = structlog.get_logger(__name__)


class StreamSink:
    """Implements ``teleclaude.process.Sink`` over one stream, which comes to be with the first byte.

    A stream whose files cannot be made at all costs the output, not the work: ``fault`` says why nothing was kept.
    """

    def __init__(self, execution_id: str, name: str, find: Callable[[], Stream], tasks: Tasks) -> None:
        """``find`` is asked for the stream once there is something to write."""
        self.fault: str | None = None
        self._execution_id = execution_id
        self._name = name
        self._find = find
        self._stream: Stream | None = None
        self._tasks = tasks
        self._writer: StreamWriter | None = None
        self._closed = False

    @property
    def bounds(self) -> Bounds:
        """What of it can be read; nothing before the first byte."""
        return Bounds(0, 0) if self._stream is None else self._stream.bounds()

    async def write(self, data: bytes) -> None:
        if self.fault is not None:
            return
        if self._writer is None and not await self._open():
            return
        assert self._writer is not None
        await self._writer.write(data)

    async def flush(self) -> None:
        """Make readable what was written."""
        if self._writer is not None and self._writer.queued:
            await self._writer.flush()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._writer is not None:
            await self._writer.aclose()

    async def _open(self) -> bool:
        self._stream = self._find()
        writer = StreamWriter(self._stream, self._tasks)
        try:
            await writer.__aenter__()
        except NoSpaceError:
            raise
        except (OSError, TeleclaudeError) as error:
            self.fault = str(error)
            log.warning("output_not_kept", execution_id=self._execution_id, stream=self._name, error=self.fault)
            return False
        self._writer = writer
        return True
