"""Sessions: what can be asked for, what is answered, and what can be done to them."""

from __future__ import annotations

import asyncio
import re
import secrets
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.contract.api import Api
from tests.support.outside import Outside
from tests.support.wait import eventually

MEMBERS: dict[str, type | tuple[type, ...]] = {
    "id": str,
    "name": str,
    "kind": str,
    "computer": str,
    "state": str,
    "activity": str,
    "command": (str, list, type(None)),
    "agent": (dict, type(None)),
    "cwd": str,
    "cols": int,
    "rows": int,
    "title": str,
    "tags": list,
    "epoch": int,
    "created_at": str,
    "last_activity_at": str,
    "exit": (dict, type(None)),
    "output": dict,
}
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


def check(session: dict[str, Any]) -> None:
    for member, kind in MEMBERS.items():
        assert isinstance(session[member], kind), member
    assert TIME.fullmatch(session["created_at"])
    assert TIME.fullmatch(session["last_activity_at"])
    assert session["output"].keys() == {"start", "end"}
    assert not NAME.fullmatch(session["id"]), "an id never looks like a name"
    assert NAME.fullmatch(session["name"])
    assert session["activity"] in ("working", "idle", "needs_input", "unknown")
    if session["exit"] is not None:
        assert session["exit"].keys() == {"code", "signal", "at", "reason"}


class TestCreate:
    async def test_defaults(self, api: Api, outside: Outside) -> None:
        reply = await api.ask("POST", "/sessions", {})
        made = reply.json
        check(made)
        assert reply.headers["Location"] == f"/v1/sessions/{made['id']}"
        assert (made["kind"], made["cols"], made["rows"]) == ("terminal", 120, 40)
        assert (made["state"], made["agent"], made["exit"], made["tags"]) == ("running", None, None, [])
        assert made["cwd"] == str(outside.daemon.home)

    async def test_all_that_was_asked_for(self, api: Api) -> None:
        made = await api.new("cat", "build", cwd="/tmp", cols=90, rows=20, tags=["a", "b"], kind="terminal")
        check(made)
        asked = {"name": "build", "command": "cat", "cwd": "/tmp", "cols": 90, "rows": 20, "tags": ["a", "b"]}
        assert {key: made[key] for key in asked} == asked
        assert await api.get("/sessions/build") == made | {
            key: (await api.get("/sessions/build"))[key] for key in ("activity", "last_activity_at", "output", "title")
        }

    async def test_a_string_is_for_the_shell(self, api: Api) -> None:
        await api.new('echo "$((40 + 2)) x"; exec cat', "build")
        assert (await api.wait("build", text="42 x"))["outcome"] == "matched"

    async def test_a_list_is_for_no_shell(self, api: Api) -> None:
        command = ["sh", "-c", 'printf "%s|" "$@"; exec cat', "-", "a b", "$HOME", ";"]
        made = await api.new(command, "build")
        assert made["command"] == command
        await api.wait("build", text=";|")
        assert await api.all_output("build") == b"a b|$HOME|;|"

    async def test_env_reaches_the_program(self, api: Api) -> None:
        await api.new("printenv COLOUR; exec cat", "build", env={"COLOUR": "rød ; x"})
        await api.wait("build", text="; x\n")
        assert (await api.all_output("build")).decode() == "rød ; x\r\n"

    async def test_a_program_that_is_not_there(self, api: Api) -> None:
        status, code = await api.refused("POST", "/sessions", {"command": ["/no/such/program"]})
        assert (status, code) == (422, "invalid")

    async def test_this_computer_by_name(self, api: Api) -> None:
        own = (await api.get("/health"))["computer"]
        assert (await api.new("cat", computer=own))["computer"] == own

    async def test_another_computer_that_is_not_there(self, api: Api) -> None:
        status, code = await api.refused("POST", "/sessions", {"computer": "elsewhere"})
        assert (status, code) in {(503, "unavailable"), (404, "not_found")}


