from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from teleclaude import __version__
from teleclaude.api import Check
from teleclaude.errors import IndeterminateError, LimitError, NoSpaceError
from teleclaude.model import Principal, Role
from teleclaude.wire import sessions as wire
from teleclaude.wire.base import Command
from teleclaude.wire.waits import WaitSession
from tests.integration.rest.memory_hub import PNG
from tests.integration.rest.served import Served, serve
from tests.support.wait import eventually


def last_call(served: Served) -> Command[Any]:
    return served.hub.calls[-1]


async def test_create_answers_201_with_the_place_of_the_session(served: Served) -> None:
    async with served.request("POST", "/sessions", json={"name": "build", "command": ["bash"]}) as response:
        assert response.status == 201
        made = await response.json()
        assert response.headers["Location"] == f"/v1/sessions/{made['id']}"
        assert len(response.headers["X-Request-Id"]) == 16
    assert made["name"] == "build"
    assert await served.json("GET", "/sessions/build") == (200, made)


async def test_a_post_whose_fields_are_all_optional_needs_no_body(served: Served) -> None:
    assert (await served.json("POST", "/sessions"))[0] == 201
    assert (await served.json("POST", "/sessions/session-1/restart"))[0] == 200
    assert (await served.json("POST", "/sessions/session-1/restart", {}))[0] == 200


async def test_everybody_on_the_unix_socket_is_the_owner(served: Served) -> None:
    await served.new()
    assert served.hub.principals == [Principal("local", Role.OWNER)]


async def test_fields_come_from_path_query_and_body(served: Served) -> None:
    await served.new()
    await served.json("DELETE", "/sessions/build?grace_ms=10&purge=true")
    assert last_call(served) == wire.CloseSession(id="build", grace_ms=10, purge=True)
    await served.json("PATCH", "/sessions/build", {"tags": ["a", "b"]})
    assert last_call(served) == wire.UpdateSession(id="build", tags=["a", "b"])
    await served.json("GET", "/sessions?kind=terminal&tag=a")
    assert served.hub.calls[-1].model_dump(exclude_none=True) == {"kind": "terminal", "tag": "a"}
    await served.json("POST", "/sessions/build/keys", {"keys": ["C-c", "Up"], "repeat": 2})
    assert last_call(served) == wire.SendKeys(id="build", keys=["C-c", "Up"], repeat=2)
    await served.json("POST", "/sessions/build/resize", {"cols": 80, "rows": 24})
    assert last_call(served) == wire.ResizeSession(id="build", cols=80, rows=24)
    assert await served.json("POST", "/sessions/build/input", {"text": "ls"}) == (
        200,
        {"offset": 0, "state": "delivered"},
    )
    await served.json("POST", "/sessions/build/signal", {"signal": "INT"})
    assert last_call(served) == wire.SignalSession(id="build", signal="INT")
    assert (await served.json("POST", "/sessions/adopt", {"target": "work", "name": "mine"}))[0] == 201


async def test_another_computers_session_is_named_with_an_escaped_slash(served: Served) -> None:
    await served.new()
    status, found = await served.json("GET", "/sessions/desk%2Fbuild")
    assert (status, found["name"]) == (200, "build")
    assert last_call(served) == wire.GetSession(id="desk/build")


@pytest.mark.parametrize(
    ("form", "media", "body"),
    [
        ("text", "text/plain; charset=utf-8", "$ ls\né\n".encode()),
        ("ansi", "text/plain; charset=utf-8", "\x1b[1m$\x1b[0m ls\né\n".encode()),
        ("png", "image/png", PNG),
    ],
)
async def test_a_screen_in_each_form(served: Served, form: str, media: str, body: bytes) -> None:
    await served.new()
    async with served.request("GET", f"/sessions/build/screen?format={form}") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, media)
        assert await response.read() == body


async def test_a_screen_is_json_unless_asked_otherwise(served: Served) -> None:
    await served.new()
    status, screen = await served.json("GET", "/sessions/build/screen")
    assert status == 200
    assert screen == {
        "cols": 8,
        "rows": 2,
        "cursor": {"x": 1, "y": 0, "visible": True},
        "alternate": False,
        "title": "t",
        "lines": ["$ ls", "é"],
        "offset": 0,
        "exact": True,
        "prompt": None,
    }
    assert (await served.json("GET", "/sessions/build/screen?format=gif"))[0] == 422


async def test_output_says_which_bytes_it_is(served: Served) -> None:
    id_ = await served.new()
    await served.hub.streams[id_].append(b"0123456789")
    async with served.request("GET", "/sessions/build/output?from=2&limit=3") as response:
        assert await response.read() == b"234"
        assert response.headers["Content-Type"] == "application/octet-stream"
        place = [response.headers[f"Teleclaude-{name}"] for name in ("From", "To", "End")]
        assert place == ["2", "5", "10"]
    async with served.request("GET", "/sessions/build/output?from=-4&format=text") as response:
        assert await response.text() == "6789"
        assert response.headers["Content-Type"] == "text/plain; charset=utf-8"


async def test_r28_output_beyond_the_end_and_below_retention(served: Served) -> None:
    id_ = await served.new()
    stream = served.hub.streams[id_]
    stream.start = 100
    await stream.append(b"abc")
    async with served.request("GET", "/sessions/build/output?from=999") as response:
        assert (response.status, await response.read()) == (200, b"")
        assert response.headers["Teleclaude-End"] == "103"
    status, problem = await served.json("GET", "/sessions/build/output?from=5")
    assert (status, problem["code"], problem["start"]) == (410, "gap", 100)


