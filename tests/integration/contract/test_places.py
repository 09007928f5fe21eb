"""Routes about the daemon itself: health, readiness, figures, description, events, menus."""

from __future__ import annotations

import socket
import time

import teleclaude
from tests.integration.contract.api import Api
from tests.support.outside import Outside


async def test_health_says_little(api: Api) -> None:
    health = await api.get("/health")
    assert health.keys() == {"status", "version", "computer", "uptime_ms"}
    assert (health["status"], health["version"]) == ("ok", teleclaude.__version__)
    assert health["computer"] == socket.gethostname().lower().split(".")[0] or health["computer"]
    assert isinstance(health["uptime_ms"], int)
    assert (await api.get("/health"))["uptime_ms"] >= health["uptime_ms"]


async def test_ready_tells_of_every_part(api: Api) -> None:
    begin = time.monotonic()
    ready = await api.get("/ready")
    assert time.monotonic() - begin < 2
    assert ready.keys() >= {"status", "checks"}
    assert ready["checks"].keys() >= {"tmux", "store", "streams", "spawn", "rest"}
    for check in ready["checks"].values():
        assert check.keys() >= {"ok", "detail"}
        assert check["ok"] is True


async def test_metrics_are_prometheus_text(api: Api) -> None:
    reply = await api.read("/metrics")
    assert reply.headers["Content-Type"].startswith("text/plain")
    assert b"# TYPE teleclaude_" in reply.body


DESCRIBED = {
    "/health": "get",
    "/ready": "get",
    "/metrics": "get",
    "/openapi.json": "get",
    "/docs": "get",
    "/sessions": "get post",
    "/sessions/adopt": "post",
    "/sessions/{id}": "get patch delete",
    "/sessions/{id}/input": "post",
    "/sessions/{id}/keys": "post",
    "/sessions/{id}/resize": "post",
    "/sessions/{id}/screen": "get",
    "/sessions/{id}/output": "get",
    "/sessions/{id}/stream": "get",
    "/sessions/{id}/wait": "post",
    "/sessions/{id}/tty": "get",
    "/sessions/{id}/signal": "post",
    "/sessions/{id}/restart": "post",
    "/sessions/{id}/files": "get",
    "/sessions/{id}/files/{name}": "get put",
    "/sessions/{id}/executions": "post",
    "/sessions/{id}/variables": "get patch delete",
    "/executions": "get post",
    "/executions/{id}": "get delete",
    "/executions/{id}/output": "get",
    "/executions/{id}/stream": "get",
    "/executions/{id}/cancel": "post",
    "/executions/{id}/pause": "post",
    "/executions/{id}/resume": "post",
    "/executions/{id}/interrupt": "post",
    "/executions/{id}/signal": "post",
    "/executions/{id}/input": "post",
    "/executions/{id}/close-stdin": "post",
    "/plans": "post get",
    "/plans/{id}": "get",
    "/events": "get",
    "/computers": "get",
    "/directories": "get",
    "/agents": "get",
}


async def test_the_description_holds_every_route(api: Api) -> None:
    description = await api.get("/openapi.json")
    assert description["openapi"].startswith("3.1")
    paths = {path.removeprefix("/v1"): set(methods) for path, methods in description["paths"].items()}
    missing = {
        f"{method} {path}"
        for path, methods in DESCRIBED.items()
        for method in methods.split()
        if method not in paths.get(path, ())
    }
    assert not missing


async def test_the_docs_load_nothing_from_outside(api: Api) -> None:
    reply = await api.read("/docs")
    assert reply.headers["Content-Type"].startswith("text/html")
    for attribute in (b'src="http', b'href="http', b"src='http", b"@import", b"url(http"):
        assert attribute not in reply.body


async def test_computers(api: Api) -> None:
    (computer,) = (await api.get("/computers"))["computers"]
    assert computer.keys() >= {"name", "role", "version", "state", "last_seen", "sessions"}
    assert (computer["state"], computer["sessions"]) == ("online", 0)
    await api.new("cat")
    (computer,) = (await api.get("/computers"))["computers"]
    assert computer["sessions"] == 1


async def test_directories(api: Api) -> None:
    assert (await api.get("/directories"))["directories"] == []


async def test_agents(api: Api) -> None:
    agents = (await api.get("/agents"))["agents"]
    assert {agent["name"] for agent in agents} == {"claude", "codex", "gemini", "opencode"}
    assert all(isinstance(agent["installed"], bool) for agent in agents)


class TestEvents:
    async def test_they_carry_their_number(self, api: Api) -> None:
        async with api.frames("/events") as frames:
            made = await api.new("cat", "build")
            frame = await anext(frames)
            assert frame.data.keys() >= {"seq", "at", "type", "session_id", "data"}
            assert frame.id == frame.data["seq"]
            assert frame.event == frame.data["type"]
            assert frame.data["session_id"] == made["id"]

    async def test_after_and_last_event_id_go_on(self, api: Api) -> None:
        async with api.frames("/events") as frames:
            await api.new("cat", "build")
            first, second = await anext(frames), await anext(frames)
        assert first.id is not None
        async with api.frames(f"/events?after={first.id}") as frames:
            assert await anext(frames) == second
        async with api.frames("/events", **{"Last-Event-ID": str(first.id)}) as frames:
            assert await anext(frames) == second

    async def test_numbers_rise_without_holes(self, api: Api) -> None:
        async with api.frames("/events") as frames:
            await api.new("true", "build")
            await api.wait("build", exit=True)
            await api.delete("/sessions/build")
            seen = [(await anext(frames)).id or 0 for _ in range(3)]
        assert seen == sorted(set(seen))

    async def test_a_wrong_after_is_invalid(self, api: Api) -> None:
        for after in ("-1", "x", "1.5"):
            assert await api.refused("GET", f"/events?after={after}") == (422, "invalid"), after


async def test_they_are_the_same_over_tcp(outside: Outside) -> None:
    for path in ("/v1/computers", "/v1/directories", "/v1/agents", "/v1/ready", "/v1/metrics", "/v1/docs"):
        assert (await outside.ask("GET", path))[0] == 200, path