class TestList:
    async def test_filters(self, api: Api) -> None:
        live = await api.new("cat", tags=["x", "y"])
        dead = await api.new("true", tags=["x"])
        await api.wait(dead["id"], exit=True)

        async def ids(query: str) -> set[str]:
            return {session["id"] for session in (await api.get(f"/sessions?{query}"))["sessions"]}

        assert await ids("") == {live["id"], dead["id"]}
        assert await ids("state=running") == {live["id"]}
        assert await ids("state=exited") == {dead["id"]}
        assert await ids("tag=x") == {live["id"], dead["id"]}
        assert await ids("tag=y") == {live["id"]}
        assert await ids("kind=terminal") == {live["id"], dead["id"]}
        assert await ids("kind=python") == set()
        assert await ids(f"computer={live['computer']}&tag=y") == {live["id"]}
        for session in (await api.get("/sessions"))["sessions"]:
            check(session)


class TestUpdate:
    async def test_name_and_tags(self, api: Api) -> None:
        made = await api.new("cat", "build", tags=["a"])
        assert (await api.call("PATCH", "/sessions/build", {"name": "other"}))["tags"] == ["a"]
        assert (await api.call("PATCH", "/sessions/other", {"tags": []}))["name"] == "other"
        assert (await api.get("/sessions/other"))["id"] == made["id"]
        assert await api.refused("GET", "/sessions/build") == (404, "not_found")

    async def test_a_name_in_use(self, api: Api) -> None:
        await api.new("cat", "one")
        await api.new("cat", "two")
        assert await api.refused("PATCH", "/sessions/one", {"name": "two"}) == (409, "conflict")

    async def test_nothing_else_can_be_changed(self, api: Api) -> None:
        await api.new("cat", "one")
        for field in ("id", "cols", "cwd", "state"):
            assert await api.refused("PATCH", "/sessions/one", {field: "x"}) == (422, "invalid")


class TestDelete:
    async def test_it_closes_and_keeps_the_record(self, api: Api) -> None:
        await api.new("echo kept; exec cat", "build")
        await api.wait("build", text="kept")
        final = await api.delete("/sessions/build?grace_ms=500")
        check(final)
        assert (final["state"], final["exit"]["reason"] != "") == ("exited", True)
        assert b"kept" in await api.all_output("build")
        assert (await api.get("/sessions/build"))["state"] == "exited"
        assert (await api.delete("/sessions/build"))["state"] == "exited", "again is the same"

    async def test_purge_drops_all(self, api: Api) -> None:
        await api.new("cat", "build")
        assert (await api.delete("/sessions/build?purge=true&grace_ms=0"))["state"] == "exited"
        assert await api.refused("GET", "/sessions/build") == (404, "not_found")
        assert await api.refused("GET", "/sessions/build/output") == (404, "not_found")

    @pytest.mark.parametrize("query", ["purge=maybe", "grace_ms=-1", "grace_ms=soon", "purge=1", "grace_ms=1.5"])
    async def test_a_wrong_query(self, api: Api, query: str) -> None:
        await api.new("cat", "build")
        assert await api.refused("DELETE", f"/sessions/build?{query}") == (422, "invalid")
        assert (await api.get("/sessions/build"))["state"] == "running"

    async def test_one_that_heeds_no_signal_is_killed(self, api: Api) -> None:
        await api.new("trap '' HUP TERM INT; echo deaf; while :; do sleep 0.05; done", "build")
        await api.wait("build", text="deaf")
        assert (await api.delete("/sessions/build?grace_ms=100"))["exit"]["signal"] == "KILL"


class TestExit:
    async def test_a_code(self, api: Api) -> None:
        await api.new("exit 7", "build")
        assert (await api.wait("build", exit=True))["outcome"] == "exited"
        final = await api.get("/sessions/build")
        assert (final["state"], final["exit"]["code"], final["exit"]["signal"]) == ("exited", 7, None)
        assert TIME.fullmatch(final["exit"]["at"])

    async def test_a_signal_is_named_without_sig(self, api: Api) -> None:
        await api.new("kill -TERM $$", "build")
        await api.wait("build", exit=True)
        final = await api.get("/sessions/build")
        assert (final["exit"]["code"], final["exit"]["signal"]) == (None, "TERM")

    @pytest.mark.parametrize(
        ("path", "body"),
        [
            ("input", {"text": "x"}),
            ("keys", {"keys": ["a"]}),
            ("resize", {"cols": 80, "rows": 24}),
            ("signal", {"signal": "INT"}),
        ],
    )
    async def test_nothing_more_can_be_done_to_it(self, api: Api, path: str, body: dict[str, object]) -> None:
        await api.new("true", "build")
        await api.wait("build", exit=True)
        assert await api.refused("POST", f"/sessions/build/{path}", body) == (409, "exited")


