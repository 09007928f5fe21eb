"""A request that works for every row of the route table, and what it is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from teleclaude_rest.route import Route
from tests.support.daemon import Client
from tests.support.outside import Outside


@dataclass(frozen=True, slots=True)
class Example:
    """A request that works. ``about`` is what its ``{id}`` means; ``status`` None: the row's own."""

    about: str = ""
    body: Any = None
    query: str = ""
    status: int | None = None


UNTIL = {"until": {"text": "x"}, "timeout_ms": 0}

EXAMPLES: Mapping[str, Example] = {
    "GET /rpc": Example(),
    "GET /health": Example(),
    "GET /ready": Example(),
    "GET /metrics": Example(),
    "GET /openapi.json": Example(),
    "GET /docs": Example(),
    "GET /whoami": Example(),
    "POST /tokens": Example(body={"name": "made"}),
    "GET /tokens": Example(),
    "DELETE /tokens/{id}": Example("token"),
    "GET /audit": Example(query="limit=5"),
    "GET /events": Example(),
    "POST /sessions": Example(body={"command": ["cat"], "cwd": "/tmp"}),
    "POST /sessions/adopt": Example(body={"target": "nobody", "socket": "/tmp/none"}, status=503),
    "GET /sessions": Example(),
    "GET /sessions/{id}": Example("terminal"),
    "PATCH /sessions/{id}": Example("terminal", {"tags": ["a"]}),
    "DELETE /sessions/{id}": Example("terminal", query="grace_ms=0"),
    "POST /sessions/{id}/input": Example("terminal", {"text": "x"}),
    "POST /sessions/{id}/keys": Example("terminal", {"keys": ["x"]}),
    "POST /sessions/{id}/resize": Example("terminal", {"cols": 80, "rows": 24}),
    "GET /sessions/{id}/screen": Example("terminal"),
    "GET /sessions/{id}/output": Example("terminal"),
    "GET /sessions/{id}/search": Example("terminal", query="text=x"),
    "GET /sessions/{id}/stream": Example("terminal"),
    "GET /sessions/{id}/tty": Example("terminal"),
    "POST /sessions/{id}/wait": Example("terminal", UNTIL),
    "POST /sessions/{id}/signal": Example("terminal", {"signal": "CONT"}),
    "POST /sessions/{id}/restart": Example("terminal", {}),
    "POST /sessions/{id}/handoff": Example("terminal", {"computer": "elsewhere"}, status=503),
    "POST /sessions/{id}/take": Example("terminal", status=409),
    "GET /computers": Example(),
    "GET /directories": Example(),
    "GET /agents": Example(),
    "PUT /sessions/{id}/files/{name}": Example("terminal", b"data", query="overwrite=true"),
    "GET /sessions/{id}/files": Example("terminal"),
    "GET /sessions/{id}/files/{name}": Example("terminal"),
    "POST /executions": Example(body={"argv": ["true"], "cwd": "/tmp"}),
    "GET /executions": Example(),
    "GET /executions/{id}": Example("execution"),
    "DELETE /executions/{id}": Example("ended"),
    "GET /executions/{id}/output": Example("execution"),
    "GET /executions/{id}/stream": Example("execution"),
    "GET /executions/{id}/record": Example("ended"),
    "POST /executions/{id}/cancel": Example("execution"),
    "POST /executions/{id}/pause": Example("execution"),
    "POST /executions/{id}/resume": Example("execution"),
    "POST /executions/{id}/interrupt": Example("execution"),
    "POST /executions/{id}/signal": Example("execution", {"signal": "CONT"}),
    "POST /executions/{id}/input": Example("execution", {"text": "x"}),
    "POST /executions/{id}/close-stdin": Example("execution"),
    "POST /plans": Example(body={"mode": "serial", "steps": [{"id": "a", "argv": ["true"], "cwd": "/tmp"}]}),
    "GET /plans": Example(),
    "GET /plans/{id}": Example("plan"),
    "POST /plans/{id}/cancel": Example("plan"),
    "POST /sessions/{id}/executions": Example("python", {"code": "1"}),
    "GET /sessions/{id}/variables": Example("python"),
    "PATCH /sessions/{id}/variables": Example("python", {"values": {"y": 1}}),
    "DELETE /sessions/{id}/variables": Example("python"),
    "POST /sessions/{id}/snapshots": Example("python", {"name": "one"}),
    "GET /sessions/{id}/snapshots": Example("python"),
    "POST /sessions/{id}/snapshots/{name}/restore": Example("python"),
}
"""A row that is not here fails the tests of the description: a new route needs an example."""


def title(route: Route) -> str:
    return f"{route.method} {route.path}"


class House:
    """What the examples are about, made when first needed and again when it was used up."""

    def __init__(self, outside: Outside, client: Client) -> None:
        self.outside = outside
        self.client = client

    async def one(self, about: str) -> str:
        """The id of a thing of this kind, as every example wants to find it."""
        match about:
            case "terminal":
                made = await self.client.new(["cat"])
                await self.outside.ask("PUT", f"/v1/sessions/{made['id']}/files/a", data=b"data")
            case "python":
                found = (await self.client.get("/sessions?kind=python&state=running"))["sessions"]
                made = found[0] if found else await self._python()
            case "execution":
                made = await self.client.post("/executions", {"argv": ["cat"], "stdin": True})
            case "ended":
                made = await self.client.post("/executions", {"argv": ["true"], "wait_ms": 10_000})
            case "plan":
                steps = [{"id": "a", "argv": ["sleep", "100"]}]
                made = await self.client.post("/plans", {"mode": "serial", "steps": steps})
            case "token":
                made = await self.client.post("/tokens", {"name": "unwanted"})
            case _:
                return ""
        return str(made["id"])

    async def _python(self) -> Any:
        made = await self.client.new(kind="python")
        await self.client.post(f"/sessions/{made['id']}/executions", {"code": "x = 1", "wait_ms": 20_000})
        await self.client.post(f"/sessions/{made['id']}/snapshots", {"name": "a"})
        return made

    async def tidy(self) -> None:
        for execution in (await self.client.get("/executions?limit=10000"))["executions"]:
            if execution["completed_at"] is None:
                await self.client.http.post(self.client.url(f"/executions/{execution['id']}/cancel"))
        for plan in (await self.client.get("/plans"))["plans"]:
            await self.client.http.post(self.client.url(f"/plans/{plan['id']}/cancel"))
        for session in (await self.client.get("/sessions"))["sessions"]:
            await self.client.delete(f"/sessions/{session['id']}?purge=true&grace_ms=0")
        for token in (await self.client.get("/tokens"))["tokens"]:
            await self.client.delete(f"/tokens/{token['id']}")
