"""The page over interruptions: by its own record no byte is missing and none came twice."""

from __future__ import annotations

import base64
import sys

import pytest
from playwright.async_api import Browser, Route

from tests.integration.web.visitor import Visitor, visit
from tests.support.cut import wire_to
from tests.support.daemon import Client, daemon_process
from tests.support.outside import Outside, outside_daemon
from tests.support.wait import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")

LINES = 800


def counting(lines: int = LINES) -> list[str]:
    """A program that prints numbered lines for a few seconds, and then waits."""
    code = (
        "import time\n"
        f"for number in range({lines}):\n    print('numbered line', number, flush=True); time.sleep(0.002)\n"
        "print('all said', flush=True); time.sleep(600)"
    )
    return [sys.executable, "-c", code]


async def received_more(visitor: Visitor, than: int) -> int:
    """How many bytes there are once there are more."""

    async def more() -> int:
        count = int(await visitor.page.evaluate("window.record.reduce((sum, {data}) => sum + (data?.length ?? 0), 0)"))
        return count if count > than else 0

    return await eventually(more, timeout=30)


async def check_record(visitor: Visitor, client: Client, name: str) -> None:
    """What the page got is what the daemon has, piece by piece in order."""
    whole = await client.all_output(name)
    await visitor.received_all(whole)
    found = await visitor.received()
    assert (found["from"], found["holes"]) == (0, 0)
    assert base64.b64decode(found["text"]) == whole


async def test_the_daemon_is_killed_while_output_flows(browser: Browser, port: int) -> None:
    listen = {"TELECLAUDE_REST__LISTEN": f"127.0.0.1:{port}"}
    async with outside_daemon(listen) as outside, visit(browser, outside.base) as visitor:
        async with Client(outside.daemon.socket) as client:
            await client.new(counting(), name="count")
        await visitor.sign_in(outside.token)
        await visitor.choose("count")
        await received_more(visitor, 1000)
        await outside.daemon.kill()
        await visitor.sees("#tty[data-word=waiting], #tty[data-word=connecting]")
        await visitor.sees("body.away")
        await outside.daemon.start()
        await visitor.sees("#tty[data-word=live]")
        await visitor.sees("body:not(.away)")
        await visitor.reads("all said")
        async with Client(outside.daemon.socket) as client:
            await check_record(visitor, client, "count")
        await visitor.types("still taken")
        await visitor.reads("still taken")


async def test_the_network_is_cut_while_output_flows(browser: Browser) -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client, wire_to(daemon.socket) as wire:
        await client.new(["sh", "-c", 'read go; exec "$@"', "sh", *counting(2000)], name="count")
        async with visit(browser, f"http://127.0.0.1:{wire.port}") as visitor:
            await visitor.load()  # by the owner's own socket, which wants no token
            await visitor.choose("count")
            await client.text("count", "go")  # not before there is a page to see it
            count = 0
            for _ in range(5):
                count = await received_more(visitor, count + 300)
                wire.cut()
            await visitor.reads("all said")
            await check_record(visitor, client, "count")
            assert not await visitor.page.is_visible("#signin")


async def test_a_page_that_is_behind_breaks_off_and_comes_back(
    browser: Browser, outside: Outside, client: Client
) -> None:
    async def impatient(route: Route) -> None:
        reply = await route.fetch()
        body = await reply.text()
        assert "const MUCH = 4 << 20" in body
        await route.fulfill(response=reply, body=body.replace("4 << 20", "32 << 10").replace("512 << 10", "8 << 10"))

    async with visit(browser, outside.base) as visitor:
        await visitor.page.route("**/terminal.js", impatient)
        await client.new(["bash", "-c", "seq -f 'much %010.0f' 20000; echo; echo over; exec cat"], name="much")
        await client.wait("much", text="over")
        await visitor.sign_in(outside.token)
        await visitor.choose("much")
        await visitor.reads("over")
        assert sum(address.startswith("ws:") for address in visitor.addresses) > 1
        await check_record(visitor, client, "much")


async def test_a_flood_is_taken_whole(browser: Browser, outside: Outside, client: Client) -> None:
    async with visit(browser, outside.base) as visitor:
        await client.new(["bash", "-c", "read; seq -f 'flood %010.0f' 600000; echo; echo over; exec cat"], name="flood")
        await visitor.sign_in(outside.token)
        await visitor.choose("flood")
        await client.text("flood", "")
        await visitor.reads("over")
        whole = await client.all_output("flood")
        assert len(whole) > 10_000_000
        await visitor.received_all(whole)


async def test_a_hole_is_named(browser: Browser) -> None:
    small = {"TELECLAUDE_SESSIONS__SEGMENT_BYTES": "65536", "TELECLAUDE_SESSIONS__RETENTION_BYTES": "262144"}
    async with (
        outside_daemon(small) as outside,
        Client(outside.daemon.socket) as client,
        visit(browser, outside.base) as visitor,
    ):
        await client.new(["bash", "-c", "echo first; read; seq 400000; echo last; exec cat"], name="hole")
        await visitor.sign_in(outside.token)
        await visitor.choose("hole")
        await visitor.reads("first")
        before = await visitor.received()
        await visitor.context.set_offline(True)
        await visitor.page.evaluate("window.dispatchEvent(new Event('online'))")
        await visitor.sees("#tty[data-word=waiting], #tty[data-word=connecting]")
        await client.text("hole", "")
        await client.wait("hole", text="last")

        async def dropped() -> int:
            start = int((await client.get("/sessions/hole"))["output"]["start"])
            return start if start > 1_000_000 else 0

        await eventually(dropped, timeout=20)
        await visitor.context.set_offline(False)
        await visitor.page.evaluate("window.dispatchEvent(new Event('online'))")
        await visitor.reads("last")
        text = await (await visitor.sees(".notice.warning", "Gap in the output")).inner_text()
        gap = await visitor.page.evaluate("window.record.find((piece) => !piece.data)")
        start = len(base64.b64decode(before["text"]))
        assert (gap["from"], gap["reason"]) == (start, "retention")
        assert f"missing, from offset {start} to {gap['to']}" in text
        found = await visitor.received()
        assert found["holes"] == 1
        _, kept = await client.output("hole", gap["to"])
        assert base64.b64decode(found["text"])[start:].startswith(kept)