class TestInput:
    async def test_text_is_submitted(self, api: Api) -> None:
        await api.new("cat", "build")
        reply = await api.text("build", "hello")
        assert reply.keys() >= {"offset", "state"}
        assert (type(reply["offset"]), reply["state"]) == (int, "delivered")
        assert (await api.wait("build", regex="hello\nhello\n"))["outcome"] == "matched"

    async def test_or_not(self, api: Api) -> None:
        await api.new("cat", "build")
        await api.text("build", "abc", submit=False)
        await api.wait("build", text="abc")
        await api.text("build", "def")
        assert (await api.wait("build", regex="def\nabcdef\n"))["outcome"] == "matched"

    async def test_a_number_is_taken_once(self, api: Api) -> None:
        await api.new("cat", "build")
        first = await api.text("build", "one", client_id="me", seq=1)
        assert await api.text("build", "one", client_id="me", seq=1) == first
        await api.text("build", "two", client_id="me", seq=2)
        await api.wait("build", regex="two\ntwo\n")
        assert (await api.all_output("build")).count(b"one") == 2

    @pytest.mark.parametrize(
        "body", [{}, {"text": 1}, {"text": "a", "submit": "yes"}, {"text": "a", "seq": 1}, {"text": "a", "submit": 1}]
    )
    async def test_wrong_fields(self, api: Api, body: dict[str, object]) -> None:
        await api.new("cat", "build")
        assert await api.refused("POST", "/sessions/build/input", body) == (422, "invalid")


class TestKeys:
    async def test_names_and_characters(self, api: Api) -> None:
        await api.new("cat -v", "build")
        reply = await api.post("/sessions/build/keys", {"keys": ["a", "é", "Up", "F5", "M-x", "Enter"]})
        assert type(reply["offset"]) is int
        assert (await api.wait("build", text="^[[A^[[15~^[x"))["outcome"] == "matched"

    async def test_repeat(self, api: Api) -> None:
        await api.new("cat", "build")
        await api.post("/sessions/build/keys", {"keys": ["a", "b"], "repeat": 3})
        assert (await api.wait("build", text="ababab"))["outcome"] == "matched"

    async def test_control_c_ends(self, api: Api) -> None:
        await api.new("cat", "build")
        await api.wait("build", idle_ms=50)
        await api.post("/sessions/build/keys", {"keys": ["C-c"]})
        await api.wait("build", exit=True)

    async def test_an_unknown_one_is_told_with_the_nearest(self, api: Api) -> None:
        await api.new("cat", "build")
        reply = await api.ask("POST", "/sessions/build/keys", {"keys": ["Entr"]})
        assert (reply.status, reply.code) == (422, "invalid")
        assert "Enter" in reply.json["detail"]

    @pytest.mark.parametrize(
        "body",
        [
            {"keys": []},
            {"keys": [";"]},
            {"keys": ["a"], "repeat": 0},
            {"keys": ["a"], "repeat": 1001},
            {"keys": "a"},
            {"keys": [""]},
            {"keys": ["ab"]},
            {"keys": ["a"], "repeat": True},
            {},
        ],
        ids=str,
    )
    async def test_wrong_fields(self, api: Api, body: dict[str, object]) -> None:
        await api.new("cat", "build")
        assert await api.refused("POST", "/sessions/build/keys", body) == (422, "invalid")


