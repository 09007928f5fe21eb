"""A terminal session moves to another computer and back, with all that it had."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.handoff.pair import HERE, THERE, Pair, events_of
from tests.support.fleet import refused
from tests.support.outside import look
from tests.support.wait import eventually


async def test_a_shell_goes_on_with_its_history_and_offsets(both: Pair) -> None:
    made = await both.start(tags=["a", "b"], cols=90, rows=20, env={"KEPT": "yes"})
    await both.here.text("work", "one")
    await both.here.wait("work", text="<one on")
    before = await both.here.all_output("work")
    moved = await both.move()
    assert moved == {"session": made["id"], "from": HERE, "to": THERE, "epoch": 2}
    there = await both.there.get("/sessions/work")
    assert (there["id"], there["state"], there["computer"], there["epoch"]) == (made["id"], "running", THERE, 2)
    assert (there["tags"], there["cols"], there["rows"]) == (["a", "b"], 90, 20)
    assert there["cwd"] == str(both.folders[THERE])
    assert there["created_at"] == made["created_at"]
    assert (await both.there.output("work", 0, len(before)))[1] == before
    await both.there.text("work", "two")
    await both.there.wait("work", text=f"<two on {both.folders[THERE]}>")
    after = await both.there.all_output("work")
    assert after.startswith(before + b"begin\r\n")
    here = await both.here.get(f"/sessions/{made['id']}")
    assert here["state"] == "handed_off"
    assert here["handed_off"] == {"computer": THERE, "session_id": made["id"], "epoch": 2}
    assert here["output"]["end"] == len(before)
    await eventually(lambda: both.fleet[HERE].tmux("list-panes", "-a", "-F", "#{session_name}").find("work") == -1)


async def test_followers_are_told_and_move_along(both: Pair) -> None:
    made = await both.start()
    collected = bytearray()
    states: list[str] = []
    began = asyncio.Event()

    async def follow() -> dict[str, Any]:
        async with both.here.http.get(both.here.url("/sessions/work/stream"), params={"from": "0"}) as response:
            async for name, data in events_of(response):
                if name == "output":
                    collected.extend(data["data"])
                    began.set()
                elif name == "state":
                    states.append(data["state"])
                elif name == "handed_off":
                    return data
        raise AssertionError("the stream ended without a word")

    async def move() -> None:
        await began.wait()
        await both.move()

    told, _ = await asyncio.gather(follow(), move())
    assert told == {"computer": THERE, "session_id": made["id"], "epoch": 2}
    assert states == ["handing_off"]
    # Whoever cannot reach the other computer is served by the old one, under the new address.
    path = f"/sessions/{told['computer']}%2F{told['session_id']}/stream"
    async with both.here.http.get(both.here.url(path), params={"from": str(len(collected))}) as response:
        await both.there.text("work", "go on")
        async for name, data in events_of(response):
            if name == "output":
                assert data["from"] == len(collected)
                collected += data["data"]
            if b"<go on on" in collected:
                break
    assert (await both.there.all_output("work")).startswith(bytes(collected))


async def test_the_old_name_leads_to_the_new_owner(both: Pair) -> None:
    made = await both.start()
    await both.move()
    await both.here.text("work", "through the old name")
    assert (await both.here.wait(made["id"], text="<through the old name"))["outcome"] == "matched"
    assert await both.here.all_output("work") == await both.there.all_output("work")
    screen = await both.here.get("/sessions/work/screen")
    assert any("through the old name" in line for line in screen["lines"])
    assert (await both.here.post("/sessions/work/resize", {"cols": 99, "rows": 33}))["computer"] == THERE


async def test_a_token_for_one_session_is_not_led_to_another(both: Pair) -> None:
    """A session that was handed over is passed on to; whose scope ends before it gets no further than here."""
    await both.start()
    await both.start("cat", name="other")
    here = await look(both.fleet[HERE])
    token = await here.new_token("scoped", sessions=["other"])
    await both.move()
    for method, path, body in (
        ("GET", "/output", None),
        ("GET", "/screen", None),
        ("POST", "/input", {"text": "unwanted"}),
        ("POST", "/wait", {"until": {"exit": True}, "timeout_ms": 0}),
        ("DELETE", "", None),
    ):
        found = await here.code(method, f"/v1/sessions/work{path}", token=token, json=body)
        assert found == (404, "not_found"), path
    assert b"unwanted" not in await both.there.all_output("work")
    assert await here.code("GET", f"/v1/sessions?computer={THERE}", token=token) == (403, "forbidden")
    await here.revoke("scoped")


async def test_handing_back_is_the_same_act_from_the_other_side(both: Pair) -> None:
    made = await both.start()
    await both.here.text("work", "first")
    await both.here.wait("work", text="<first on")
    await both.move()
    await both.there.text("work", "second")
    await both.there.wait("work", text="<second on")
    before = await both.there.all_output("work")
    assert (await both.back())["epoch"] == 3
    here = await both.here.get("/sessions/work")
    assert (here["id"], here["state"], here["epoch"], here["handed_off"]) == (made["id"], "running", 3, None)
    await both.here.text("work", "third")
    await both.here.wait("work", text=f"<third on {both.folders[HERE]}>")
    after = await both.here.all_output("work")
    assert after.startswith(before)
    assert [after.count(b"<%s on" % word) for word in (b"first", b"second", b"third")] == [1, 1, 1]
    assert (await both.there.get(f"/sessions/{made['id']}"))["state"] == "handed_off"
    # And once more, over what stayed there.
    assert (await both.move())["epoch"] == 4
    assert (await both.there.all_output("work")).startswith(after)
    # Asked of a computer that it only was on, it goes by the one that has it.
    assert (await both.here.post("/sessions/work/handoff", {"computer": HERE}))["epoch"] == 5


async def test_it_is_asked_for_over_json_rpc(both: Pair) -> None:
    await both.start()
    async with both.here.http.ws_connect(both.here.url("/rpc")) as socket:
        params = {"id": "work", "computer": THERE, "timeout_ms": 15_000}
        await socket.send_json({"jsonrpc": "2.0", "id": 1, "method": "session.handoff", "params": params})
        answer = await socket.receive_json(timeout=15)
    assert answer["result"]["to"] == THERE


async def test_what_cannot_be_handed_over_says_so_and_goes_on(both: Pair) -> None:
    made = await both.start()
    path = "/sessions/work/handoff"
    assert await refused(both.here, "POST", path, {"computer": "nowhere"}) == (404, "not_found")
    assert await refused(both.here, "POST", path, {"computer": HERE}) == (422, "invalid")
    assert await refused(both.here, "POST", "/sessions/none/handoff", {"computer": THERE}) == (404, "not_found")
    await both.there.new(["cat"], "work")
    assert await refused(both.here, "POST", path, {"computer": THERE}) == (409, "conflict")
    await both.there.delete("/sessions/work", params={"grace_ms": "0", "purge": "true"})
    lost = both.folders[HERE] / "only-here"
    lost.mkdir()
    await both.here.new(["cat"], "lonely", cwd=str(lost))
    # It exists there too, but a computer that is no owner may not start anything in it.
    assert await refused(both.here, "POST", "/sessions/lonely/handoff", {"computer": THERE}) == (403, "forbidden")
    lost.rmdir()
    assert await refused(both.here, "POST", "/sessions/lonely/handoff", {"computer": THERE}) == (422, "invalid")
    await both.here.post("/sessions", {"name": "calc", "kind": "python"})
    assert await refused(both.here, "POST", "/sessions/calc/handoff", {"computer": THERE}) == (422, "invalid")
    ran = await both.here.post("/executions", {"argv": ["true"]})
    assert await refused(both.here, "POST", f"/sessions/{ran['id']}/handoff", {"computer": THERE}) == (422, "invalid")
    assert await refused(both.here, "POST", path, {"computer": THERE, "git": "bundle"}) == (422, "invalid")
    assert await refused(both.here, "POST", "/sessions/work/take") == (409, "conflict")
    assert (await both.here.get("/sessions/work"))["epoch"] == made["epoch"] == 1
    await both.here.text("work", "still here")
    await both.here.wait("work", text="<still here on")
