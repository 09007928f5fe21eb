"""Executions and plans: what can be asked for, how they end, and what can be done to them."""

from __future__ import annotations

import base64
import os
import re
from pathlib import Path
from typing import Any

import pytest

from tests.integration.contract.api import Api
from tests.support.wait import eventually

MEMBERS = {
    "id",
    "session_id",
    "status",
    "reason",
    "exit_code",
    "signal",
    "started_at",
    "completed_at",
    "duration_ms",
    "streams",
    "result",
    "error",
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def check(execution: dict[str, Any]) -> None:
    assert execution.keys() >= MEMBERS
    assert execution["streams"].keys() == {"stdout", "stderr"}
    for stream in execution["streams"].values():
        assert stream.keys() == {"start", "end", "total", "truncated"}
    if execution["completed_at"] is not None:
        assert TIME.fullmatch(execution["completed_at"])
        assert type(execution["duration_ms"]) is int


async def out(api: Api, execution: dict[str, Any], query: str = "") -> bytes:
    return (await api.read(f"/executions/{execution['id']}/output{query}")).body


class TestOutcomes:
    async def test_completed(self, api: Api) -> None:
        reply = await api.ask("POST", "/executions", {"argv": ["echo", "a b", "$HOME"], "wait_ms": 10_000})
        assert reply.status == 201
        done = reply.json
        check(done)
        assert reply.headers["Location"] == f"/v1/executions/{done['id']}"
        assert (done["status"], done["reason"], done["exit_code"], done["signal"]) == ("completed", None, 0, None)
        assert (done["session_id"], done["result"], done["error"]) == (None, None, None)
        assert done["streams"]["stdout"] == {"start": 0, "end": 10, "total": 10, "truncated": False}
        assert await out(api, done) == b"a b $HOME\n"
        assert await api.get(f"/executions/{done['id']}") == done

    async def test_nonzero_exit(self, api: Api) -> None:
        done = await api.run("sh", "-c", "exit 3")
        check(done)
        assert (done["status"], done["reason"], done["exit_code"], done["signal"]) == (
            "failed",
            "nonzero_exit",
            3,
            None,
        )

    async def test_signal(self, api: Api) -> None:
        done = await api.run("sh", "-c", "kill -KILL $$")
        assert (done["status"], done["reason"], done["exit_code"], done["signal"]) == ("failed", "signal", None, "KILL")

    async def test_output_limit(self, api: Api) -> None:
        done = await api.run("yes", max_output_bytes=1000, overflow="fail")
        assert (done["status"], done["reason"]) == ("failed", "output_limit")

    async def test_timed_out(self, api: Api) -> None:
        done = await api.run("sleep", "300", timeout_ms=50)
        assert (done["status"], done["reason"], done["signal"]) == ("timed_out", None, "TERM")

    async def test_idle_timeout(self, api: Api) -> None:
        done = await api.run("sh", "-c", "echo a; exec sleep 300", idle_timeout_ms=100)
        assert done["status"] == "timed_out"
        assert await out(api, done) == b"a\n"

    async def test_cancelled(self, api: Api) -> None:
        started = await api.run("sleep", "300", wait_ms=0)
        check(started)
        assert started["status"] in ("queued", "starting", "running")
        check(await api.post(f"/executions/{started['id']}/cancel"))
        done = await api.ended(started["id"])
        assert (done["status"], done["reason"], done["signal"]) == ("cancelled", None, "TERM")

    async def test_one_that_heeds_no_signal_is_killed(self, api: Api) -> None:
        script = "trap '' TERM; echo deaf; while :; do sleep 0.05; done"
        started = await api.run(script=script, wait_ms=0, shell="/bin/bash")
        await eventually(lambda: _said(api, started, b"deaf\n"))
        first = await api.ask("POST", f"/executions/{started['id']}/cancel")
        second = await api.ask("POST", f"/executions/{started['id']}/cancel")
        assert (first.status, second.status) == (200, 200)
        done = await api.ended(started["id"])
        assert (done["status"], done["signal"]) == ("cancelled", "KILL")


async def _said(api: Api, execution: dict[str, Any], wanted: bytes) -> bool:
    return wanted in await out(api, execution)


class TestAsked:
    async def test_a_script(self, api: Api) -> None:
        assert await out(api, await api.run(script="echo $((6 * 7)) | cat")) == b"42\n"

    async def test_a_script_by_a_named_shell(self, api: Api) -> None:
        assert await out(api, await api.run(script="echo ${BASH_VERSION:+bash}", shell="/bin/bash")) == b"bash\n"

    async def test_cwd_and_env(self, api: Api) -> None:
        done = await api.run(script='echo "$PWD $COLOUR"', cwd="/usr", env={"COLOUR": "red"})
        assert await out(api, done) == b"/usr red\n"

    async def test_stdin_text(self, api: Api) -> None:
        assert await out(api, await api.run("cat", stdin="given é")) == "given é".encode()

    async def test_stdin_is_empty_by_default(self, api: Api) -> None:
        assert (await api.run("cat"))["status"] == "completed"

    async def test_both_streams(self, api: Api) -> None:
        done = await api.run(script="echo o; echo e >&2")
        assert await out(api, done) == b"o\n"
        assert await out(api, done, "?stream=stdout") == b"o\n"
        assert await out(api, done, "?stream=stderr") == b"e\n"

    async def test_truncate_keeps_the_first_bytes(self, api: Api) -> None:
        done = await api.run("seq", "1000", max_output_bytes=10, overflow="truncate")
        assert done["status"] == "completed"
        assert done["streams"]["stdout"] == {"start": 0, "end": 10, "total": 3893, "truncated": True}
        assert await out(api, done) == b"1\n2\n3\n4\n5\n"

    async def test_spool_keeps_all(self, api: Api) -> None:
        done = await api.run("seq", "1000", overflow="spool")
        assert done["streams"]["stdout"] == {"start": 0, "end": 3893, "total": 3893, "truncated": False}

    async def test_tags(self, api: Api) -> None:
        done = await api.run("true", tags=["x"])
        await api.run("true", tags=["y"])
        assert [each["id"] for each in (await api.get("/executions?tag=x"))["executions"]] == [done["id"]]

    async def test_wait_ms_returns_early(self, api: Api) -> None:
        assert (await api.run("true", wait_ms=60_000))["status"] == "completed"
        started = await api.run("sleep", "0.1", wait_ms=0)
        assert (await api.get(f"/executions/{started['id']}?wait_ms=60000"))["status"] == "completed"

    async def test_computer(self, api: Api) -> None:
        own = (await api.get("/health"))["computer"]
        assert (await api.run("true", computer=own))["status"] == "completed"
        status, code = await api.refused("POST", "/executions", {"argv": ["true"], "computer": "elsewhere"})
        assert (status, code) in {(503, "unavailable"), (404, "not_found")}

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"argv": []},
            {"argv": [""]},
            {"argv": "true"},
            {"argv": ["true"], "script": "true"},
            {"argv": ["true"], "shell": "/bin/sh"},
            {"argv": ["a\0"]},
            {"script": ""},
            {"script": 1},
            {"argv": ["true"], "timeout_ms": 0},
            {"argv": ["true"], "timeout_ms": -1},
            {"argv": ["true"], "timeout_ms": 1.5},
            {"argv": ["true"], "timeout_ms": True},
            {"argv": ["true"], "timeout_ms": 86_400_001},
            {"argv": ["true"], "idle_timeout_ms": 0},
            {"argv": ["true"], "max_output_bytes": -1},
            {"argv": ["true"], "overflow": "rotate"},
            {"argv": ["true"], "lifetime": "forever"},
            {"argv": ["true"], "queue": 1},
            {"argv": ["true"], "queue": "true"},
            {"argv": ["true"], "stdin": 5},
            {"argv": ["true"], "wait_ms": 60_001},
            {"argv": ["true"], "wait_ms": -1},
            {"argv": ["true"], "cwd": "relative"},
            {"argv": ["true"], "cwd": "/no/such/directory"},
            {"argv": ["true"], "cwd": "/etc/passwd"},
            {"argv": ["no-such-program-anywhere"]},
            {"argv": ["/no/such/program"]},
            {"argv": ["/etc/passwd"]},
            {"argv": ["/usr"]},
            {"script": "true", "shell": "/no/such/shell"},
            {"argv": ["true"], "env": {"A=B": "c"}},
            {"argv": ["true"], "tags": [""]},
            {"argv": ["true"], "bogus": 1},
        ],
        ids=str,
    )
    async def test_wrong_fields_leave_no_record(self, api: Api, body: dict[str, object]) -> None:
        assert await api.refused("POST", "/executions", body) == (422, "invalid")
        assert (await api.get("/executions"))["executions"] == []


