"""A daemon that listens on TCP too, and a way to speak to it as somebody from outside."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import yarl

from tests.support.daemon import Client, DaemonProcess, daemon_process


@dataclass(frozen=True)
class Outside:
    """``port`` is the TCP port, ``token`` the owner's."""

    daemon: DaemonProcess
    port: int
    token: str

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def bearer(self, token: str | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token if token is None else token}"}

    async def ask(
        self, method: str, path: str, *, token: str | None = None, headers: Mapping[str, str] | None = None, **kw: Any
    ) -> tuple[int, Any]:
        """Status and body (JSON where it is) of one request on a connection of its own; ``token`` "" shows none."""
        shown = {} if token == "" else self.bearer(token)
        url = yarl.URL(f"{self.base}{path}", encoded=True)
        async with (
            aiohttp.ClientSession() as http,
            http.request(method, url, headers={**shown, **(headers or {})}, **kw) as response,
        ):
            data = await response.read()
            if "json" in response.headers.get("Content-Type", ""):
                return response.status, await response.json(content_type=None)
            return response.status, data

    async def code(self, method: str, path: str, **kw: Any) -> tuple[int, str]:
        """Status and code of a refusal."""
        status, body = await self.ask(method, path, **kw)
        return status, body["code"] if isinstance(body, dict) and "code" in body else ""

    async def new_token(self, name: str, **fields: Any) -> str:
        async with Client(self.daemon.socket) as client:
            return str((await client.post("/tokens", {"name": name, **fields}))["token"])

    async def revoke(self, name: str) -> None:
        async with Client(self.daemon.socket) as client:
            await client.delete(f"/tokens/{name}")


@asynccontextmanager
async def outside_daemon(environ: Mapping[str, str] | None = None) -> AsyncIterator[Outside]:
    async with daemon_process({"TELECLAUDE_REST__LISTEN": "127.0.0.1:0", **(environ or {})}) as daemon:
        yield await look(daemon)


@contextmanager
def shared_outside_daemon(environ: Mapping[str, str] | None = None) -> Iterator[Outside]:
    """One for the tests of a module, each of which has a loop of its own."""
    with asyncio.Runner() as runner:
        context = outside_daemon(environ)
        outside = runner.run(context.__aenter__())
        try:
            yield outside
        finally:
            runner.run(context.__aexit__(None, None, None))


async def look(daemon: DaemonProcess) -> Outside:
    """Where a running daemon listens."""
    async with Client(daemon.socket) as client:
        ready = await client.get("/ready")
    found = re.search(r"http://127\.0\.0\.1:(\d+)", ready["checks"]["rest"]["detail"])
    assert found, ready
    return Outside(daemon, int(found[1]), (daemon.state / "token").read_text().strip())
