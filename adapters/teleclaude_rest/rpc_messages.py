"""JSON-RPC 2.0 as messages: what a frame asks for, and how answers are put. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teleclaude.errors import InvalidError, MalformedError, MethodError, TeleclaudeError, TooLargeError
from teleclaude.wire import jsonio
from teleclaude.wire.problems import problem

OPERATION = "rpc"

MAX_BATCH = 50
MAX_ID_LENGTH = 1024

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS = -32700, -32600, -32601, -32602
OURS = -32010
"""Every other error, with the code of ours in ``data.code``."""

_MEMBERS = frozenset({"jsonrpc", "id", "method", "params"})

Id = int | str | None


@dataclass(frozen=True, slots=True)
class Call:
    """``notification``: nobody waits for an answer."""

    id: Id
    method: str
    params: Mapping[str, Any]
    notification: bool


class RefusedError(Exception):
    """A request that is none; ``reply`` is what its sender is told."""

    def __init__(self, code: int, detail: str, id_: Id = None) -> None:
        super().__init__(detail)
        self.reply = _error(id_, code, MalformedError(detail, operation=OPERATION))


@dataclass(frozen=True, slots=True)
class Frame:
    """The calls of one frame in order, an answer in place of each that is refused. ``batch``: answered together."""

    items: tuple[Call | Mapping[str, Any], ...]
    batch: bool


def read_frame(text: str) -> Frame:
    """Raises ``RefusedError`` when the frame as a whole is to be refused."""
    value = _parse(text)
    if not isinstance(value, list):
        return Frame((_item(value),), batch=False)
    if not value:
        raise RefusedError(INVALID_REQUEST, "a batch holds at least one request")
    if len(value) > MAX_BATCH:
        error = TooLargeError(f"a batch holds at most {MAX_BATCH} requests; send several", operation=OPERATION)
        refused = RefusedError(OURS, error.detail)
        refused.reply = failure(None, error)
        raise refused
    return Frame(tuple(_item(entry) for entry in value), batch=True)


def success(id_: Id, result: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def failure(id_: Id, error: TeleclaudeError) -> dict[str, Any]:
    """Wrong params have the standard code, everything else that the core refuses has ours."""
    match error:
        case MethodError():
            return _error(id_, METHOD_NOT_FOUND, error)
        case InvalidError():
            return _error(id_, INVALID_PARAMS, error)
        case _:
            return _error(id_, OURS, error)


def refusal(id_: Id, code: int, detail: str) -> dict[str, Any]:
    return RefusedError(code, detail, id_).reply


def notification(method: str, params: object) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def _error(id_: Id, code: int, error: TeleclaudeError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": error.detail, "data": problem(error)}}


def _parse(text: str) -> Any:
    try:
        return jsonio.loads(text.encode(), operation=OPERATION)
    except MalformedError as error:
        raise RefusedError(INVALID_REQUEST if _is_lax_json(text) else PARSE_ERROR, error.detail) from None


def _is_lax_json(text: str) -> bool:
    """Whether a lenient parser would read it: then it is a bad request rather than no JSON."""
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _item(value: object) -> Call | Mapping[str, Any]:
    try:
        return _call(value)
    except RefusedError as refused:
        return refused.reply


def _call(value: object) -> Call:
    if not isinstance(value, dict):
        raise RefusedError(INVALID_REQUEST, "a request is a JSON object")
    id_ = value.get("id")
    if not _is_id(id_):
        raise RefusedError(INVALID_REQUEST, f"id is a whole number or a text of at most {MAX_ID_LENGTH} characters")
    if value.get("jsonrpc") != "2.0":
        raise RefusedError(INVALID_REQUEST, 'jsonrpc has to be "2.0"', id_)
    if unknown := sorted(value.keys() - _MEMBERS):
        raise RefusedError(INVALID_REQUEST, f"{unknown[0][:60]!a} is no member of a request", id_)
    method, params = value.get("method"), value.get("params", {})
    if not isinstance(method, str):
        raise RefusedError(INVALID_REQUEST, "method is a text", id_)
    if not isinstance(params, dict):
        raise RefusedError(INVALID_PARAMS, "params is an object", id_)
    return Call(id_, method, params, notification="id" not in value)


def _is_id(value: object) -> bool:
    if isinstance(value, str):
        return len(value) <= MAX_ID_LENGTH and value.isprintable()
    return value is None or (isinstance(value, int) and not isinstance(value, bool))