class TestResize:
    async def test_the_program_sees_it(self, api: Api) -> None:
        await api.new("bash --norc -i", "build")
        resized = await api.post("/sessions/build/resize", {"cols": 77, "rows": 17})
        check(resized)
        assert (resized["cols"], resized["rows"]) == (77, 17)
        await api.text("build", "stty size")
        assert (await api.wait("build", text="17 77"))["outcome"] == "matched"

    @pytest.mark.parametrize("body", [{}, {"cols": 80}, {"cols": 0, "rows": 1}, {"cols": 80, "rows": 5000}], ids=str)
    async def test_wrong_sizes(self, api: Api, body: dict[str, object]) -> None:
        await api.new("cat", "build")
        assert await api.refused("POST", "/sessions/build/resize", body) == (422, "invalid")


class TestScreen:
    async def test_json(self, api: Api) -> None:
        await api.new("printf '\\033[31mred\\033[0m\\nx'; exec sleep 60", "build", cols=40, rows=10)
        await api.wait("build", text="red\nx")
        screen = await api.get("/sessions/build/screen")
        assert screen.keys() >= {"cols", "rows", "cursor", "alternate", "title", "lines", "offset", "exact"}
        assert (screen["cols"], screen["rows"], screen["alternate"]) == (40, 10, False)
        assert screen["cursor"] == {"x": 1, "y": 1, "visible": True}
        assert screen["lines"][:2] == ["red", "x"]
        assert (type(screen["offset"]), type(screen["exact"])) == (int, bool)
        assert (await api.get("/sessions/build/screen?format=json"))["lines"] == screen["lines"]

    async def test_text_ansi_and_png(self, api: Api) -> None:
        await api.new("printf '\\033[31mred\\033[0m'; exec sleep 60", "build", cols=40, rows=10)
        await api.wait("build", text="red")
        text = await api.read("/sessions/build/screen?format=text")
        assert text.headers["Content-Type"].startswith("text/plain")
        assert text.body.startswith(b"red\n")
        assert b"\x1b" not in text.body
        ansi = await api.read("/sessions/build/screen?format=ansi")
        assert b"\x1b[31mred" in ansi.body
        png = await api.read("/sessions/build/screen?format=png")
        assert png.headers["Content-Type"] == "image/png"
        assert png.body.startswith(b"\x89PNG\r\n\x1a\n")
        width, height = struct.unpack(">II", png.body[16:24])
        assert width > height > 0

    async def test_the_alternate_screen_and_the_title(self, api: Api) -> None:
        await api.new("printf '\\033[?1049h\\033]2;my title\\007\\033[?25lfull'; exec sleep 60", "build")
        await api.wait("build", text="full")

        async def shown() -> bool:
            screen = await api.get("/sessions/build/screen")
            return bool(screen["alternate"] and screen["title"] == "my title" and not screen["cursor"]["visible"])

        await eventually(shown)
        await eventually(lambda: _has_title(api, "my title"))

    async def test_another_format(self, api: Api) -> None:
        await api.new("cat", "build")
        assert await api.refused("GET", "/sessions/build/screen?format=gif") == (422, "invalid")

    async def test_an_ended_one_still_has_its_last(self, api: Api) -> None:
        await api.new("echo last words", "build")
        await api.wait("build", exit=True)
        assert (await api.get("/sessions/build/screen"))["lines"][0] == "last words"


async def _has_title(api: Api, title: str) -> bool:
    return bool((await api.get("/sessions/build"))["title"] == title)


class TestSignal:
    @pytest.mark.parametrize("name", ["INT", "SIGINT"])
    async def test_with_and_without_sig(self, api: Api, name: str) -> None:
        await api.new("trap 'echo caught; exit 3' INT; echo set; while :; do sleep 0.02; done", "build")
        await api.wait("build", text="set")
        check(await api.post("/sessions/build/signal", {"signal": name}))
        await api.wait("build", exit=True)
        assert (await api.get("/sessions/build"))["exit"]["code"] == 3

    async def test_it_is_for_the_foreground(self, api: Api) -> None:
        await api.new("bash --norc -i", "build")
        await api.text("build", "sleep 300 || echo en''ded")
        await eventually(lambda: _running(api, "sleep"))
        await api.post("/sessions/build/signal", {"signal": "TERM"})
        await api.wait("build", text="ended")
        assert (await api.get("/sessions/build"))["state"] == "running"

    @pytest.mark.parametrize("body", [{}, {"signal": "NOPE"}, {"signal": 2}, {"signal": ""}], ids=str)
    async def test_an_unknown_one(self, api: Api, body: dict[str, object]) -> None:
        await api.new("cat", "build")
        assert await api.refused("POST", "/sessions/build/signal", body) == (422, "invalid")


