"""The session surface against a real daemon and real tmux."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.support.daemon import Client, DaemonProcess
from tests.support.wait import eventually

CAT = ["cat"]


async def test_a_session_is_created_listed_and_closed(client: Client, daemon: DaemonProcess) -> None:
    made = await client.new(name="build", tags=["ci"], cwd=str(daemon.home))
    assert made["state"] == "running"
    assert made["name"] == "build"
    assert made["kind"] == "terminal"
    assert made["cwd"] == str(daemon.home)
    assert made["exit"] is None
    assert [s["id"] for s in (await client.get("/sessions"))["sessions"]] == [made["id"]]
    assert (await client.get("/sessions/build"))["id"] == made["id"]
    assert (await client.get(f"/sessions/{made['computer']}%2Fbuild"))["id"] == made["id"]
    ended = await client.delete("/sessions/build")
    assert ended["state"] == "exited"
    assert ended["exit"]["reason"] == "closed"
    assert (await client.get(f"/sessions/{made['id']}"))["state"] == "exited"


async def test_input_is_typed_and_its_answer_found_from_the_replys_offset(client: Client) -> None:
    await client.new(name="sh")
    reply = await client.text("sh", "echo $((6*7))")
    assert reply["state"] == "delivered"
    found = await client.wait("sh", regex=r"(?m)^\r?42$")
    assert found["outcome"] == "matched"
    start, data = await client.output("sh", reply["offset"])
    assert start == reply["offset"]
    assert b"42" in data


@pytest.mark.parametrize(
    "text",
    [
        "hi;",
        "-R",
        "--",
        "C-c",
        "Enter",
        "%0",
        "#(touch /tmp/canary)",
        "#{session_name}",
        "$HOME `id` $(id)",
        "'\"\\",
        "~root",
        "naïve 😀 👩‍👩‍👧 漢字",
        "a\tb",
    ],
)
async def test_text_is_typed_literally(client: Client, daemon: DaemonProcess, text: str) -> None:
    target = daemon.home / "typed"
    await client.new(["bash", "--norc", "-c", f"stty raw -echo; printf ready; head -c {len(text.encode())} >{target}"])
    name = (await client.get("/sessions"))["sessions"][0]["id"]
    await client.wait(name, text="ready")
    await client.text(name, text, submit=False)
    await client.wait(name, exit=True)
    assert target.read_bytes() == text.encode()


async def test_exit_code_and_signal_are_real(client: Client) -> None:
    await client.new(["bash", "-c", "exit 3"], name="three")
    assert (await client.wait("three", exit=True))["outcome"] == "exited"
    ended = (await client.get("/sessions/three"))["exit"]
    assert (ended["code"], ended["signal"], ended["reason"]) == (3, None, "exited")
    await client.new(["bash", "-c", "kill -KILL $$"], name="killed")
    await client.wait("killed", exit=True)
    ended = (await client.get("/sessions/killed"))["exit"]
    assert (ended["code"], ended["signal"]) == (None, "KILL")


async def test_last_output_before_exit_is_complete(client: Client) -> None:
    # The pause is for tmux, which now and then drops what a program printed in its very last moment.
    await client.new(["bash", "-c", "seq 1 20000; sleep 0.1"], name="seq")
    await client.wait("seq", exit=True)
    data = (await client.all_output("seq")).replace(b"\r\n", b"\n")
    assert data == b"".join(b"%d\n" % n for n in range(1, 20001))


async def test_the_screen_of_an_ended_session_is_kept(client: Client) -> None:
    await client.new(["bash", "-c", "printf 'last words'; sleep 0.1; exit 1"], name="gone")
    await client.wait("gone", exit=True)
    screen = await client.get("/sessions/gone/screen")
    assert screen["lines"][0] == "last words"


async def test_keys_and_resize(client: Client) -> None:
    await client.new(CAT, name="cat", cols=80, rows=24)
    await client.post("/sessions/cat/keys", {"keys": ["a", "b", "BSpace", "Enter"]})
    await client.wait("cat", text="a\n")
    sized = await client.post("/sessions/cat/resize", {"cols": 100, "rows": 30})
    assert (sized["cols"], sized["rows"]) == (100, 30)
    screen = await client.get("/sessions/cat/screen")
    assert (screen["cols"], screen["rows"]) == (100, 30)
    refused = await client.post("/sessions/cat/keys", {"keys": ["Entr"]}, expect=422)
    assert refused["code"] == "invalid"
    assert "Enter" in refused["detail"]
    await client.post("/sessions/cat/keys", {"keys": ["C-d"]})
    assert (await client.wait("cat", exit=True))["outcome"] == "exited"


async def test_wait_outcomes(client: Client) -> None:
    await client.new(CAT, name="cat")
    assert (await client.wait("cat", text="never", timeout_ms=50))["outcome"] == "timeout"
    assert (await client.wait("cat", idle_ms=50))["outcome"] == "matched"
    await client.text("cat", "order 66 ready")
    matched = await client.wait("cat", regex=r"order (\d+) ready")
    assert matched["outcome"] == "matched"
    assert matched["match"]["groups"] == ["66"]
    await client.delete("/sessions/cat")
    assert (await client.wait("cat", text="never"))["outcome"] == "exited"


async def test_restart_keeps_the_session_and_its_offsets(client: Client) -> None:
    made = await client.new(["bash", "-c", "echo run; exec cat"], name="again")
    await client.wait("again", text="run")
    again = await client.post("/sessions/again/restart")
    assert again["id"] == made["id"]
    assert again["state"] == "running"
    await eventually(lambda: _count(client, "again", b"run", 2))
    await client.delete("/sessions/again")
    assert (await client.post("/sessions/again/restart"))["state"] == "running"


async def _count(client: Client, session: str, wanted: bytes, times: int) -> bool:
    return (await client.all_output(session)).count(wanted) == times


async def test_signal_reaches_the_foreground_process(client: Client) -> None:
    await client.new(name="sh")
    await client.text("sh", "sleep 1000; echo code=$?")
    await client.wait("sh", idle_ms=200)
    await client.post("/sessions/sh/signal", {"signal": "SIGTERM"})
    assert (await client.wait("sh", text="code=143"))["outcome"] == "matched"


async def test_input_to_an_ended_session_is_refused(client: Client) -> None:
    await client.new(["true"], name="done")
    await client.wait("done", exit=True)
    refused = await client.post("/sessions/done/input", {"text": "x"}, expect=409)
    assert refused["code"] == "exited"


async def test_names(client: Client) -> None:
    first = await client.new(CAT, name="one")
    assert (await client.post("/sessions", {"name": "one"}, expect=409))["code"] == "conflict"
    await client.delete("/sessions/one")
    second = await client.new(CAT, name="one")
    assert (await client.get("/sessions/one"))["id"] == second["id"] != first["id"]
    renamed = await client.call("PATCH", "/sessions/one", {"name": "two", "tags": ["x"]})
    assert (renamed["name"], renamed["tags"]) == ("two", ["x"])
    assert (await client.get("/sessions/two"))["id"] == second["id"]
    for bad in ["UPPER", "", "-x", "a b", "a" * 64, "a:b", "../x", "x\n"]:
        assert (await client.post("/sessions", {"name": bad}, expect=422))["code"] == "invalid"


@pytest.mark.parametrize("cwd", ["relative", "/no/such/dir", "/etc/passwd", "", "~"])
async def test_a_directory_that_is_none_is_refused(client: Client, cwd: str) -> None:
    assert (await client.post("/sessions", {"cwd": cwd}, expect=422))["code"] == "invalid"
    assert (await client.get("/sessions"))["sessions"] == []


async def test_hostile_directory_names_are_only_directories(client: Client, daemon: DaemonProcess) -> None:
    canary = daemon.home / "canary"
    hostile = daemon.home / f"a%Y#(touch {canary.name}) b;"
    hostile.mkdir()
    await client.new(["bash", "-c", "pwd; sleep 0.1"], name="odd", cwd=str(hostile))
    await client.wait("odd", exit=True)
    assert str(hostile).encode() in (await client.all_output("odd")).replace(b"\r\n", b"")
    assert not canary.exists()


async def test_environment_holds_the_sessions_id_and_private_tmpdir(client: Client) -> None:
    made = await client.new(
        ["bash", "-c", 'echo "$TELECLAUDE_SESSION_ID|$MINE|"; >"$TMPDIR/x"; sleep 0.1'], env={"MINE": "a b;#{x}"}
    )
    await client.wait(made["id"], exit=True)
    text = (await client.all_output(made["id"])).decode()
    assert f"{made['id']}|a b;#{{x}}|" in text
    ended = await client.get(f"/sessions/{made['id']}")
    assert (ended["exit"]["code"], ended["exit"]["reason"]) == (0, "exited")


async def test_purge_drops_record_and_streams(client: Client, daemon: DaemonProcess) -> None:
    made = await client.new(["true"])
    await client.wait(made["id"], exit=True)
    await client.delete(f"/sessions/{made['id']}", params={"purge": "true"})
    await client.get(f"/sessions/{made['id']}", expect=404)
    assert not list(Path(daemon.state / "streams").glob(f"*{made['id']}*"))


async def test_repeated_input_is_typed_once(client: Client) -> None:
    await client.new(CAT, name="cat")
    first = await client.text("cat", "once", client_id="me", seq=1)
    await client.wait("cat", text="once\nonce\n")
    second = await client.text("cat", "once", client_id="me", seq=1)
    assert first == second
    await client.text("cat", "end", client_id="me", seq=2)
    await client.wait("cat", text="end\nend")
    assert (await client.all_output("cat")).count(b"once") == 2  # echo and cat's own copy


async def test_an_idempotency_key_makes_one_session(client: Client) -> None:
    headers = {"Idempotency-Key": "k1"}
    replies = await asyncio.gather(*(client.post("/sessions", {"name": "one"}, headers=headers) for _ in range(5)))
    assert len({reply["id"] for reply in replies}) == 1
    reused = await client.post("/sessions", {"name": "two"}, headers=headers, expect=409)
    assert reused["code"] == "key_reused"


async def test_another_computer_is_unavailable(client: Client) -> None:
    assert (await client.get("/sessions/elsewhere%2Fbuild", expect=503))["code"] == "unavailable"


async def test_many_inputs_keep_their_order(client: Client) -> None:
    await client.new(["bash", "-c", "stty -echo; printf ready; exec cat"], name="cat")
    await client.wait("cat", text="ready")
    for number in range(100):
        await client.text("cat", f"line {number}")
    await client.wait("cat", text="line 99\n")
    lines = (await client.all_output("cat")).decode().replace("\r\n", "\n").removeprefix("ready").splitlines()
    assert lines == [f"line {number}" for number in range(100)]


async def test_large_text_is_pasted_whole(client: Client, daemon: DaemonProcess) -> None:
    target = daemon.home / "pasted"
    text = "".join(f"line {n}\n" for n in range(10_000))
    await client.new(["bash", "-c", f"stty raw -echo; printf ready; head -c {len(text)} >{target}"], name="paste")
    await client.wait("paste", text="ready")
    await client.text("paste", text, submit=False)
    await client.wait("paste", exit=True)
    assert target.read_text().replace("\r", "\n") == text
