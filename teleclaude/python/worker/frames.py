"""Messages on the private socket: four bytes of length, big-endian, then a JSON object. Pure; used by both sides."""

from __future__ import annotations

import json
from typing import Any

MAX_FRAME_BYTES = 10 << 20

_PREFIX = 4

Message = dict[str, Any]


class FrameError(Exception):
    """What came is no frame. Nothing after it can be trusted, so the connection is over."""


class FrameTooLargeError(FrameError):
    """A message does not fit into a frame."""


def encode(message: Message) -> bytes:
    """One frame. Raises ``FrameTooLargeError``; ``ValueError`` and ``TypeError`` for what JSON cannot say."""
    body = json.dumps(message, allow_nan=False, separators=(",", ":")).encode("ascii")
    if len(body) > MAX_FRAME_BYTES:
        raise FrameTooLargeError(f"a message of {len(body)} bytes exceeds the {MAX_FRAME_BYTES} of a frame")
    return len(body).to_bytes(_PREFIX, "big") + body


class FrameDecoder:
    """Takes bytes however they are cut and gives whole messages."""

    def __init__(self, max_bytes: int = MAX_FRAME_BYTES) -> None:
        self._max_bytes = max_bytes
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """The messages that ``data`` completes. Raises ``FrameError``."""
        self._buffer += data
        messages = []
        position = 0
        while (end := self._frame_end(position)) is not None:
            messages.append(_decode(self._buffer[position + _PREFIX : end]))
            position = end
        del self._buffer[:position]
        return messages

    def finish(self) -> None:
        """Nothing follows. Raises ``FrameError`` when that cuts a frame."""
        if self._buffer:
            raise FrameError(f"the connection ended inside a frame, {len(self._buffer)} bytes after its beginning")

    def _frame_end(self, position: int) -> int | None:
        if len(self._buffer) - position < _PREFIX:
            return None
        length = int.from_bytes(self._buffer[position : position + _PREFIX], "big")
        if length > self._max_bytes:
            raise FrameTooLargeError(f"a frame of {length} bytes exceeds the limit of {self._max_bytes}")
        end = position + _PREFIX + length
        return end if len(self._buffer) >= end else None


def _decode(body: bytearray) -> Message:
    try:
        message = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FrameError(f"a frame holds no JSON: {error}") from error
    if not isinstance(message, dict):
        raise FrameError("a frame holds no JSON object")
    return message
