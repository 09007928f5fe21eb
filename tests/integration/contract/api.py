"""A client that remembers what it made, and short words for what the tests ask most."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import yarl

from tests.support.daemon import Client


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Any
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        return str(self.json["code"])

    @property
    def range(self) -> tuple[int, int, int]:
        """From, to and end of the stream, as the headers say."""
        return tuple(int(self.headers[f"Teleclaude-{name}"]) for name in ("From", "To", "End"))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Frame:
    """One server-sent event; ``id`` None when it has none."""

    event: str
    id: int | None
    data: Any


class Api(Client):
    """Drops, at the end, every session and execution that is there."""

    async def ask(self, method: str, path: str, body: Any = None, *, raw: bytes | None = None, **kw: Any) -> Reply:
        """Whatever the answer is. ``path`` is sent as it stands; ``raw`` goes as it is, said to be JSON."""
        if raw is not None:
            kw = {"data": raw, "headers": {"Content-Type": "application/json", **kw.pop("headers", {})}, **kw}
        elif body is not None:
            kw["json"] = body
        url = yarl.URL(self.url(path), encoded=True)
        async with self.http.request(method, url, **kw) as response:
            return Reply(response.status, response.headers, await response.read())

    async def refused(self, method: str, path: str, body: Any = None, **kw: Any) -> tuple[int, str]:
        """Status and code of a refusal."""
        reply = await self.ask(method, path, body, **kw)
        assert reply.status >= 400, reply
        return reply.status, reply.code

    async def run(self, *argv: str, wait_ms: int = 10_000, **fields: Any) -> Any:
        """An execution, ended unless ``wait_ms`` is 0."""
        body = {"argv": list(argv), "wait_ms": wait_ms, **fields} if argv else {"wait_ms": wait_ms, **fields}
        return await self.post("/executions", body)

    async def ended(self, id_: str) -> Any:
        return await self.get(f"/executions/{id_}?wait_ms=20000")

    async def cell(self, session: str, code: str, **fields: Any) -> Any:
        return await self.post(f"/sessions/{session}/executions", {"code": code, "wait_ms": 20_000, **fields})

    async def read(self, path: str) -> Reply:
        reply = await self.ask("GET", path)
        assert reply.status == 200, reply
        return reply

    @asynccontextmanager
    async def frames(self, path: str, **headers: str) -> AsyncIterator[AsyncIterator[Frame]]:
        async with self.http.get(self.url(path), headers=headers) as response:
            assert response.status == 200, await response.read()
            assert response.content_type == "text/event-stream"
            yield _frames(response)

    async def clean(self) -> None:
        plans = (await self.get("/plans"))["plans"]
        for plan in plans:
            if plan["status"] in ("running", "stopping"):
                await self.ask("POST", f"/plans/{plan['id']}/cancel")
        for execution in (await self.get("/executions?limit=10000"))["executions"]:
            await self.ask("POST", f"/executions/{execution['id']}/cancel")
        for execution in (await self.get("/executions?limit=10000"))["executions"]:
            if (await self.ended(execution["id"]))["session_id"] is None:
                await self.ask("DELETE", f"/executions/{execution['id']}")
        for session in (await self.get("/sessions"))["sessions"]:
            await self.delete(f"/sessions/{session['id']}?purge=true&grace_ms=0")


async def _frames(response: aiohttp.ClientResponse) -> AsyncIterator[Frame]:
    fields: dict[str, str] = {}
    while line := await asyncio.wait_for(response.content.readline(), 10):
        text = line.decode().rstrip("\n")
        if text:
            name, _, value = text.partition(":")
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            id_ = int(fields["id"]) if "id" in fields else None
            yield Frame(fields["event"], id_, json.loads(fields["data"]))
            fields = {}
        else:
            fields = {}
