"""Several real daemons that know each other through one real Redis."""

from __future__ import annotations

import asyncio
import json
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.redis import RedisServer, redis_server
from tests.support.wait import eventually

KEY = secrets.token_hex(32)
HEARTBEAT_MS = 200
TTL_MS = 1500


def write_key(path: Path, key: str = KEY) -> Path:
    path.write_text(key + "\n")
    path.chmod(0o600)
    return path


def environ(name: str, url: str, key: Path, **more: str) -> dict[str, str]:
    """Of a daemon of the fleet. ``more`` are keys such as ``redis__peers``."""
    fixed = {
        "computer__name": name,
        "computer__trusted_dirs": json.dumps([{"path": tempfile.gettempdir()}]),
        "redis__enabled": "true",
        "redis__url": url,
        "redis__key_file": str(key),
        "redis__heartbeat_ms": str(HEARTBEAT_MS),
        "redis__peer_ttl_ms": str(TTL_MS),
    }
    return {f"TELECLAUDE_{name.upper()}": value for name, value in {**fixed, **more}.items()}


@dataclass
class Fleet:
    """``daemons`` by name; ``server`` is their Redis."""

    server: RedisServer
    key: Path
    daemons: dict[str, DaemonProcess] = field(default_factory=dict)

    def __getitem__(self, name: str) -> DaemonProcess:
        return self.daemons[name]

    @asynccontextmanager
    async def client(self, name: str) -> AsyncIterator[Client]:
        async with Client(self.daemons[name].socket) as client:
            yield client

    async def meet(self, timeout: float = 10) -> None:
        """Until everybody sees everybody online."""
        for name in self.daemons:
            async with self.client(name) as client:
                await eventually(lambda: self._sees_all(client), timeout=timeout)

    async def _sees_all(self, client: Client) -> bool:
        found = (await client.get("/computers"))["computers"]
        return {one["name"] for one in found if one["state"] == "online"} >= self.daemons.keys()


@asynccontextmanager
async def running_fleet(
    *names: str,
    server: RedisServer | None = None,
    url: str | None = None,
    more: Mapping[str, Mapping[str, str]] | None = None,
    meet: bool = True,
) -> AsyncIterator[Fleet]:
    """Daemons called ``names``; ``more`` are settings of some of them. With ``meet`` they know each other already."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(redis_server()) if server is None else server
        fleet = Fleet(redis, write_key(redis.folder / "key"))
        for name in names:
            settings = environ(name, url or redis.url, fleet.key, **(more or {}).get(name, {}))
            fleet.daemons[name] = await stack.enter_async_context(daemon_process(settings, start=False))
        await asyncio.gather(*(daemon.start() for daemon in fleet.daemons.values()))
        if meet:
            await fleet.meet()
        yield fleet


@contextmanager
def shared_fleet(*names: str, **options: Any) -> Iterator[Fleet]:
    """For the tests of a module, each of which has a loop of its own."""
    with asyncio.Runner() as runner:
        context = running_fleet(*names, **options)
        fleet = runner.run(context.__aenter__())
        try:
            yield fleet
        finally:
            runner.run(context.__aexit__(None, None, None))


async def refused(client: Client, method: str, path: str, body: Any = None, **kw: Any) -> tuple[int, str]:
    """Status and code of a refusal."""
    async with client.http.request(method, client.url(path), json=body, **kw) as response:
        answer = await response.json(content_type=None)
        assert response.status >= 400, answer
        return response.status, answer["code"]