async def _running(api: Api, name: str) -> bool:
    attach = (await api.get("/sessions/build"))["attach"]["argv"]
    socket = attach[attach.index("-L") + 1] if "-L" in attach else None
    assert socket
    return any(Path(f"/proc/{pid}/comm").read_text().strip() == name for pid in _children(await _pane_pid(socket)))


async def _pane_pid(socket: str) -> int:
    return int((await _tmux(socket, "list-panes", "-a", "-F", "#{pane_pid}")).split()[-1])


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(child) for child in (task / "children").read_text().split()]
    return found


class TestRestart:
    async def test_the_same_session_goes_on(self, api: Api) -> None:
        made = await api.new("echo run; exit 4", "build")
        await api.wait("build", exit=True)
        end = (await api.get("/sessions/build"))["output"]["end"]
        again = await api.post("/sessions/build/restart", {})
        check(again)
        assert again["id"] == made["id"]
        assert again["output"]["end"] >= end
        await eventually(lambda: _exited_with(api, 4))
        assert (await api.all_output("build")).count(b"run") == 2

    async def test_a_running_one_too(self, api: Api) -> None:
        await api.new("echo up; exec cat", "build")
        await api.wait("build", text="up")
        assert (await api.post("/sessions/build/restart"))["state"] == "running"
        assert (await api.wait("build", regex="up\n(.|\n)*up\n"))["outcome"] == "matched"

    async def test_only_an_agent_resumes(self, api: Api) -> None:
        await api.new("cat", "build")
        assert await api.refused("POST", "/sessions/build/restart", {"resume": True}) == (422, "invalid")


async def _exited_with(api: Api, code: int) -> bool:
    session = await api.get("/sessions/build")
    return bool(session["state"] == "exited" and session["exit"]["code"] == code and session["output"]["end"] > 5)


@pytest.fixture
async def foreign() -> AsyncIterator[str]:
    """The socket name of a tmux server of the user's own, with one session named mine."""
    name = f"tc-test-{secrets.token_hex(4)}"
    await _tmux(name, "-f/dev/null", "new-session", "-d", "-s", "mine", "-x", "70", "-y", "15", "exec cat")
    yield name
    pid = int(await _tmux(name, "display-message", "-p", "#{pid}"))
    await _tmux(name, "kill-server")
    await eventually(lambda: not Path(f"/proc/{pid}").exists())


async def _tmux(socket: str, *arguments: str) -> str:
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec("tmux", "-L", socket, *arguments, stdout=pipe, stderr=pipe)
    out, err = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, err
    return out.decode().strip()


class TestAdopt:
    async def test_a_session_of_the_user(self, api: Api, foreign: str) -> None:
        reply = await api.ask("POST", "/sessions/adopt", {"target": "mine", "socket": foreign, "name": "theirs"})
        assert reply.status == 201, reply
        check(reply.json)
        assert (reply.json["name"], reply.json["state"]) == ("theirs", "running")
        await api.text("theirs", "hello")
        assert (await api.wait("theirs", regex="hello\nhello"))["outcome"] == "matched"
        await api.delete("/sessions/theirs?grace_ms=0")

    async def test_what_is_not_there(self, api: Api, foreign: str) -> None:
        assert await api.refused("POST", "/sessions/adopt", {"target": "no", "socket": foreign}) == (404, "not_found")

    async def test_a_server_that_is_not_there(self, api: Api) -> None:
        body = {"target": "nothing", "socket": "tc-test-no-such-socket"}
        status, code = await api.refused("POST", "/sessions/adopt", body)
        assert (status, code) in {(404, "not_found"), (503, "unavailable")}

    async def test_wrong_fields(self, api: Api) -> None:
        for body in ({}, {"target": ""}, {"target": 1}, {"target": "a", "name": "A"}, {"target": "a", "x": 1}):
            assert await api.refused("POST", "/sessions/adopt", body) == (422, "invalid"), body
