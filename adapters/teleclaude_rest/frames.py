"""Server-sent events as bytes (WHATWG HTML, section 9.2). Pure, apart from the small cache."""

from __future__ import annotations

import base64
from collections import OrderedDict
from collections.abc import Callable
from typing import TypeVar

from teleclaude.api import OutputExit, OutputHandedOff, OutputItem, OutputState, OutputText
from teleclaude.errors import TeleclaudeError
from teleclaude.events import Event
from teleclaude.model import Chunk, Gap
from teleclaude.wire import jsonio
from teleclaude.wire.events import event_object
from teleclaude.wire.problems import problem

T = TypeVar("T")

HELLO = b"retry: 1000\n\n"
COMMENT = b":\n\n"
FAREWELL = b": stopping\n\n"


def sse(event: str, data: object, *, id_: int | None = None) -> bytes:
    """One event. JSON holds no raw line break, so ``data`` is always one line."""
    head = f"id: {id_}\nevent: {event}\ndata: " if id_ is not None else f"event: {event}\ndata: "
    return head.encode() + jsonio.dumps(data) + b"\n\n"


def gap_object(gap: Gap) -> dict[str, object]:
    return {"from": gap.start, "to": gap.end, "bytes": gap.bytes, "reason": gap.reason}


def handed_off_object(item: OutputHandedOff) -> dict[str, object]:
    return {"computer": item.computer, "session_id": item.session_id, "epoch": item.epoch}


def output_frame(item: OutputItem) -> bytes:
    """``id`` is the offset to go on from; items that move no offset carry none, so the client keeps its last one."""
    match item:
        case Chunk():
            data = base64.b64encode(item.data).decode()
            return sse("output", {"from": item.start, "to": item.end, "b64": data}, id_=item.end)
        case OutputText():
            return sse("output", {"from": item.start, "to": item.end, "text": item.text}, id_=item.end)
        case Gap():
            return sse("gap", gap_object(item), id_=item.end)
        case OutputState():
            return sse("state", {"state": item.state})
        case OutputExit():
            return sse("exit", dict(item.data))
        case OutputHandedOff():
            return sse("handed_off", handed_off_object(item))


def event_frame(event: Event) -> bytes:
    return sse(event.type, event_object(event), id_=event.seq)


def error_frame(error: TeleclaudeError) -> bytes:
    return sse("error", problem(error))


class FrameCache:
    """Frames by the identity of what they show, so that many followers of one stream share one encoding.

    Holds the last ``limit`` items; each lives as long as its frame, so no identity comes to mean another.
    """

    def __init__(self, limit: int = 32) -> None:
        self._limit = limit
        self._frames: OrderedDict[int, tuple[object, bytes]] = OrderedDict()

    def get(self, item: T, build: Callable[[T], bytes]) -> bytes:
        known = self._frames.get(id(item))
        if known is not None:
            return known[1]
        frame = build(item)
        self._frames[id(item)] = (item, frame)
        if len(self._frames) > self._limit:
            self._frames.popitem(last=False)
        return frame
