"""The whole record of an execution as one file: a tar of its request, its outcome and both outputs."""

from __future__ import annotations

import tarfile
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Literal, cast

from aiohttp import web
from pydantic import BaseModel

from teleclaude.wire.base import Command
from teleclaude.wire.executions import ReadRecord, RecordView, StreamView
from teleclaude.wire.sessions import MAX_READ_BYTES, ReadOutput
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
    mtime = int(datetime.fromisoformat(execution.completed_at or execution.created_at).timestamp())
    document = record.model_dump_json(by_alias=True, indent=2).encode() + b"\n"
    yield _header(f"{execution.id}/record.json", len(document), mtime)
    yield document + _padding(len(document))
    for name, totals in (("stdout", execution.streams.stdout), ("stderr", execution.streams.stderr)):
        size = totals.end - totals.start
        yield _header(f"{execution.id}/{name}", size, mtime)
        async for piece in _output(exchange, execution.id, cast(Literal["stdout", "stderr"], name), totals):
            yield piece
        yield _padding(size)
    yield bytes(2 * BLOCK)


async def _output(
    exchange: Exchange, execution_id: str, name: Literal["stdout", "stderr"], totals: StreamView
) -> AsyncIterator[bytes]:
    position = totals.start
    while position < totals.end:
        limit = min(MAX_READ_BYTES, totals.end - position)
        command = ReadOutput(id=execution_id, stream=name, from_=position, limit=limit)
        chunk = await exchange.surface.hub.call(exchange.principal, command)
        if not chunk.data:
            raise ConnectionResetError("its output was dropped while it was sent")
        yield chunk.data
        position = chunk.end


def _header(name: str, size: int, mtime: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, mtime, 0o600
    return entry.tobuf(tarfile.PAX_FORMAT)


def _padding(size: int) -> bytes:
    return bytes(-size % BLOCK)
