"""A session's file drop: bytes in and out in pieces, each piece read or written off the loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from teleclaude.model import Principal
from teleclaude.service.drop import Drop
from teleclaude.service.lookup import Lookup
from teleclaude.wire.base import Command
from teleclaude.wire.files import FileList, FileView, GetFile, ListFiles, PutFile

PIECE_BYTES = 256 << 10

Handler = Callable[[Principal, Any], Awaitable[Any]]


class FileReader:
    """Implements ``teleclaude.api.FileContent``: the first ``size`` bytes, however the file grows meanwhile."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.size = size
        self._descriptor = descriptor
        self._left = size

    async def read(self) -> bytes:
        if not self._left:
            return b""
        data = await asyncio.to_thread(os.read, self._descriptor, min(PIECE_BYTES, self._left))
        self._left -= len(data)
        return data


class Files:
    def __init__(self, lookup: Lookup, drop: Drop) -> None:
        self._lookup = lookup
        self._drop = drop

    def handlers(self) -> Mapping[type[Command[Any]], Handler]:
        return {ListFiles: self.list}

    async def list(self, principal: Principal, command: ListFiles) -> FileList:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        return FileList(files=await asyncio.to_thread(self._drop.files, found.session.id))

    async def put(self, principal: Principal, command: PutFile, body: AsyncIterator[bytes]) -> FileView:
        """Store what ``body`` gives; when it raises, nothing is left."""
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        session_id = found.session.id
        incoming = await asyncio.to_thread(self._drop.begin, session_id)
        try:
            async for piece in body:
                await asyncio.to_thread(self._drop.write, incoming, piece)
            return await asyncio.to_thread(
                self._drop.finish, session_id, incoming, command.name, overwrite=command.overwrite
            )
        finally:
            # In place of a thread, which a cancelled caller could not wait for: this only unlinks and closes.
            self._drop.discard(incoming)

    @asynccontextmanager
    async def open(self, principal: Principal, command: GetFile) -> AsyncIterator[FileReader]:
        found = await self._lookup.find(principal, command.id, operation=command.operation)
        descriptor, size = await asyncio.to_thread(self._drop.open, found.session.id, command.name)
        try:
            yield FileReader(descriptor, size)
        finally:
            os.close(descriptor)

    async def forget(self, session_id: str) -> None:
        await asyncio.to_thread(self._drop.forget, session_id)
