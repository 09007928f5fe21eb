"""Commands that run something and say how it ended."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

from teleclaude.errors import InvalidError
from teleclaude.model import Kind
from teleclaude.wire.executions import ExecutionView, GetExecution, StartExecution
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.python import RunCell
from teleclaude.wire.sessions import CreateSession, GetSession, ListSessions, SessionView
from teleclaude_telegram import render
from teleclaude_telegram.ask import Ask
from teleclaude_telegram.commands.showing import send_album, send_spooled
from teleclaude_telegram.keyboards import HOUR
from teleclaude_telegram.validation import checked

WAIT_MS = 30_000
LONG_MS = 30_000
FILE_BYTES = 4 << 20
SHOWN_BYTES = 3000
PYTHON_SESSION = "py"
PATIENCE_SECONDS = 24 * HOUR
_IMAGES = {"image/png": "png", "image/jpeg": "jpg"}


async def run(ask: Ask) -> None:
    """In a topic: on the session's computer and in its directory."""
    if not ask.args:
        raise InvalidError("write the command: /run COMMAND", operation="execution.start")
    fields: dict[str, object] = {"script": ask.args, "tags": ["telegram"]}
    if ask.there is not None:
        fields |= {"cwd": ask.there.cwd, "computer": ask.there.computer}
    elif ask.place is not None:
        fields["cwd"] = (await ask.call(GetSession(id=ask.place.session_id))).cwd
    execution = await ask.call(checked(StartExecution, fields), "-run")
    await ask.beside("run", execution.id, id=_reference(ask, execution))


async def cell(ask: Ask) -> None:
    if not ask.args:
        raise InvalidError("write the code: /py CODE", operation="session.execute")
    session_id = await _python_session(ask)
    execution = await ask.call(checked(RunCell, {"id": session_id, "code": ask.args, "queue": True}), "-cell")
    await ask.beside("cell", execution.id, id=_reference(ask, execution))


async def _python_session(ask: Ask) -> str:
    """The topic's own, or the one that all cells from other places share."""
    if ask.there is not None:
        return await _python_session_there(ask, ask.there)
    if ask.place is not None:
        session = await ask.call(GetSession(id=ask.place.session_id))
        if session.kind is Kind.PYTHON:
            return session.id
    for session in (await ask.call(ListSessions(kind=Kind.PYTHON, state="running"))).sessions:
        if session.name == PYTHON_SESSION:
            return session.id
    return (await ask.call(CreateSession(name=PYTHON_SESSION, kind=Kind.PYTHON), "-session")).id


async def _python_session_there(ask: Ask, there: SessionView) -> str:
    if there.kind is Kind.PYTHON:
        return f"{there.computer}/{there.id}"
    request = ListSessions(computer=there.computer, kind=Kind.PYTHON, state="running")
    for session in (await ask.call(request)).sessions:
        if session.name == PYTHON_SESSION:
            return f"{there.computer}/{session.id}"
    wanted = CreateSession(name=PYTHON_SESSION, kind=Kind.PYTHON, computer=there.computer, cwd=there.cwd)
    return f"{there.computer}/{(await ask.call(wanted, '-session')).id}"


def _reference(ask: Ask, execution: ExecutionView) -> str:
    """By which it is asked for, where it runs."""
    return execution.id if ask.there is None else f"{ask.there.computer}/{execution.id}"


async def follow_run(ask: Ask, doc: Mapping[str, Any]) -> None:
    """Wait for its end, and say it. Raises ``TeleclaudeError``."""
    await _said(ask, doc["id"], await _ended(ask, doc["id"]))
    await ask.served()


async def follow_cell(ask: Ask, doc: Mapping[str, Any]) -> None:
    """Raises ``TeleclaudeError``."""
    await _cell_said(ask, doc["id"], await _ended(ask, doc["id"]))
    await ask.served()


async def _ended(ask: Ask, reference: str) -> ExecutionView:
    clock = ask.tools.room.context.clock
    deadline = clock.monotonic() + PATIENCE_SECONDS
    execution = await ask.call(checked(GetExecution, {"id": reference}))
    while execution.completed_at is None and clock.monotonic() < deadline:
        execution = await ask.call(checked(GetExecution, {"id": reference, "wait_ms": WAIT_MS}))
    return execution


async def _said(ask: Ask, reference: str, execution: ExecutionView) -> None:
    out = await _output(ask, reference, execution, "stdout") + await _output(ask, reference, execution, "stderr")
    text = render.clean(out.decode(errors="replace"))
    failed = execution.status != "completed"
    silent = not failed and (execution.duration_ms or 0) < LONG_MS
    await ask.reply(render.execution(execution, text), silent=silent, tidy=False)
    if render.units(text) > SHOWN_BYTES:
        await send_spooled(ask, text.encode(), f"{execution.id}.txt")


async def _cell_said(ask: Ask, reference: str, execution: ExecutionView) -> None:
    await _said(ask, reference, execution)
    display = None if execution.result is None else execution.result.display
    await send_album(ask, _figures(display or {}))


def _figures(display: Mapping[str, object]) -> list[tuple[str, bytes]]:
    """The pictures among the forms of a value, in order. Of one figure there is one, whatever forms it has."""
    found: dict[str, tuple[str, object]] = {}
    for mime, data in display.items():
        kind, _, which = mime.partition(";")
        if kind in _IMAGES and (which not in found or kind == "image/png"):
            found[which] = (_IMAGES[kind], data)
    pictures = [(suffix, _picture(data)) for suffix, data in found.values()]
    return [(f"figure-{number}.{suffix}", data) for number, (suffix, data) in enumerate(pictures, 1) if data]


def _picture(value: object) -> bytes | None:
    if not isinstance(value, str):
        return None
    try:
        return base64.b64decode(value, validate=False)
    except (binascii.Error, ValueError):
        return None


async def _output(ask: Ask, reference: str, execution: ExecutionView, stream: str) -> bytes:
    streams = execution.streams
    totals = streams.stdout if stream == "stdout" else streams.stderr
    parts: list[bytes] = []
    start = max(totals.start, totals.end - FILE_BYTES)
    while start < totals.end:
        request = {
            "id": reference,
            "stream": stream,
            "from": start,
            "limit": min(1 << 20, totals.end - start),
        }
        chunk = await ask.call(checked(ReadOutput, request))
        if chunk.end <= start:
            break
        parts.append(chunk.data)
        start = chunk.end
    return b"".join(parts)
