"""Commands and replies as bytes, for the way to another computer and back. Pure.

A message is JSON preceded by its length (4 bytes, big-endian) and followed by the bytes of its binary fields, so that
output and typed bytes travel as they are.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import BaseModel, TypeAdapter, ValidationError

from teleclaude.errors import InvalidError, MalformedError, TeleclaudeError, UnavailableError
from teleclaude.wire import executions, files, handoff, jsonio, output, python, screens, sessions, waits
from teleclaude.wire.base import Command
from teleclaude.wire.problems import error_from, invalid, problem

R = TypeVar("R")

OPERATION = "remote"

_LENGTH_BYTES = 4


def _by_operation(commands: Iterable[type[Command[Any]]]) -> Mapping[str, type[Command[Any]]]:
    return {command.operation: command for command in commands}


COMMANDS: Mapping[str, type[Command[Any]]] = _by_operation(
    (
        sessions.CreateSession,
        sessions.ListSessions,
        sessions.GetSession,
        sessions.UpdateSession,
        sessions.CloseSession,
        sessions.SendInput,
        sessions.SendKeys,
        sessions.SendBytes,
        sessions.ResizeSession,
        screens.ReadScreen,
        screens.RenderScreen,
        output.ReadOutput,
        output.SearchOutput,
        output.FollowOutput,
        waits.WaitSession,
        sessions.SignalSession,
        sessions.RestartSession,
        files.ListFiles,
        executions.StartExecution,
        executions.GetExecution,
        executions.ListExecutions,
        executions.DeleteExecution,
        executions.ReadRecord,
        executions.CancelExecution,
        executions.PauseExecution,
        executions.ResumeExecution,
        executions.InterruptExecution,
        executions.SignalExecution,
        executions.InputExecution,
        executions.CloseStdinExecution,
        python.RunCell,
        python.ListVariables,
        python.UpdateVariables,
        python.ClearVariables,
        python.TakeSnapshot,
        python.ListSnapshots,
        python.RestoreSnapshot,
        handoff.HandoffSession,
        *handoff.BETWEEN_COMPUTERS,
    )
)
"""All that one computer may ask of another, by operation."""


def join(document: bytes, blob: bytes = b"") -> bytes:
    """One message of JSON and raw bytes."""
    return len(document).to_bytes(_LENGTH_BYTES) + document + blob


def split(message: bytes) -> tuple[bytes, bytes]:
    """Its JSON and its raw bytes. Raises ``MalformedError``."""
    size = int.from_bytes(message[:_LENGTH_BYTES])
    body = message[_LENGTH_BYTES:]
    if len(message) < _LENGTH_BYTES or len(body) < size:
        raise MalformedError("the message is cut short", operation=OPERATION)
    return body[:size], body[size:]


def encode_command(command: Command[Any]) -> bytes:
    blobs = _blobs_of(command)
    fields = command.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=set(blobs))
    document = {"operation": command.operation, "fields": fields, "blobs": _lengths(blobs)}
    return join(jsonio.dumps(document), b"".join(blobs.values()))


def decode_command(message: bytes) -> Command[Any]:
    """Raises ``MalformedError`` for what is no message and ``InvalidError`` for what is no command."""
    document, blob = _opened(message)
    operation, fields = document.get("operation"), document.get("fields")
    kind = COMMANDS.get(operation) if isinstance(operation, str) else None
    if kind is None or not isinstance(fields, dict) or document.keys() != {"operation", "fields", "blobs"}:
        raise InvalidError(f"{str(operation)[:64]} is not offered to other computers", operation=OPERATION)
    blobs = _cut(document, blob)
    try:
        for name, data in blobs.items():
            _blob_type(kind, name).validate_python(data)
        command = kind.model_validate_json(jsonio.dumps({**fields, **dict.fromkeys(blobs, "")}))
    except ValidationError as error:
        raise invalid(error, operation=kind.operation) from None
    return command.model_copy(update=blobs)


def encode_reply(reply: object) -> bytes:
    """What a command was answered with: a view, a dataclass of the model, bytes or None."""
    if isinstance(reply, bytes):
        return join(jsonio.dumps({"reply": None, "blobs": {"": len(reply)}}), reply)
    blobs = _blobs_of(reply)
    kind: Any = type(reply)
    dumped = _adapter(kind).dump_python(reply, mode="json", by_alias=True, exclude=set(blobs) or None)
    return join(jsonio.dumps({"reply": dumped, "blobs": _lengths(blobs)}), b"".join(blobs.values()))


def encode_error(error: TeleclaudeError) -> bytes:
    return join(jsonio.dumps({"error": problem(error), "blobs": {}}))


def encode_plain(reply: Mapping[str, Any]) -> bytes:
    """The answer to a message that is no command."""
    return join(jsonio.dumps({"reply": dict(reply), "blobs": {}}))


def decode_plain(message: bytes) -> dict[str, Any]:
    """What ``encode_plain`` made; raises the error that it stands for, or ``MalformedError``."""
    document, _ = _opened(message)
    if "error" in document:
        raise _error(document["error"])
    reply = document.get("reply")
    if not isinstance(reply, dict):
        raise MalformedError("the answer is no object", operation=OPERATION)
    return reply


def decode_reply(command: Command[R], message: bytes) -> R:
    """The reply to ``command``, or raises the error that it stands for; ``UnavailableError`` for what cannot be
    understood, as from another version.
    """
    try:
        document, blob = _opened(message)
        blobs = _cut(document, blob)
        if "error" in document:
            raise _error(document["error"])
        kind = reply_type(type(command))
        if kind is bytes:
            return cast(R, blobs[""])
        return cast(R, _rebuilt(kind, document.get("reply"), blobs))
    except (ValidationError, MalformedError, KeyError, TypeError) as error:
        raise UnavailableError(
            "the other computer's answer is not understood; do both run the same version?", operation=command.operation
        ) from error


def _error(found: object) -> TeleclaudeError:
    if not isinstance(found, dict):
        raise MalformedError("an error is an object", operation=OPERATION)
    error = error_from(found)
    known = {"type", "title", "status", "detail", "code", "operation"}
    error.fields.update({name: value for name, value in found.items() if name not in known})
    return error


def _rebuilt(kind: Any, dumped: object, blobs: Mapping[str, bytes]) -> Any:
    if isinstance(dumped, dict):
        dumped = {**dumped, **dict.fromkeys(blobs, "")}
    reply = _adapter(kind).validate_json(json.dumps(dumped))
    if not blobs:
        return reply
    if isinstance(reply, BaseModel):
        return reply.model_copy(update=dict(blobs))
    return dataclasses.replace(reply, **blobs)


@lru_cache
def _blob_type(kind: type[Command[Any]], name: str) -> TypeAdapter[bytes]:
    """What a binary field may hold. Raises ``InvalidError`` for a field that is none."""
    field = kind.model_fields.get(name)
    if field is None or field.annotation is not bytes:
        raise InvalidError(f"{kind.operation} has no binary field {name[:64]}", operation=kind.operation)
    return TypeAdapter(Annotated[bytes, field])


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def reply_type(command: type[Command[Any]]) -> Any:
    """The ``R`` of ``Command[R]``."""
    for base in command.__mro__[1:]:
        arguments = getattr(base, "__pydantic_generic_metadata__", {}).get("args") or get_args(base)
        if arguments:
            return arguments[0]
    raise TypeError(f"{command.__name__} does not say what it answers")


def _blobs_of(value: object) -> dict[str, bytes]:
    if isinstance(value, BaseModel):
        found = {name: getattr(value, name) for name in type(value).model_fields}
    elif dataclasses.is_dataclass(value):
        found = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    else:
        found = {}
    return {name: data for name, data in found.items() if isinstance(data, bytes)}


def _lengths(blobs: Mapping[str, bytes]) -> dict[str, int]:
    return {name: len(data) for name, data in blobs.items()}


def _opened(message: bytes) -> tuple[dict[str, Any], bytes]:
    document, blob = split(message)
    value = jsonio.loads(document, operation=OPERATION)
    if not isinstance(value, dict):
        raise MalformedError("the message is no object", operation=OPERATION)
    return value, blob


def _cut(document: Mapping[str, Any], blob: bytes) -> dict[str, bytes]:
    lengths = document.get("blobs")
    if not isinstance(lengths, dict) or not all(type(size) is int and size >= 0 for size in lengths.values()):
        raise MalformedError("the message does not say how long its parts are", operation=OPERATION)
    if sum(lengths.values()) != len(blob):
        raise MalformedError("the message is cut short", operation=OPERATION)
    blobs, position = {}, 0
    for name, size in lengths.items():
        blobs[name] = blob[position : position + size]
        position += size
    return blobs
