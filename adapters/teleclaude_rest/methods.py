"""The methods of the JSON-RPC surface. They follow from the route table: a command, its fields, its answer."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from teleclaude.model import Chunk, Screen
from teleclaude.wire.base import Command
from teleclaude.wire.screens import ScreenView
from teleclaude_rest.route import Route

JSON = "application/json"
OCTETS = "application/octet-stream"

Methods = dict[str, type[Command[Any]]]


def methods(routes: Iterable[Route]) -> Methods:
    """Commands by operation, for every route that answers in one piece."""
    return {route.command.operation: route.command for route in routes if route.command and is_method(route)}


def is_method(route: Route) -> bool:
    if route.command is None or route.websocket or route.streamed:
        return False
    return any(media.mime in (JSON, OCTETS) for media in route.replies)


def result_object(result: object) -> object:
    """A command's answer as JSON: the same object as over HTTP, bytes as base64 with their offsets."""
    match result:
        case BaseModel():
            return result.model_dump(mode="json", by_alias=True)
        case Chunk():
            data = base64.b64encode(result.data).decode()
            return {"from": result.start, "to": result.end, "end": result.stream_end, "b64": data}
        case Screen():
            return ScreenView.of(result).model_dump(mode="json", by_alias=True)
        case _:
            raise TypeError(f"{type(result).__name__} has no JSON form")
