"""Each message of a handoff lost, answered in vain or repeated; declined, and taken by force, at exact moments."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from teleclaude.errors import BusyError, ConflictError, DeadlineError, ForbiddenError, IndeterminateError
from teleclaude.model import Principal, Role
from teleclaude.testing.fabric import Fault, Network
from teleclaude.wire.base import Command
from teleclaude.wire.handoff import InquireHandoff, OfferHandoff, TakeSession
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.sessions import CloseSession, UpdateSession
from teleclaude.wire.waits import Until, WaitSession
from tests.integration.handoff.cores import ME, Computer, computer
from tests.support.wait import eventually

NAMES = ("anvil", "barn", "crane")
ECHO = 'echo begin; while read x; do echo "<$x on $PWD>"; done'

Three = tuple[Network, Computer, Computer, Computer]


@pytest.fixture
async def three(tmp_path: Path) -> AsyncIterator[Three]:
    network = Network()
    async with AsyncExitStack() as stack:
        anvil, barn, crane = [
            await stack.enter_async_context(computer(name, tmp_path / name, network)) for name in NAMES
        ]
        yield network, anvil, barn, crane


async def owner(*computers: Computer) -> list[str]:
    return [one.name for one in computers if "work" in await one.running()]


BEFORE = ("handoff.prepare", "handoff.part", "handoff.seal")


async def test_messages_go_wrong_one_by_one(three: Three) -> None:
    network, anvil, barn, _ = three
    places = {"anvil": anvil, "barn": barn}
    made = await anvil.new(ECHO)
    await anvil.sees("begin")
    here, epoch = "anvil", 1
    for operation in (*BEFORE, "handoff.offer"):
        for fault in Fault:
            there = "barn" if here == "anvil" else "anvil"
            network.fail(operation, fault)
            before = await places[here].output()
            lost = fault is not Fault.REPEAT and operation in BEFORE
            try:
                reply = await places[here].hand(there)
            except DeadlineError:
                assert lost, (operation, fault)
            else:
                assert not lost, (operation, fault)
                here, epoch = there, epoch + 1
                assert (reply.session, reply.to, reply.epoch) == (made.id, here, epoch)
            assert await owner(anvil, barn) == [here]
            word = f"{operation} {fault}"
            await places[here].text(word)
            await places[here].sees(f"<{word} on {places[here].project}>")
            assert (await places[here].output()).startswith(before)
    staged = [entry.name for place in places.values() for entry in place.project.parent.glob("state/streams/.staged*")]
    assert staged == []


async def test_declined_it_goes_on_as_if_nothing_had_been(three: Three) -> None:
    network, anvil, barn, _ = three
    await anvil.new("echo begin; while read -t 0.02 x || true; do echo tick; done")
    await anvil.sees("tick")
    process = (await anvil.get()).attach

    async def occupy() -> None:
        assert (await anvil.get()).state == "handing_off"
        with pytest.raises(BusyError):
            await anvil.text("x")
        await barn.new("cat")

    network.before("handoff.offer", occupy)
    with pytest.raises(ConflictError, match="a live session is named work there"):
        await anvil.hand("barn")
    session = await anvil.get()
    assert (session.state, session.epoch, session.attach) == ("running", 2, process)
    end = session.output.end
    await eventually(lambda: grown(anvil, end))
    data = await anvil.output()
    assert set(data.replace(b"begin\r\n", b"").split(b"\r\n")) <= {b"tick", b""}, "nothing is missing or cut"


async def grown(one: Computer, end: int) -> bool:
    return (await one.get()).output.end > end + 50


async def test_declined_after_its_end_it_has_ended(three: Three) -> None:
    network, anvil, barn, _ = three
    await anvil.new("echo $$; read x; exit 7")
    await anvil.sees("\n")
    pid = int((await anvil.output()).split()[0])

    async def end() -> None:
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: gone(pid))
        await barn.new("cat")

    network.before("handoff.offer", end)
    with pytest.raises(ConflictError):
        await anvil.hand("barn")
    session = await anvil.get()
    assert session.state == "exited"
    assert session.exit is not None
    assert session.exit.signal == "KILL"


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
    except FileNotFoundError:
        return True


async def test_a_process_that_ends_on_the_way_goes_all_the_same(three: Three) -> None:
    network, anvil, barn, _ = three
    await anvil.new("echo $$; read x")
    await anvil.sees("\n")
    pid = int((await anvil.output()).split()[0])

    async def end() -> None:
        os.kill(pid, signal.SIGKILL)
        await eventually(lambda: gone(pid))

    network.before("handoff.offer", end)
    assert (await anvil.hand("barn")).epoch == 2
    assert await owner(anvil, barn) == ["barn"]
    assert (await anvil.get()).state == "handed_off"


async def test_the_target_takes_what_a_dead_source_had_sent(three: Three) -> None:
    network, anvil, barn, crane = three
    made = await anvil.new(ECHO)
    await anvil.sees("begin")
    before = await anvil.output()

    async def cut() -> None:
        network.cut |= {frozenset(("anvil", other.name)) for other in (barn, crane)}

    network.before("handoff.offer", cut)
    with pytest.raises(IndeterminateError, match="--force-take"):
        await anvil.hand("barn", timeout_ms=1500)
    assert (await anvil.get()).state == "handing_off"
    taken = await barn.ask(TakeSession(id="work"))
    assert (taken.session, taken.from_, taken.to, taken.epoch) == (made.id, "anvil", "barn", 3)
    assert (await barn.output()).startswith(before)
    network.cut.clear()
    await eventually(lambda: left(anvil))
    moved = (await anvil.get()).handed_off
    assert moved is not None
    assert (moved.computer, moved.epoch) == ("barn", 3)
    assert await owner(anvil, barn, crane) == ["barn"]


async def left(one: Computer) -> bool:
    return (await one.get()).state == "handed_off"


async def test_two_that_were_forced_at_once_come_to_one(three: Three) -> None:
    """Cut off from each other, each is told by its owner that the other is dead."""
    network, anvil, barn, crane = three
    await anvil.new(ECHO)
    await anvil.sees("begin")

    async def cut() -> None:
        network.cut |= {frozenset(("anvil", other.name)) for other in (barn, crane)}

    network.before("handoff.offer", cut)
    with pytest.raises(IndeterminateError):
        await anvil.hand("barn", timeout_ms=1500)
    assert (await anvil.ask(TakeSession(id="work"))).epoch == 3
    assert (await barn.ask(TakeSession(id="work"))).epoch == 3
    assert await owner(anvil, barn) == ["anvil", "barn"]
    network.cut.clear()
    await eventually(lambda: left(anvil))
    assert await owner(anvil, barn) == ["barn"]
    await anvil.text("told")
    await barn.sees("<told on")


async def test_what_changed_while_the_others_were_asked_is_not_taken(three: Three) -> None:
    network, anvil, _, _ = three
    await anvil.new(ECHO)
    await anvil.sees("begin")

    async def cut() -> None:
        network.cut.add(frozenset(("anvil", "barn")))

    network.before("handoff.offer", cut)
    with pytest.raises(IndeterminateError):
        await anvil.hand("barn", timeout_ms=1500)

    async def taken_meanwhile() -> None:
        assert (await anvil.ask(TakeSession(id="work"))).epoch == 3

    network.before("handoff.inquire", taken_meanwhile)
    with pytest.raises(ConflictError, match="meanwhile"):
        await anvil.ask(TakeSession(id="work"))
    assert (await anvil.get()).epoch == 3


async def test_an_old_name_leads_on_however_far_it_went(three: Three) -> None:
    _, anvil, barn, crane = three
    made = await anvil.new(ECHO)
    await anvil.sees("begin")
    await anvil.hand("barn")
    await barn.hand("crane")
    await anvil.text("from afar")
    await anvil.sees("<from afar on")
    moved = (await anvil.get()).handed_off
    assert moved is not None
    assert (moved.computer, moved.session_id, moved.epoch) == ("crane", made.id, 3)
    assert b"<from afar on" in await crane.output()
    # A computer that asks the one in between is told where to ask, and does.
    with pytest.raises(ConflictError, match=f"ask for crane/{made.id}"):
        await barn.core.hub.call(Principal("node:anvil", Role.OPERATOR), ReadOutput(id="work"))
    assert b"<from afar on" in await anvil.output("barn/work")
    renamed = await anvil.ask(UpdateSession(id=made.id, name="play"))
    assert (renamed.computer, renamed.name) == ("crane", "play")
    assert (await anvil.ask(CloseSession(id="work", grace_ms=0))).state == "exited"
    assert (await crane.get("play")).state == "exited"
    # Purging drops what is here only.
    await anvil.ask(CloseSession(id="work", purge=True))
    assert (await crane.get("play")).state == "exited"


async def test_who_waits_goes_on_waiting_there(three: Three) -> None:
    _, anvil, barn, _ = three
    await anvil.new(ECHO)
    await anvil.sees("begin")

    async def move() -> None:
        await anvil.hand("barn")
        await barn.text("after")
        await barn.sees("<after on")
        await barn.ask(CloseSession(id="work", grace_ms=0))

    text = WaitSession(id="work", until=Until(text="<after on"), timeout_ms=10_000)
    end = WaitSession(id="work", until=Until(exit=True), timeout_ms=10_000)
    matched, ended, _ = await asyncio.gather(anvil.ask(text), anvil.ask(end), move())
    assert (matched.outcome, ended.outcome) == ("matched", "exited")
    assert (await barn.get()).state == "exited"


async def test_only_computers_speak_to_computers(three: Three) -> None:
    _, anvil, _, _ = three
    made = await anvil.new(ECHO)
    commands: list[Command[Any]] = [
        InquireHandoff(session=made.id),
        OfferHandoff(handoff="H" + made.id[1:], session=made.id, epoch=2),
    ]
    for who in (ME, Principal("token:x", Role.OPERATOR)):
        for command in commands:
            with pytest.raises(ForbiddenError):
                await anvil.core.hub.call(who, command)
    with pytest.raises(ForbiddenError):
        await anvil.core.hub.call(Principal("node:barn", Role.OWNER), TakeSession(id=made.id))
