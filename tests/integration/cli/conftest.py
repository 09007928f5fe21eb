"""A scripted daemon on a real socket, and the real command line as a process."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

DEADLINE_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived: ``path`` still percent-encoded, below ``/v1``."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass(slots=True)
class ScriptedDaemon:
    """Answers what a test laid down for a path, in order, the last answer for ever; anything else is ``not_found``."""

    runtime: Path
    seen: list[Seen] = field(default_factory=list)
    url: str = ""
    _answers: dict[tuple[str, str], deque[Handler]] = field(default_factory=dict)

    @property
    def socket(self) -> Path:
        return self.runtime / "teleclaude.sock"

    def on(self, method: str, path: str, *handlers: Handler) -> None:
        self._answers[method, path] = deque(handlers)

    def answer(self, method: str, path: str, value: object, *, status: int = 200) -> None:
        self.on(method, path, constant(value, status=status))

    def refuse(self, method: str, path: str, code: str, status: int, **fields: object) -> None:
        self.on(method, path, refusal(code, status, **fields))

    async def handle(self, request: web.Request) -> web.StreamResponse:
        raw, _, _ = request.raw_path.partition("?")
        path = raw.removeprefix("/v1")
        text = await request.text()
        body = json.loads(text) if text else None
        self.seen.append(Seen(request.method, path, dict(request.query), dict(request.headers), body))
        handlers = self._answers.get((request.method, path))
        if handlers is None:
            return await refusal("not_found", 404)(request)
        handler = handlers.popleft() if len(handlers) > 1 else handlers[0]
        return await handler(request)


def constant(value: object, *, status: int = 200) -> Handler:
    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(value, status=status)

    return handler


def refusal(code: str, status: int, **fields: object) -> Handler:
    problem = {"detail": f"no, {code}", "code": code, "status": status, "operation": "test", **fields}

    async def handler(_: web.Request) -> web.StreamResponse:
        return web.json_response(problem, status=status, content_type="application/problem+json")

    return handler


def piece(start: int, data: bytes, end: int) -> Handler:
    """A reply of ``GET …/output``: ``data`` from ``start``, of a stream that ends at ``end``."""

    async def handler(_: web.Request) -> web.StreamResponse:
        offsets = {"From": start, "To": start + len(data), "End": end}
        return web.Response(body=data, headers={f"Teleclaude-{name}": str(value) for name, value in offsets.items()})

    return handler


def stream(*frames: str, hold: asyncio.Event | None = None) -> Handler:
    """Server-sent events; the connection ends after them, or once ``hold`` is set."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for frame in frames:
            await response.write(frame.encode())
        if hold is not None:
            await hold.wait()
        return response

    return handler


@asynccontextmanager
async def serving(daemon: ScriptedDaemon) -> AsyncIterator[None]:
    """The daemon listens on its socket and on a port of the loopback."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", daemon.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.UnixSite(runner, str(daemon.socket)).start()
        tcp = web.TCPSite(runner, "127.0.0.1", 0)
        await tcp.start()
        assert tcp._server is not None
        port = tcp._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        daemon.url = f"http://127.0.0.1:{port}"
        yield
    finally:
        await runner.cleanup()


@pytest.fixture
def runtime() -> Iterator[Path]:
    """A runtime directory whose socket path is short enough."""
    directory = Path(tempfile.mkdtemp())
    yield directory
    shutil.rmtree(directory)


@pytest.fixture
async def daemon(runtime: Path) -> AsyncIterator[ScriptedDaemon]:
    scripted = ScriptedDaemon(runtime)
    async with serving(scripted):
        yield scripted


@dataclass(frozen=True, slots=True)
class Ended:
    code: int
    out: str
    err: str
    data: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class CommandLine:
    """Runs the real program against the daemon in ``runtime``."""

    command = (sys.executable, "-m", "teleclaude")

    def __init__(self, runtime: Path) -> None:
        self.environ = {**os.environ, "TELECLAUDE_RUNTIME_DIR": str(runtime), "PYTHONWARNINGS": "error"}

    async def __call__(self, *argv: str | bytes, stdin: bytes = b"") -> Ended:
        pipe = asyncio.subprocess.PIPE
        async with self.started(*argv, stdin=pipe, stdout=pipe, stderr=pipe) as process:
            out, err = await asyncio.wait_for(process.communicate(stdin), DEADLINE_SECONDS)
            assert process.returncode is not None
            return Ended(process.returncode, out.decode(errors="replace"), err.decode(errors="replace"), out)

    @asynccontextmanager
    async def started(self, *argv: str | bytes, **streams: Any) -> AsyncIterator[asyncio.subprocess.Process]:
        process = await asyncio.create_subprocess_exec(*self.command, *argv, env=self.environ, **streams)
        try:
            yield process
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await asyncio.wait_for(process.wait(), DEADLINE_SECONDS)


@pytest.fixture
def cli(runtime: Path) -> CommandLine:
    return CommandLine(runtime)


@pytest.fixture
def session() -> dict[str, Any]:
    return {
        "id": "01SESSION",
        "name": "web",
        "kind": "terminal",
        "computer": "mill",
        "state": "running",
        "activity": "idle",
        "command": None,
        "agent": None,
        "cwd": "/srv/web",
        "cols": 120,
        "rows": 40,
        "title": "",
        "tags": [],
        "epoch": 1,
        "created_at": "2026-01-02T11:55:00.000Z",
        "last_activity_at": "2026-01-02T11:55:00.000Z",
        "exit": None,
        "output": {"start": 0, "end": 0},
        "attach": None,
    }