class TestControl:
    async def test_pause_and_resume(self, api: Api) -> None:
        started = await api.run("sleep", "300", wait_ms=0)
        path = f"/executions/{started['id']}"
        await eventually(lambda: _is(api, path, "running"))
        assert (await api.post(f"{path}/pause"))["status"] == "paused"
        assert (await api.post(f"{path}/resume"))["status"] == "running"

    async def test_interrupt(self, api: Api) -> None:
        started = await api.run("sleep", "300", wait_ms=0)
        await eventually(lambda: _is(api, f"/executions/{started['id']}", "running"))
        check(await api.post(f"/executions/{started['id']}/interrupt"))
        done = await api.ended(started["id"])
        assert (done["status"], done["reason"], done["signal"]) == ("failed", "signal", "INT")

    @pytest.mark.parametrize("name", ["USR1", "SIGUSR1"])
    async def test_signal(self, api: Api, name: str) -> None:
        started = await api.run("sleep", "300", wait_ms=0)
        await eventually(lambda: _is(api, f"/executions/{started['id']}", "running"))
        check(await api.post(f"/executions/{started['id']}/signal", {"signal": name}))
        assert (await api.ended(started["id"]))["signal"] == "USR1"

    async def test_an_unknown_signal(self, api: Api) -> None:
        started = await api.run("sleep", "300", wait_ms=0)
        for body in ({}, {"signal": "NOPE"}, {"signal": 9}):
            assert await api.refused("POST", f"/executions/{started['id']}/signal", body) == (422, "invalid"), body

    async def test_input_and_close_stdin(self, api: Api) -> None:
        started = await api.run("cat", stdin=True, wait_ms=0)
        check(await api.post(f"/executions/{started['id']}/input", {"text": "one "}))
        await api.post(f"/executions/{started['id']}/input", {"text": "two"})
        check(await api.post(f"/executions/{started['id']}/close-stdin"))
        assert (await api.ended(started["id"]))["status"] == "completed"
        assert await out(api, started) == b"one two"

    @pytest.mark.parametrize(
        ("verb", "body"),
        [
            ("cancel", None),
            ("pause", None),
            ("resume", None),
            ("interrupt", None),
            ("signal", {"signal": "INT"}),
            ("input", {"text": "a"}),
            ("close-stdin", None),
        ],
    )
    async def test_an_ended_one_is_exited(self, api: Api, verb: str, body: object) -> None:
        done = await api.run("true")
        assert await api.refused("POST", f"/executions/{done['id']}/{verb}", body) == (409, "exited")

    async def test_delete(self, api: Api) -> None:
        started = await api.run("sleep", "300", wait_ms=0)
        status, code = await api.refused("DELETE", f"/executions/{started['id']}")
        assert (status, code) in {(409, "busy"), (409, "conflict")}
        done = await api.run("true")
        check(await api.delete(f"/executions/{done['id']}"))
        assert await api.refused("GET", f"/executions/{done['id']}") == (404, "not_found")
        assert await api.refused("GET", f"/executions/{done['id']}/output") == (404, "not_found")

    async def test_unknown_ones(self, api: Api) -> None:
        assert await api.refused("GET", "/executions/nobody") == (404, "not_found")
        assert await api.refused("POST", "/executions/nobody/cancel") == (404, "not_found")


