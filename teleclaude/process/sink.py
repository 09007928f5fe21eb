"""Where the output of an execution goes."""

from __future__ import annotations

from typing import Protocol


class Sink(Protocol):
    """Where the bytes of one stream go. It may slow the program down, never change or reorder what it is given."""

    async def write(self, data: bytes) -> None:
        """Take ``data``; readers may see it a moment later. An exception ends the execution as ``stream_error``."""
        ...

    async def close(self) -> None:
        """Make everything written readable. Called exactly once, also after a failed write."""
        ...
