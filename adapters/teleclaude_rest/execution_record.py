"""The whole record of an execution as one file: a tar of its request, its outcome both outputs, and their order."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal, cast

from aiohttp import web
from pydantic import BaseModel

from teleclaude.wire.base import Command
from teleclaude.wire.executions import ReadRecord, RecordView
from teleclaude.wire.output import MAX_READ_BYTES, ReadOutput
from teleclaude_rest import handlers
from teleclaude_rest.exchange import Exchange

TAR = "application/x-tar"
BLOCK = tarfile.BLOCKSIZE


class RecordOptions(BaseModel):
    model_config = Command.model_config

    format: Literal["tar", "json"] = "tar"


async def download(exchange: Exchange) -> web.StreamResponse:
    form = exchange.options(RecordOptions).format
    command = await exchange.command(ReadRecord)
    record = cast(RecordView, await exchange.call(command))
    if form == "json":
        return handlers.view(exchange, record)
    name = f"{record.execution.id}.tar"
    headers = exchange.headers(Content_Type=TAR, Content_Disposition=f'attachment; filename="{name}"')
    response = web.StreamResponse(headers=headers)
    await response.prepare(exchange.request)
    async with exchange.until_ended():
        async for piece in _members(exchange, record):
            await response.write(piece)
    return response


async def _members(exchange: Exchange, record: RecordView) -> AsyncIterator[bytes]:
    execution = record.execution
    document = record.model_dump_json(by_alias=True, indent=2).encode() + b"\n"
    yield _header(f"{execution.id}/record.json", len(document), record)
    yield document + _padding(len(document))
    streams = execution.streams
    async for piece in _output(exchange, record, "stdout", streams.stdout.start, streams.stdout.end):
        yield piece
    async for piece in _output(exchange, record, "stderr", streams.stderr.start, streams.stderr.end):
        yield piece
    look = ReadOutput(id=execution.id, stream="order", limit=1)
    if end := (await exchange.surface.hub.call(exchange.principal, look)).stream_end:
        async for piece in _output(exchange, record, "order", 0, end):
            yield piece
    yield bytes(2 * BLOCK)


async def _output(
    exchange: Exchange, record: RecordView, name: Literal["stdout", "stderr", "order"], start: int, end: int
) -> AsyncIterator[bytes]:
    execution_id, position = record.execution.id, start
    yield _header(f"{execution_id}/{name}", end - start, record)
    while position < end:
        command = ReadOutput(id=execution_id, stream=name, from_=position, limit=min(MAX_READ_BYTES, end - position))
        chunk = await exchange.surface.hub.call(exchange.principal, command)
        if not chunk.data:
            raise ConnectionResetError("its output was dropped while it was sent")
        yield chunk.data
        position = chunk.end
    yield _padding(end - start)


def _header(name: str, size: int, record: RecordView) -> bytes:
    ended = record.execution.completed_at or record.execution.created_at
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, int(datetime.fromisoformat(ended).timestamp()), 0o600
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