async def _is(api: Api, path: str, status: str) -> bool:
    return bool((await api.get(path))["status"] == status)


class TestOutput:
    @pytest.mark.parametrize(
        ("query", "body", "offsets"),
        [
            ("from=3", b"3456789", (3, 10, 10)),
            ("from=-4", b"6789", (6, 10, 10)),
            ("from=-99", b"0123456789", (0, 10, 10)),
            ("from=2&limit=3", b"234", (2, 5, 10)),
            ("from=10", b"", (10, 10, 10)),
        ],
    )
    async def test_pieces(self, api: Api, query: str, body: bytes, offsets: tuple[int, int, int]) -> None:
        done = await api.run("printf", "0123456789")
        reply = await api.read(f"/executions/{done['id']}/output?{query}")
        assert (reply.body, reply.range) == (body, offsets)

    @pytest.mark.parametrize("query", ["stream=both", "from=x", "limit=0", "limit=1048577", "from=%2B1"])
    async def test_wrong_queries(self, api: Api, query: str) -> None:
        done = await api.run("true")
        assert await api.refused("GET", f"/executions/{done['id']}/output?{query}") == (422, "invalid")

    async def test_the_stream(self, api: Api) -> None:
        started = await api.run(script="echo one; read x; echo two; exit 4", stdin=True, wait_ms=0)
        async with api.frames(f"/executions/{started['id']}/stream?from=0") as frames:
            first = await anext(frames)
            assert (first.event, first.id) == ("output", 4)
            assert first.data == {"from": 0, "to": 4, "b64": base64.b64encode(b"one\n").decode()}
            await api.post(f"/executions/{started['id']}/input", {"text": "x\n"})
            rest = [frame async for frame in frames]
        assert rest[-1].event == "exit"
        assert b"".join(base64.b64decode(f.data["b64"]) for f in rest if f.event == "output") == b"two\n"

    async def test_the_stream_resumes(self, api: Api) -> None:
        done = await api.run("printf", "0123456789")
        async with api.frames(f"/executions/{done['id']}/stream", **{"Last-Event-ID": "7"}) as frames:
            assert (await anext(frames)).data["from"] == 7


