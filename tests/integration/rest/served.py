"""A served adapter in front of a hub in memory, and ways to speak to it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import yarl

from teleclaude.api import AdapterContext
from teleclaude.clock import SystemClock
from teleclaude.tasks import TaskRegistry
from teleclaude_rest.adapter import RestAdapter
from teleclaude_rest.surface import Timing
from tests.integration.rest.memory_hub import MemoryHub

URL = "http://desk/v1"


@dataclass
class Served:
    """A running adapter. ``client`` speaks to its socket; paths are taken as they are, never re-quoted."""

    hub: MemoryHub
    adapter: RestAdapter
    client: aiohttp.ClientSession
    tasks: TaskRegistry

    def request(self, method: str, path: str, **kwargs: Any) -> Any:
        return self.client.request(method, yarl.URL(URL + path, encoded=True), **kwargs)

    async def json(self, method: str, path: str, body: object = None, **kwargs: Any) -> tuple[int, Any]:
        """Status and JSON body of a request with a JSON body."""
        if body is not None:
            kwargs["json"] = body
        async with self.request(method, path, **kwargs) as response:
            return response.status, await response.json(content_type=None)

    async def new(self, name: str = "build", **fields: object) -> str:
        """Start a session and answer its id."""
        status, reply = await self.json("POST", "/sessions", {"name": name, **fields})
        assert status == 201, reply
        return str(reply["id"])


@asynccontextmanager
async def serve(
    runtime: Path, *, timing: Timing | None = None, hub: MemoryHub | None = None, **settings: object
) -> AsyncIterator[Served]:
    """Run an adapter over ``runtime`` with ``rest`` settings changed by ``settings``."""
    hub = hub or MemoryHub()
    section: dict[str, object] = {
        "enabled": True,
        "listen": None,
        "allowed_hosts": None,
        "allowed_origins": None,
        "max_body_bytes": 8 << 20,
        "max_connections": 100,
    }
    async with TaskRegistry(SystemClock()) as tasks:
        context = AdapterContext(
            hub=hub,
            tasks=tasks,
            clock=SystemClock(),
            computer="desk",
            settings=SimpleNamespace(**{**section, **settings}),
            state_dir=runtime,
            runtime_dir=runtime,
        )
        async with RestAdapter(context, timing) as adapter:
            connector = aiohttp.UnixConnector(path=str(adapter.path), limit=0)
            async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as client:
                yield Served(hub, adapter, client, tasks)


class Wire:
    """A raw connection: bytes as written, and replies as they come."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        async with asyncio.timeout(10):
            await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case) of the next reply."""
        async with asyncio.timeout(10):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split()[1]), {name.lower(): value for name, value in pairs}

    async def reply(self) -> tuple[int, dict[str, str], Any]:
        """As ``head``, and the JSON body."""
        status, headers = await self.head()
        async with asyncio.timeout(10):
            body = await self.reader.readexactly(int(headers["content-length"]))
        return status, headers, json.loads(body)

    async def rest(self) -> bytes:
        """Everything until the server closes."""
        async with asyncio.timeout(10):
            return await self.reader.read()


@asynccontextmanager
async def wire(place: Path | int) -> AsyncIterator[Wire]:
    """A connection to a unix socket or to a port of this computer."""
    if isinstance(place, int):
        reader, writer = await asyncio.open_connection("127.0.0.1", place)
    else:
        reader, writer = await asyncio.open_unix_connection(str(place))
    try:
        yield Wire(reader, writer)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@dataclass
class Message:
    """One server-sent event; ``data`` is parsed."""

    event: str
    id: int | None
    data: Any


class Stream:
    """Reads server-sent events; ``comments`` counts those that passed by."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.comments = 0

    async def next(self, timeout: float = 10) -> Message | None:
        """The next event; None at the end."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(timeout):
            async for raw in self.response.content:
                line = raw.decode().rstrip("\n")
                if line.startswith(":"):
                    self.comments += 1
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                elif "data" in fields:
                    number = int(fields["id"]) if "id" in fields else None
                    return Message(fields.get("event", "message"), number, json.loads(fields["data"]))
        return None


@asynccontextmanager
async def follow(served: Served, path: str, **headers: str) -> AsyncIterator[Stream]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with served.request("GET", path, headers=named) as response:
        assert response.status == 200, await response.text()
        assert response.headers["Content-Type"] == "text/event-stream"
        yield Stream(response)