async def test_a_long_poll_answers_when_bytes_come(served: Served) -> None:
    id_ = await served.new()

    async def poll() -> bytes:
        async with served.request("GET", "/sessions/build/output?from=0&wait_ms=20000") as response:
            return bytes(await response.read())

    async with asyncio.TaskGroup() as group:
        asked = group.create_task(poll())
        await eventually(lambda: served.hub.waiting == 1)
        await served.hub.streams[id_].append(b"now")
    assert asked.result() == b"now"


async def test_a_wait_is_given_up_when_its_client_goes(served: Served) -> None:
    await served.new()
    async with asyncio.TaskGroup() as group:
        poll = group.create_task(served.json("GET", "/sessions/build/output?from=0&wait_ms=60000"))
        await eventually(lambda: served.hub.waiting == 1)
        poll.cancel()
    await eventually(lambda: served.hub.waiting == 0)
    assert (await served.json("GET", "/health"))[0] == 200


async def test_a_repeat_under_one_key_is_answered_from_the_first(served: Served) -> None:
    key = {"Idempotency-Key": "k 1"}
    first = await served.json("POST", "/sessions", {"name": "build"}, headers=key)
    assert first[0] == 201
    assert await served.json("POST", "/sessions", {"name": "build"}, headers=key) == first
    assert len(served.hub.sessions) == 1
    status, problem = await served.json("POST", "/sessions", {"name": "other"}, headers=key)
    assert (status, problem["code"]) == (409, "key_reused")
    assert len(served.hub.sessions) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
async def test_an_unusable_key_is_refused(served: Served, key: str) -> None:
    status, problem = await served.json("POST", "/sessions", {"name": "build"}, headers={"Idempotency-Key": key})
    assert (status, problem["code"]) == (422, "invalid")
    assert served.hub.calls == []


async def test_a_wait_takes_no_key(served: Served) -> None:
    id_ = await served.new()
    body = {"until": {"exit": True}, "timeout_ms": 0}
    key = {"Idempotency-Key": "same"}
    assert (await served.json("POST", "/sessions/build/wait", body, headers=key))[1]["outcome"] == "timeout"
    await served.hub.streams[id_].finish(code=0)
    assert (await served.json("POST", "/sessions/build/wait", body, headers=key))[1]["outcome"] == "exited"


async def test_errors_have_one_shape(served: Served) -> None:
    async with served.request("GET", "/sessions/nobody") as response:
        assert response.status == 404
        assert response.headers["Content-Type"] == "application/problem+json"
        problem = await response.json(content_type=None)
    assert {key: problem[key] for key in ("title", "status", "code")} == {
        "title": "not found",
        "status": 404,
        "code": "not_found",
    }
    assert problem.keys() == {"type", "title", "status", "detail", "code", "operation"}


async def test_a_limit_says_when_to_come_back(served: Served) -> None:
    served.hub.failures[wire.CreateSession] = LimitError("full", operation="session.create", retry_after_ms=2100)
    async with served.request("POST", "/sessions") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "3")
        assert (await response.json(content_type=None))["code"] == "limit"


@pytest.mark.parametrize(("error", "status"), [(IndeterminateError("?"), 504), (NoSpaceError("full"), 507)])
async def test_the_errors_status_is_the_replys(served: Served, error: Exception, status: int) -> None:
    served.hub.failures[wire.CreateSession] = error
    assert (await served.json("POST", "/sessions"))[0] == status


async def test_a_defect_is_internal_and_tells_nothing(served: Served) -> None:
    served.hub.failures[wire.CreateSession] = RuntimeError("secret detail")
    async with served.request("POST", "/sessions") as response:
        text = await response.text()
        assert (response.status, json.loads(text)["code"]) == (500, "internal")
        assert "secret" not in text
    assert (await served.json("GET", "/health"))[0] == 200


async def test_health_says_little(served: Served) -> None:
    status, health = await served.json("GET", "/health")
    assert status == 200
    assert health.keys() == {"status", "version", "computer", "uptime_ms"}
    assert (health["status"], health["version"], health["computer"]) == ("ok", __version__, "desk")


async def test_ready_names_every_part(served: Served) -> None:
    checks = {"tmux": {"ok": True, "detail": "answers"}}
    assert await served.json("GET", "/ready") == (200, {"status": "ok", "checks": checks})
    served.hub.checks["store"] = Check(ok=False, detail="read-only")
    status, ready = await served.json("GET", "/ready")
    assert (status, ready["status"]) == (503, "unavailable")
    assert ready["checks"]["store"] == {"ok": False, "detail": "read-only"}


async def test_metrics_are_prometheus_text(served: Served) -> None:
    async with served.request("GET", "/metrics") as response:
        assert response.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert b"teleclaude_up 1" in await response.read()


async def test_probes_are_served_without_the_prefix_too(served: Served) -> None:
    async with served.client.get("http://desk/health") as response:
        assert response.status == 200
    async with served.client.get("http://desk/sessions") as response:
        assert response.status == 404


async def test_the_description_is_served(served: Served) -> None:
    status, document = await served.json("GET", "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    assert "/v1/sessions/{id}/output" in document["paths"]


async def test_waits_end_in_words_when_the_adapter_stops(runtime: Path) -> None:
    async with serve(runtime) as served:
        await served.new()
        body = {"until": {"exit": True}, "timeout_ms": 60_000}
        async with asyncio.TaskGroup() as group:
            asked = group.create_task(served.json("POST", "/sessions/build/wait", body))
            await eventually(lambda: WaitSession in {type(call) for call in served.hub.calls})
            await served.adapter.__aexit__(None, None, None)
        status, problem = asked.result()
        assert (status, problem["code"]) == (503, "unavailable")
