"""Whatever is killed or cut off at whichever step: never two owners, and exactly one in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from teleclaude.testing.faultproxy import FaultProxy
from tests.integration.handoff.conftest import DELAY
from tests.integration.handoff.pair import HERE, THERE, Pair
from tests.support.fleet import refused
from tests.support.wait import eventually

PATIENCE = 15.0


async def owners(pair: Pair) -> list[str]:
    """On which computers the session takes input."""
    found = []
    for name, client in ((HERE, pair.here), (THERE, pair.there)):
        with suppress(aiohttp.ClientError):
            sessions = (await client.get("/sessions", params={"state": "running"}))["sessions"]
            found += [name for session in sessions if session["name"] == "work"]
    return found


async def alive(pair: Pair) -> str | None:
    """The one owner, once nobody waits for an answer any more and it takes input."""
    found = await owners(pair)
    if len(found) > 1:
        pytest.fail(f"two owners: {found}")
    if not found or (await pair.here.get("/sessions", params={"state": "handing_off"}))["sessions"]:
        return None
    client = pair.here if found == [HERE] else pair.there
    await client.text("work", "alive")
    assert (await client.wait("work", text="<alive on", timeout_ms=2000))["outcome"] == "matched"
    return found[0]


async def attempt(pair: Pair) -> tuple[int, Any]:
    """Status and reply of a handoff, -1 when the daemon went away meanwhile."""
    body = {"computer": THERE, "timeout_ms": 2500}
    try:
        async with pair.here.http.post(pair.here.url("/sessions/work/handoff"), json=body) as response:
            return response.status, await response.json(content_type=None)
    except aiohttp.ClientError:
        return -1, None


async def during(attempt: Coroutine[Any, Any, Any], act: Coroutine[Any, Any, None]) -> None:
    """``act`` happens in the middle of ``attempt``, whose end nobody waits for."""
    with suppress(TimeoutError):
        async with asyncio.timeout(None) as scope:

            async def acting() -> None:
                await act
                scope.reschedule(asyncio.get_running_loop().time())

            await asyncio.gather(attempt, acting())


async def settled(pair: Pair, expected: bytes, where: str | None) -> None:
    """One owner in the end, which has all that was recorded and takes input. It is ``where`` it has to be, if that is
    sure.
    """
    owner = await eventually(lambda: alive(pair), timeout=PATIENCE)
    client = pair.here if owner == HERE else pair.there
    assert (await client.all_output("work")).startswith(expected)
    assert where in (None, owner)


async def begin(pair: Pair) -> bytes:
    await pair.fleet.meet()
    await pair.start()
    await pair.here.text("work", "before")
    await pair.here.wait("work", text="<before on")
    return await pair.here.all_output("work")


async def at(pair: Pair, step: str) -> None:
    """Until the handoff under way has come so far."""

    async def is_released() -> bool:
        return bool((await pair.here.get("/sessions/work"))["state"] == "handing_off")

    async def is_taken() -> bool:
        return [session["name"] for session in (await pair.there.get("/sessions"))["sessions"]] == ["work"]

    match step:
        case "prepared":
            await asyncio.sleep(1.5 * DELAY)
        case "released":
            await eventually(is_released)
        case _:
            await eventually(is_taken)


STEPS = ("prepared", "released", "taken")


@pytest.mark.parametrize("step", STEPS)
async def test_x31_exactly_one_owner_whatever_dies_or_breaks(slow: tuple[Pair, FaultProxy], step: str) -> None:
    pair, proxy = slow

    async def kill(victim: str) -> None:
        await at(pair, step)
        await pair.fleet[victim].kill()

    async def cut() -> None:
        await at(pair, step)
        proxy.to_server.drop = proxy.to_client.drop = True

    for victim in (HERE, THERE):
        expected = await begin(pair)
        await during(attempt(pair), kill(victim))
        assert len(await owners(pair)) <= 1
        await pair.fleet[victim].start()
        await settled(pair, expected, THERE if step != "prepared" else None)
        await pair.clear()
    expected = await begin(pair)
    await during(attempt(pair), cut())
    assert len(await owners(pair)) <= 1
    if step == "released":
        assert (await pair.here.get("/sessions/work"))["state"] == "handing_off"
        assert await refused(pair.here, "POST", "/sessions/work/input", {"text": "x"}) == (409, "busy")
        assert await refused(pair.here, "DELETE", "/sessions/work") == (409, "busy")
        assert await refused(pair.here, "PATCH", "/sessions/work", {"name": "other"}) == (409, "busy")
    proxy.heal()
    proxy.reset()
    await settled(pair, expected, THERE if step != "prepared" else None)
