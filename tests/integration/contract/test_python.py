"""Python sessions: cells as executions, variables, and what interrupts them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.contract.api import Api
from tests.integration.contract.test_executions import check
from tests.support.wait import eventually


@pytest.fixture
async def py(api: Api) -> dict[str, Any]:
    made: dict[str, Any] = await api.new(kind="python", name="py")
    return made


async def test_a_session(api: Api, py: dict[str, Any]) -> None:
    assert (py["kind"], py["name"]) == ("python", "py")
    assert [each["id"] for each in (await api.get("/sessions?kind=python"))["sessions"]] == [py["id"]]


async def test_a_result(api: Api, py: dict[str, Any]) -> None:
    reply = await api.ask("POST", "/sessions/py/executions", {"code": "x = 6\nx * 7", "wait_ms": 20_000})
    assert reply.status == 201
    done = reply.json
    check(done)
    assert (done["session_id"], done["status"], done["error"]) == (py["id"], "completed", None)
    assert done["result"].keys() >= {"repr", "execution_count"}
    assert done["result"]["repr"] == "42"
    again = await api.cell("py", "x")
    assert again["result"]["repr"] == "6"
    assert again["result"]["execution_count"] == done["result"]["execution_count"] + 1


async def test_a_cell_sent_while_it_starts_waits(api: Api) -> None:
    await api.new(kind="python", name="py")
    assert (await api.cell("py", "1"))["status"] == "completed"
    await api.post("/sessions/py/restart")
    assert (await api.cell("py", "2"))["result"]["repr"] == "2"


async def test_both_streams(api: Api, py: dict[str, Any]) -> None:
    done = await api.cell("py", "import sys; print('o'); print('e', file=sys.stderr)")
    assert done["result"] is None
    assert (await api.read(f"/executions/{done['id']}/output")).body == b"o\n"
    assert (await api.read(f"/executions/{done['id']}/output?stream=stderr")).body == b"e\n"


async def test_an_exception(api: Api, py: dict[str, Any]) -> None:
    done = await api.cell("py", "1 / 0")
    assert (done["status"], done["reason"], done["result"]) == ("failed", "exception", None)
    assert done["error"].keys() >= {"type", "message", "traceback"}
    assert (done["error"]["type"], done["error"]["message"]) == ("ZeroDivisionError", "division by zero")
    assert (await api.cell("py", "'alive'"))["result"]["repr"] == "'alive'"


async def test_an_interrupt(api: Api, py: dict[str, Any]) -> None:
    started = await api.cell("py", "import time; print('on', flush=True); time.sleep(300)", wait_ms=0)
    await eventually(lambda: _said(api, started["id"]))
    await api.post(f"/executions/{started['id']}/interrupt")
    done = await api.ended(started["id"])
    assert (done["status"], done["reason"]) == ("failed", "exception")
    assert done["error"]["type"] == "KeyboardInterrupt"


async def _said(api: Api, id_: str) -> bool:
    return (await api.read(f"/executions/{id_}/output")).body == b"on\n"


async def test_a_cancel(api: Api, py: dict[str, Any]) -> None:
    started = await api.cell("py", "import time; kept = 1; time.sleep(300)", wait_ms=0)
    await api.post(f"/executions/{started['id']}/cancel")
    assert (await api.ended(started["id"]))["status"] == "cancelled"


async def test_a_timeout(api: Api, py: dict[str, Any]) -> None:
    done = await api.cell("py", "import time; time.sleep(300)", timeout_ms=200)
    assert done["status"] == "timed_out"


async def test_a_dead_worker(api: Api, py: dict[str, Any]) -> None:
    done = await api.cell("py", "import os; os._exit(3)")
    assert (done["status"], done["reason"], done["namespace_lost"]) == ("failed", "worker_died", True)
    epoch = (await api.get("/sessions/py"))["epoch"]
    assert await api.refused("POST", "/sessions/py/executions", {"code": "1"}) == (409, "exited")
    assert (await api.post("/sessions/py/restart"))["epoch"] == epoch + 1
    assert (await api.cell("py", "1"))["status"] == "completed"


async def test_busy_or_queued(api: Api, py: dict[str, Any]) -> None:
    first = await api.cell("py", "import time; print('on', flush=True); time.sleep(300)", wait_ms=0)
    await eventually(lambda: _said(api, first["id"]))
    assert await api.refused("POST", "/sessions/py/executions", {"code": "1"}) == (409, "busy")
    second = await api.cell("py", "2", queue=True, wait_ms=0)
    assert second["status"] == "queued"
    await api.post(f"/executions/{first['id']}/interrupt")
    assert (await api.ended(second["id"]))["result"]["repr"] == "2"


async def test_input_is_answered(api: Api, py: dict[str, Any]) -> None:
    async with api.frames("/events") as frames:
        started = await api.cell("py", "input('name? ')", allow_stdin=True, wait_ms=0)
        while (await anext(frames)).event != "execution.input":
            pass
    await api.post(f"/executions/{started['id']}/input", {"text": "Ada\n"})
    assert (await api.ended(started["id"]))["result"]["repr"] == "'Ada'"


async def test_input_without_leave(api: Api, py: dict[str, Any]) -> None:
    async with asyncio.timeout(10):
        assert (await api.cell("py", "input()"))["status"] == "failed"


class TestVariables:
    async def test_list(self, api: Api, py: dict[str, Any]) -> None:
        await api.cell("py", "answer = 42; _hidden = 1")
        listed = (await api.get("/sessions/py/variables"))["variables"]
        assert {"name": "answer", "type": "int", "repr": "42"} in listed

    async def test_merge(self, api: Api, py: dict[str, Any]) -> None:
        await api.cell("py", "a = 1\ndef f(): pass")
        path, values = "/sessions/py/variables", {"a": 2, "b": [1, {"c": None}], "f": 3}
        reply = await api.call("PATCH", path, {"values": values, "strategy": "preserve"})
        assert (reply["updated"], sorted(reply["skipped"])) == (["b"], ["a", "f"])
        reply = await api.call("PATCH", path, {"values": values, "strategy": "smart"})
        assert (sorted(reply["updated"]), reply["skipped"]) == (["a", "b"], ["f"])
        reply = await api.call("PATCH", path, {"values": values, "strategy": "overwrite"})
        assert (sorted(reply["updated"]), reply["skipped"]) == (["a", "b", "f"], [])
        assert (await api.cell("py", "(a, b, f)"))["result"]["repr"] == "(2, [1, {'c': None}], 3)"

    async def test_clear(self, api: Api, py: dict[str, Any]) -> None:
        await api.cell("py", "gone = 1")
        await api.delete("/sessions/py/variables")
        assert (await api.get("/sessions/py/variables"))["variables"] == []
        assert (await api.cell("py", "gone"))["error"]["type"] == "NameError"

    @pytest.mark.parametrize("body", [{}, {"values": []}, {"values": {}, "strategy": "best"}, {"values": {"": 1}}])
    async def test_wrong_fields(self, api: Api, py: dict[str, Any], body: dict[str, object]) -> None:
        assert await api.refused("PATCH", "/sessions/py/variables", body) == (422, "invalid")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"code": 1},
        {"code": "1", "timeout_ms": 0},
        {"code": "1", "allow_stdin": 1},
        {"code": "1", "queue": "no"},
        {"code": "1", "bogus": 1},
    ],
    ids=str,
)
async def test_wrong_fields(api: Api, py: dict[str, Any], body: dict[str, object]) -> None:
    assert await api.refused("POST", "/sessions/py/executions", body) == (422, "invalid")


async def test_a_terminal_takes_no_cells(api: Api) -> None:
    await api.new("cat", "build")
    status, code = await api.refused("POST", "/sessions/build/executions", {"code": "1"})
    assert (status, code) in {(422, "invalid"), (409, "conflict")}


async def test_a_syntax_error(api: Api, py: dict[str, Any]) -> None:
    done = await api.cell("py", "if")
    assert (done["status"], done["error"]["type"]) == ("failed", "SyntaxError")


async def test_a_closed_one(api: Api, py: dict[str, Any]) -> None:
    assert (await api.delete("/sessions/py"))["state"] == "exited"
    assert await api.refused("POST", "/sessions/py/executions", {"code": "1"}) == (409, "exited")
