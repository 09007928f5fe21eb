"""What Redis does on bad days, by the numbers of the fault catalogue: local work goes on, nothing happens twice."""

from __future__ import annotations

import asyncio
import base64
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from teleclaude.api import KeyUse
from teleclaude.errors import DeadlineError, IndeterminateError, TeleclaudeError, UnavailableError
from teleclaude.model import Chunk, Principal, Role
from teleclaude.testing.faultproxy import FaultProxy
from teleclaude.wire.base import Command
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.sessions import InputReply, SendInput
from teleclaude_redis.inbox import Timing
from tests.support.daemon import Client
from tests.support.fleet import Fleet, refused, running_fleet, write_key
from tests.support.peer import Peer, running_peer
from tests.support.redis import RedisServer, redis_binary, redis_server
from tests.support.wait import eventually

OWNER = Principal("tester", Role.OWNER)
INBOX = "teleclaude:inbox:{south}"


class South:
    """What the other computer is asked to do; ``hold`` keeps it at it."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.begun: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()

    def answer(self, _principal: Principal, command: Command[Any]) -> Any:
        async def work() -> Any:
            if isinstance(command, ReadOutput):
                return Chunk(0, 1, 1, b"x")
            assert isinstance(command, SendInput)
            self.begun.append(command.text)
            await self.hold.wait()
            self.done.append(command.text)
            return InputReply(offset=len(self.done))

        return work()


def typed(text: str) -> SendInput:
    return SendInput(id="work", text=text)


@asynccontextmanager
async def two(
    server: RedisServer, *, url: str | None = None, timing: Timing | None = None
) -> AsyncIterator[tuple[Peer, South]]:
    """North, which asks (by way of ``url``), and what south does."""
    key = await asyncio.to_thread(write_key, server.folder / "key")
    south = South()
    async with (
        running_peer("south", server, key, answer=south.answer, timing=timing),
        running_peer("north", server, key, url=url) as north,
    ):
        await north.sees("south")
        yield north, south


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    async with redis_server() as server:
        yield server


async def is_ready(peer: Peer) -> bool:
    return (await peer.adapter.check()).ok


async def test_x22_redis_comes_and_goes_and_local_work_does_not_care() -> None:
    async with redis_server() as server:
        server.kill()
        async with running_fleet("north", "south", "east", server=server, meet=False) as fleet:
            await works_locally(fleet)
            await says(fleet, ok=False)
            async with fleet.client("north") as north:
                status, code = await refused(north, "POST", "/sessions/south%2Fwork/input", {"text": "x"})
                assert (status, code) == (503, "unavailable")
                assert [one["name"] for one in (await north.get("/computers"))["computers"]] == ["north"]
            await server.start()
            await fleet.meet()
            await says(fleet, ok=True)
            await passes_nothing_on(fleet)
            await drained_in_order(fleet)
            await follows_across_the_outage(fleet)
            await dies_at_work(fleet)
            await works_locally(fleet)


async def dies_at_work(fleet: Fleet) -> None:
    """What a killed daemon had begun is not begun again by the next one; what still lay in Redis is done."""
    said: dict[str, str] = {}
    async with fleet.client("north") as north, fleet.client("south") as south:
        await south.new('stty -echo; while read line; do echo "<$line>"; done', "work")

        async def type_on() -> None:
            while all(how == "ok" for how in said.values()):
                text = f"n{len(said)}"
                async with north.http.post(north.url("/sessions/south%2Fwork/input"), json={"text": text}) as response:
                    answer = await response.json()
                    said[text] = "ok" if response.status == 200 else answer["code"]

        typing = asyncio.gather(type_on())
        await eventually(lambda: len(said) > 5)
        await fleet["south"].kill()
        await fleet["south"].start()
        await eventually(lambda: len(said) > 8 or typing.done(), timeout=15)
        said["stop"] = "stop"
        await typing
        await fleet.meet()
        await north.text("south%2Fwork", "last")
        await north.wait("south%2Fwork", text="<last>")
        seen = (await south.all_output("work")).decode()
        await south.delete("/sessions/work", params={"grace_ms": "0"})
    del said["stop"]
    for text, how in said.items():
        count = seen.count(f"<{text}>")
        assert count <= 1
        assert how != "ok" or count == 1, (text, how)
        assert how != "unavailable" or count == 0, (text, how)


async def follows_across_the_outage(fleet: Fleet) -> None:
    """A follower hears that the link is gone, and goes on where it was once that is back."""
    counting = "i=0; while :; do i=$((i+1)); echo line $i; sleep 0.01; done"
    async with fleet.client("north") as north, fleet.client("south") as south:
        await south.new(counting, "counting")
        first, last = await followed(north, None, until=100)
        assert b"error" not in first
        asked = asyncio.gather(followed(north, last, until=1 << 40))
        await asyncio.sleep(0.2)
        fleet.server.kill()
        [(second, last)] = await asked
        await says(fleet, ok=False)
        await works_locally(fleet)
        await eventually(lambda: all_stale(fleet), timeout=5)
        status, code = await refused(north, "GET", "/sessions/south%2Fcounting")
        assert (status, code) == (503, "unavailable")
        await fleet.server.start()
        await fleet.meet()
        third, last = await followed(north, last, until=int(last) + 100)
        await south.delete("/sessions/counting", params={"grace_ms": "0"})
        assert first + second + third == (await south.all_output("counting"))[: int(last)]


async def followed(client: Client, last: str | None, *, until: int) -> tuple[bytes, str]:
    """What a stream gave up to the offset ``until``, or to its failure; and the id to go on from."""
    got, id_ = b"", last or "0"
    headers = {"Last-Event-ID": last} if last else {}
    query = {} if last else {"from": "0"}
    url = client.url("/sessions/south%2Fcounting/stream")
    async with asyncio.timeout(20), client.http.get(url, params=query, headers=headers) as response:
        assert response.status == 200
        async for line in response.content:
            if line.startswith(b"id: "):
                id_ = line[4:].strip().decode()
            elif line.startswith(b'data: {"from"'):
                got += base64.b64decode(json.loads(line[6:])["b64"])
            if int(id_) >= until and line == b"\n":
                break
    return got, id_


async def works_locally(fleet: Fleet) -> None:
    async with fleet.client("north") as north:
        name = f"w{secrets.token_hex(3)}"
        began = time.monotonic()
        await north.new(["cat"], name)
        await north.text(name, "local")
        assert (await north.wait(name, text="local"))["outcome"] == "matched"
        await north.delete(f"/sessions/{name}", params={"purge": "true", "grace_ms": "0"})
        assert time.monotonic() - began < 5


async def says(fleet: Fleet, *, ok: bool) -> None:
    async with fleet.client("north") as north:

        async def told() -> bool:
            async with north.http.get(north.url("/ready")) as response:
                found = await response.json()
            return bool(found["checks"]["redis"]["ok"] is ok and (response.status == 200) is ok)

        await eventually(told, timeout=5)


async def all_stale(fleet: Fleet) -> bool:
    async with fleet.client("north") as north:
        found = (await north.get("/computers"))["computers"]
    return [one["state"] for one in found] == ["online", "stale", "stale"]


async def passes_nothing_on(fleet: Fleet) -> None:
    """Three computers: each asks each itself."""
    async with fleet.client("north") as north, fleet.client("east") as east:
        await north.post("/sessions", {"computer": "east", "name": "far", "command": ["cat"]})
        assert (await east.get("/sessions/far"))["state"] == "running"
        await east.delete("/sessions/far", params={"purge": "true", "grace_ms": "0"})
        status, code = await refused(north, "GET", "/sessions/south%2Feast%2Ffar")
        assert (status, code) == (403, "forbidden")


async def drained_in_order(fleet: Fleet) -> None:
    """What happened while Redis was away is there for others, once each."""
    async with fleet.client("north") as north, fleet.server.client() as redis:
        newest = await last_event(north)

        async def all_there() -> list[int]:
            entries = await redis.xrange("teleclaude:events:{north}")
            numbers = [int(id_.partition(b"-")[0]) for id_, _ in entries]
            return numbers if numbers and numbers[-1] >= newest else []

        numbers = await eventually(all_there)
        assert numbers == list(range(1, len(numbers) + 1))


async def last_event(client: Client) -> int:
    """The number of what happens now."""
    made = await client.new(["true"], "last")
    await client.wait("last", exit=True)
    async with asyncio.timeout(5), client.http.get(client.url("/events"), params={"after": "0"}) as response:
        async for line in response.content:
            if line.startswith(b"data: "):
                event = json.loads(line[6:])
                if event["session_id"] == made["id"] and event["type"] == "session.exit":
                    return int(event["seq"])
    raise AssertionError("its end was not told")


async def test_x23_frozen_redis_costs_a_deadline_and_nothing_happens_later(server: RedisServer) -> None:
    async with two(server) as (north, south):
        server.freeze()
        try:
            began = time.monotonic()
            with pytest.raises(IndeterminateError):
                await north.fabric.call("south", OWNER, typed("late"), timeout=1)
            with pytest.raises(DeadlineError):
                await north.fabric.call("south", OWNER, ReadOutput(id="work"), timeout=0.3)
            assert not (await north.adapter.check()).ok
            assert time.monotonic() - began < 4
        finally:
            server.thaw()
        await eventually(lambda: is_ready(north), timeout=10)
        await north.sees("south")
        assert (await north.fabric.call("south", OWNER, typed("now"))).offset == 1
        assert south.done == ["now"]


async def test_x24_slow_redis_gets_one_message_and_one_effect(server: RedisServer) -> None:
    path = server.folder / "slow.sock"
    async with FaultProxy(server.socket, listen=path) as proxy, two(server, url=f"unix://{path}") as (north, south):
        proxy.to_client.stalled = True
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("once")))
        await eventually(lambda: south.done == ["once"])
        await asyncio.sleep(0.5)
        proxy.to_client.stalled = False
        assert (await asked)[0].offset == 1
        # The answer is lost on the way, and the question is asked again.
        south.hold.clear()
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("again")))
        await eventually(lambda: south.begun == ["once", "again"])
        proxy.reset()
        south.hold.set()
        assert (await asked)[0].offset == 2
        assert south.done == ["once", "again"]


async def test_an_answer_that_cannot_be_sent_is_looked_up_when_the_question_comes_again(server: RedisServer) -> None:
    key = await asyncio.to_thread(write_key, server.folder / "key")
    south = South()
    path = server.folder / "cut.sock"
    async with (
        FaultProxy(server.socket, listen=path) as proxy,
        running_peer("south", server, key, answer=south.answer, url=f"unix://{path}") as peer,
        running_peer("north", server, key) as north,
    ):
        await north.sees("south")
        south.hold.clear()
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("once")))
        await eventually(lambda: south.begun == ["once"])
        proxy.cut()
        south.hold.set()
        await eventually(lambda: south.done == ["once"])
        await eventually(lambda: is_not_ready(peer))
        proxy.heal()
        assert (await asked)[0].offset == 1
        assert peer.hub.uses[0] is KeyUse.FRESH
        assert KeyUse.FRESH not in peer.hub.uses[1:]


async def is_not_ready(peer: Peer) -> bool:
    return not await is_ready(peer)


async def test_x25_redis_comes_back_empty(server: RedisServer) -> None:
    async with two(server) as (north, south):
        south.hold.clear()
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("under way")))
        await eventually(lambda: south.begun == ["under way"])
        server.kill()
        south.hold.set()
        await eventually(lambda: south.done == ["under way"])
        await server.start()
        assert (await asked)[0].offset == 1
        await north.sees("south")
        assert (await north.fabric.call("south", OWNER, typed("after"))).offset == 2
        assert south.done == ["under way", "after"]


async def test_x26_what_redis_lost_is_never_called_delivered(server: RedisServer) -> None:
    """A replica that took over may lack the last entries, though the old primary had said that they are there."""
    key = await asyncio.to_thread(write_key, server.folder / "key")
    async with running_peer("north", server, key) as north, server.client() as redis:
        async with running_peer("south", server, key):
            await north.sees("south")
            presence = await redis.get("teleclaude:computer:{south}")
        await redis.set("teleclaude:computer:{south}", presence, px=60_000)  # it was there until a moment ago
        await eventually(lambda: forget(redis))
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("lost"), timeout=1), return_exceptions=True)
        await eventually(lambda: forget(redis, 1))
        [outcome] = await asked
        assert isinstance(outcome, IndeterminateError)


async def test_x26_a_wait_that_redis_breaks_off_is_not_called_refused(server: RedisServer) -> None:
    """As a primary does that becomes a replica: the message was written, and only its answer is refused."""
    async with two(server) as (north, south), server.client() as redis:
        south.hold.clear()
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("once")))
        await eventually(lambda: south.begun == ["once"])
        [waiting] = [client["id"] for client in await redis.client_list() if client["cmd"] == "blpop"]
        await redis.client_unblock(waiting, error=True)
        south.hold.set()
        assert (await asked)[0].offset == 1
        assert south.done == ["once"]


async def forget(redis: Any, count: int = 0) -> bool:
    """Delete the inbox once so many entries are in it."""
    return bool(await redis.xlen(INBOX) >= count and await redis.delete(INBOX)) or not count


async def test_x27_delivered_again_while_it_runs(server: RedisServer) -> None:
    async with two(server) as (north, south), server.client() as redis:
        south.hold.clear()
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("slow")))
        await eventually(lambda: south.begun == ["slow"])
        claimed = await redis.xautoclaim(INBOX, "teleclaude", "ghost", min_idle_time=0)
        assert len(claimed[1]) == 1
        await asyncio.sleep(1)  # longer than it takes to be claimed back, several times
        assert south.begun == ["slow"]
        south.hold.set()
        assert (await asked)[0].offset == 1
        await eventually(lambda: acknowledged(redis))
        assert south.done == ["slow"]


async def acknowledged(redis: Any) -> bool:
    return bool((await redis.xpending(INBOX, "teleclaude"))["pending"] == 0)


async def test_x27_taken_by_a_consumer_that_died(server: RedisServer) -> None:
    """It is read by somebody who never does anything with it, and claimed from him."""
    key = await asyncio.to_thread(write_key, server.folder / "key")
    south = South()
    async with running_peer("north", server, key) as north, server.client() as redis:
        async with running_peer("south", server, key):
            await north.sees("south")
            presence = await redis.get("teleclaude:computer:{south}")
        await redis.set("teleclaude:computer:{south}", presence, px=60_000)
        asked = asyncio.gather(north.fabric.call("south", OWNER, typed("orphan")))
        await eventually(lambda: taken_by_the_dead(redis))
        async with running_peer("south", server, key, answer=south.answer):
            assert (await asked)[0].offset == 1
            await eventually(lambda: acknowledged(redis))
        assert south.done == ["orphan"]


async def taken_by_the_dead(redis: Any) -> bool:
    return bool(await redis.xreadgroup("teleclaude", "dead", {INBOX: ">"}))


async def test_x28_only_what_is_acknowledged_is_trimmed(server: RedisServer) -> None:
    async with two(server) as (north, south), server.client() as redis:
        south.hold.clear()
        asked = asyncio.gather(*(north.fabric.call("south", OWNER, typed(str(number))) for number in range(10)))
        await eventually(lambda: south.begun == ["0"])
        await asyncio.sleep(0.7)  # it is trimmed meanwhile
        assert await redis.xlen(INBOX) == 10
        south.hold.set()
        await asked
        assert sorted(south.done, key=int) == [str(number) for number in range(10)]
        await eventually(lambda: trimmed(redis))


async def trimmed(redis: Any) -> bool:
    return bool(await redis.xlen(INBOX) <= 1)


async def test_x29_out_of_memory_is_said_and_nothing_is_done(server: RedisServer) -> None:
    async with two(server) as (north, south), server.client() as redis:
        await redis.config_set("maxmemory", "1mb")
        await redis.config_set("maxmemory-policy", "noeviction")
        with pytest.raises(UnavailableError, match="out of memory"):
            await north.fabric.call("south", OWNER, typed("too much"))
        assert south.begun == []
        await eventually(lambda: is_unready(north))
        await redis.config_set("maxmemory", "0")
        await eventually(lambda: is_ready(north))
        await north.sees("south")
        assert (await north.fabric.call("south", OWNER, typed("fits"))).offset == 1


async def is_unready(peer: Peer) -> bool:
    return not await is_ready(peer)


async def test_a_computer_that_is_gone_is_not_asked(server: RedisServer) -> None:
    key = await asyncio.to_thread(write_key, server.folder / "key")
    async with running_peer("north", server, key) as north:
        async with running_peer("south", server, key):
            await north.sees("south")
        await eventually(lambda: [one.is_online for one in north.fabric.peers()] == [False])
        with pytest.raises(UnavailableError, match="last seen"):
            await north.fabric.call("south", OWNER, ReadOutput(id="work"))
        async with server.client() as redis:
            assert await redis.exists("teleclaude:computer:{south}") == 0


async def test_a_network_that_swallows_everything(server: RedisServer) -> None:
    path = server.folder / "hole.sock"
    async with FaultProxy(server.socket, listen=path) as proxy, two(server, url=f"unix://{path}") as (north, south):
        proxy.black_hole()
        with pytest.raises(IndeterminateError):
            await north.fabric.call("south", OWNER, typed("swallowed"), timeout=0.5)
        proxy.heal()
        proxy.reset()
        await eventually(lambda: is_ready(north))
        await north.sees("south")
        await north.fabric.call("south", OWNER, typed("heard"))
        assert south.done == ["heard"]


async def test_cuts_at_every_byte_end_in_one_effect_or_an_honest_word(server: RedisServer) -> None:
    path = server.folder / "cut.sock"
    async with FaultProxy(server.socket, listen=path) as proxy, two(server, url=f"unix://{path}") as (north, south):
        said: dict[str, str] = {}
        for cut in range(0, 900, 60):
            text = str(cut)
            proxy.to_server.limit = cut
            healing = asyncio.get_running_loop().call_later(0.05, proxy.heal)
            try:
                await north.fabric.call("south", OWNER, typed(text), timeout=5)
                said[text] = "ok"
            except TeleclaudeError as error:
                said[text] = error.code
            finally:
                healing.cancel()
                proxy.heal()
        for text, how in said.items():
            assert south.done.count(text) <= 1
            assert how != "ok" or south.done.count(text) == 1, (text, how)
            assert how != "unavailable" or south.done.count(text) == 0, (text, how)


async def test_two_daemons_of_one_name_are_found_out(server: RedisServer) -> None:
    key = await asyncio.to_thread(write_key, server.folder / "key")
    async with running_peer("south", server, key) as one, running_peer("south", server, key) as other:
        await eventually(lambda: one.adapter._presence.twin and other.adapter._presence.twin)
        assert "rename one" in (await one.adapter.check()).detail


async def test_every_key_is_bounded_or_has_a_ttl(server: RedisServer) -> None:
    async with two(server) as (north, south), server.client() as redis:
        for number in range(20):
            await north.fabric.call("south", OWNER, typed(str(number)))
        assert len(south.done) == 20
        async for key in redis.scan_iter():
            bounded = key == b"teleclaude:computers"
            assert bounded or await redis.pttl(key) > 0, key


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.skipif(redis_binary() is None, reason="the system has no redis-server")
async def test_tls_and_an_acl_user(tmp_path: Path) -> None:
    authority = trustme.CA()
    await asyncio.to_thread(write_certificates, authority, tmp_path)
    password = secrets.token_hex(16)
    port = free_port()
    options = [
        *("--tls-port", str(port), "--tls-auth-clients", "no"),
        *("--tls-cert-file", str(tmp_path / "cert"), "--tls-key-file", str(tmp_path / "key")),
        *("--tls-ca-cert-file", str(tmp_path / "ca")),
        *("--user", "default", "off"),
        *("--user", "admin", "on", ">admin", "~*", "+@all"),
        *("--user", "node", "on", f">{password}", "~teleclaude:*", "+@all", "-@dangerous"),
    ]
    good = f"rediss://node:{password}@localhost:{port}/0?ssl_ca_certs={tmp_path / 'ca'}"
    async with redis_server(*options, binary=redis_binary()) as server:
        async with two_at(server, good) as (north, south):
            assert (await north.fabric.call("south", OWNER, typed("private"))).offset == 1
            assert south.done == ["private"]
            assert password not in (await north.adapter.check()).detail
        for url, what in (
            (f"rediss://node:{password}@localhost:{port}/0", "cannot be reached"),
            (good.replace(password, "wrong"), "user or password"),
        ):
            key = await asyncio.to_thread(write_key, server.folder / "key")
            async with running_peer("north", server, key, url=url) as north:
                detail = (await north.adapter.check()).detail
                assert what in detail
                assert password not in detail


@asynccontextmanager
async def two_at(server: RedisServer, url: str) -> AsyncIterator[tuple[Peer, South]]:
    key = await asyncio.to_thread(write_key, server.folder / "key")
    south = South()
    async with (
        running_peer("south", server, key, answer=south.answer, url=url),
        running_peer("north", server, key, url=url) as north,
    ):
        await north.sees("south")
        yield north, south


def write_certificates(authority: trustme.CA, folder: Path) -> None:
    certificate = authority.issue_cert("localhost")
    authority.cert_pem.write_to_path(folder / "ca")
    certificate.private_key_pem.write_to_path(folder / "key")
    certificate.cert_chain_pems[0].write_to_path(folder / "cert")


@pytest.mark.skipif(redis_binary() is None, reason="the system has no redis-server")
async def test_the_systems_own_redis_serves_as_well() -> None:
    async with redis_server(binary=redis_binary()) as server, two(server) as (north, south):
        assert (await north.fabric.call("south", OWNER, typed("hello"))).offset == 1
        server.kill()
        await server.start()
        await north.sees("south")
        await north.fabric.call("south", OWNER, typed("again"))
        assert south.done == ["hello", "again"]