class TestLists:
    async def test_newest_first_and_by_status(self, api: Api) -> None:
        good, bad = await api.run("true"), await api.run("false")
        listed = (await api.get("/executions"))["executions"]
        assert [each["id"] for each in listed] == [bad["id"], good["id"]]
        for each in listed:
            check(each)
        failed = (await api.get("/executions?status=failed"))["executions"]
        assert [each["id"] for each in failed] == [bad["id"]]

    @pytest.mark.parametrize("query", ["status=dead", "limit=0", "bogus=1"])
    async def test_wrong_queries(self, api: Api, query: str) -> None:
        assert await api.refused("GET", f"/executions?{query}") == (422, "invalid")


class TestPlans:
    async def test_serial_keeps_the_order(self, api: Api, tmp_path: Path) -> None:
        log = tmp_path / "log"
        steps = [{"id": name, "script": f"echo {name} >> {log}"} for name in ("a", "b", "c")]
        reply = await api.ask("POST", "/plans", {"mode": "serial", "steps": steps, "wait_ms": 20_000})
        assert (reply.status, reply.json["status"]) == (201, "completed")
        assert log.read_text().split() == ["a", "b", "c"]
        assert [step["status"] for step in reply.json["steps"]] == ["completed"] * 3
        assert (await api.get(f"/plans/{reply.json['id']}"))["id"] == reply.json["id"]

    async def test_a_failure_stops_it(self, api: Api) -> None:
        steps = [{"id": "a", "argv": ["false"]}, {"id": "b", "argv": ["true"]}]
        plan = await api.post("/plans", {"mode": "serial", "steps": steps, "wait_ms": 20_000})
        assert plan["status"] == "failed"
        assert [step["status"] for step in plan["steps"]] == ["failed", "skipped"]

    async def test_or_not(self, api: Api) -> None:
        steps = [{"id": "a", "argv": ["false"]}, {"id": "b", "argv": ["true"]}]
        body = {"mode": "serial", "steps": steps, "stop_on_error": False, "wait_ms": 20_000}
        assert [step["status"] for step in (await api.post("/plans", body))["steps"]] == ["failed", "completed"]

    async def test_parallel(self, api: Api, tmp_path: Path) -> None:
        for name in ("x", "y"):
            os.mkfifo(tmp_path / name)
        steps = [
            {"id": "a", "script": f"echo 1 > {tmp_path}/x; read l < {tmp_path}/y"},
            {"id": "b", "script": f"read l < {tmp_path}/x; echo 2 > {tmp_path}/y"},
        ]
        body = {"mode": "parallel", "steps": steps, "max_concurrency": 2, "wait_ms": 20_000}
        assert (await api.post("/plans", body))["status"] == "completed"

    async def test_graph(self, api: Api, tmp_path: Path) -> None:
        log = tmp_path / "log"
        steps = [
            {"id": "last", "after": ["one", "two"], "script": f"echo last >> {log}"},
            {"id": "one", "script": f"echo one >> {log}"},
            {"id": "two", "after": ["one"], "script": f"echo two >> {log}"},
        ]
        plan = await api.post("/plans", {"mode": "graph", "steps": steps, "wait_ms": 20_000})
        assert plan["status"] == "completed"
        assert log.read_text().split() == ["one", "two", "last"]

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"mode": "serial", "steps": []},
            {"mode": "random", "steps": [{"id": "a", "argv": ["true"]}]},
            {"mode": "serial", "steps": [{"argv": ["true"]}]},
            {"mode": "serial", "steps": [{"id": "a", "argv": ["true"]}] * 2},
            {"mode": "graph", "steps": [{"id": "a", "after": ["b"], "argv": ["true"]}]},
            {"mode": "graph", "steps": [{"id": "a", "after": ["a"], "argv": ["true"]}]},
            {"mode": "serial", "steps": [{"id": "a", "after": ["a"], "argv": ["true"]}]},
            {"mode": "parallel", "max_concurrency": 0, "steps": [{"id": "a", "argv": ["true"]}]},
            {"mode": "serial", "stop_on_error": 1, "steps": [{"id": "a", "argv": ["true"]}]},
            {"mode": "serial", "steps": [{"id": "a", "argv": ["true"], "bogus": 1}]},
        ],
        ids=str,
    )
    async def test_wrong_fields(self, api: Api, body: dict[str, object]) -> None:
        assert await api.refused("POST", "/plans", body) == (422, "invalid")

    async def test_unknown(self, api: Api) -> None:
        assert await api.refused("GET", "/plans/nobody") == (404, "not_found")
