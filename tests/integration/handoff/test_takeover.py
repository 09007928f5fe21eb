"""A session of a dead computer is taken over by an owner's word, and only of a dead one."""

from __future__ import annotations

import asyncio
import signal

from teleclaude.testing.faultproxy import FaultProxy
from tests.integration.handoff.pair import HERE, THERE, Pair
from tests.integration.handoff.test_faults import at, attempt
from tests.support.fleet import refused
from tests.support.wait import eventually


async def test_it_is_refused_while_the_owner_answers(both: Pair) -> None:
    await both.start()
    await both.move()
    assert await refused(both.here, "POST", "/sessions/work/take") == (409, "conflict")
    assert await refused(both.there, "POST", "/sessions/work/take") == (409, "conflict")
    assert await refused(both.here, "POST", "/sessions/nothing/take") == (404, "not_found")
    assert (await both.there.get("/sessions/work"))["epoch"] == 2


def panes(pair: Pair, name: str) -> list[str]:
    """Session and process of each terminal."""
    listed = pair.fleet[name].tmux("list-panes", "-a", "-F", "#{session_name} #{pane_pid}")
    return [line for line in listed.splitlines() if line.startswith("work ")]


async def test_what_was_a_dead_computers_is_taken(slow: tuple[Pair, FaultProxy]) -> None:
    pair, proxy = slow
    made = await pair.start()
    before = panes(pair, HERE)

    async def kill() -> None:
        await at(pair, "released")
        await pair.fleet[THERE].kill()

    (status, reply), _ = await asyncio.gather(attempt(pair), kill())
    assert (status, reply["code"]) == (504, "indeterminate")
    # What was let go of is taken back, with its process.
    assert (await pair.here.post("/sessions/work/take"))["epoch"] == 3
    assert panes(pair, HERE) == before
    await pair.here.text("work", "mine")
    await pair.here.wait("work", text="<mine on")

    async def has_yielded(epoch: int) -> bool:
        there = await pair.there.get(f"/sessions/{made['id']}")
        return bool(there["handed_off"] == {"computer": HERE, "session_id": made["id"], "epoch": epoch})

    # The offer was still on its way when the person decided: the other computer may take it, and yields.
    await pair.fleet[THERE].start()
    await pair.fleet.meet()
    await eventually(lambda: has_yielded_or_never_had(pair, made["id"]), timeout=15)
    assert (await pair.here.get("/sessions/work"))["epoch"] == 3
    await eventually(lambda: panes(pair, THERE) == [])
    # What was handed over properly starts again where it was before; who was only frozen yields on waking (X32).
    proxy.heal()
    assert (await pair.move())["epoch"] == 4
    pair.fleet[THERE].signal(signal.SIGSTOP)
    taken = await pair.here.post("/sessions/work/take")
    assert taken == {"session": made["id"], "from": THERE, "to": HERE, "epoch": 6}
    assert (await pair.here.get("/sessions/work"))["state"] == "running"
    pair.fleet[THERE].signal(signal.SIGCONT)
    await eventually(lambda: has_yielded(6), timeout=15)
    await eventually(lambda: panes(pair, THERE) == [])
    await pair.here.text("work", "still mine")
    await pair.here.wait("work", text="<still mine on")


async def has_yielded_or_never_had(pair: Pair, session_id: str) -> bool:
    sessions = (await pair.there.get("/sessions"))["sessions"]
    return all(session["state"] == "handed_off" for session in sessions if session["id"] == session_id)
