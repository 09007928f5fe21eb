"""Rows D of what a hostile neighbour sends: messages that must not run anything, and a loop that goes on."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from teleclaude.api import KeyUse
from teleclaude.config.sections import RedisPeer
from teleclaude.errors import UnavailableError
from teleclaude.model import Chunk, Principal, Role
from teleclaude.wire import remote
from teleclaude.wire.base import Command
from teleclaude.wire.output import ReadOutput
from teleclaude.wire.sessions import GetSession, InputReply, SendInput
from teleclaude_redis.envelope import Envelope, mac
from teleclaude_redis.keyring import ENVELOPE, MAC
from teleclaude_redis.presence import pack
from tests.support.fleet import KEY, write_key
from tests.support.peer import Peer, running_peer
from tests.support.redis import RedisServer, redis_server
from tests.support.wait import eventually

OWNER = Principal("tester", Role.OWNER)
INBOX, DEAD = "teleclaude:inbox:{south}", "teleclaude:dead:{south}"


def answer(_principal: Principal, command: Command[Any]) -> Any:
    if isinstance(command, SendInput):
        if command.text == "poison":
            raise RuntimeError("a defect of the test's own")
        return InputReply(offset=7)
    if isinstance(command, GetSession):
        return type("Session", (), {"epoch": 5})()
    assert isinstance(command, ReadOutput), command
    return Chunk(start=0, end=3, stream_end=3, data=b"\xff\x00x")


class South:
    """The computer under attack, and ways to put things into its inbox."""

    def __init__(self, server: RedisServer, peer: Peer, redis: Any) -> None:
        self.server = server
        self.peer = peer
        self.redis = redis

    @property
    def ran(self) -> list[Command[Any]]:
        return [command for _, command, _ in self.peer.hub.calls]

    async def put(self, fields: dict[bytes, bytes]) -> None:
        await self.redis.xadd(INBOX, fields)

    async def send(self, envelope: Envelope, key: str = KEY) -> dict[bytes, bytes]:
        fields = sealed(envelope.encode(), key)
        await self.put(fields)
        return fields

    async def dead(self, count: int = 1) -> list[str]:
        """The reasons of what was put aside, once there are ``count``."""

        async def there() -> Any:
            entries = await self.redis.xrange(DEAD)
            return entries if len(entries) >= count else None

        return [fields[b"reason"].decode() for _, fields in await eventually(there, timeout=15)]

    async def settled(self) -> None:
        """Nothing is left to acknowledge, and a good message still gets through."""

        async def nothing_pending() -> bool:
            return bool((await self.redis.xpending(INBOX, "teleclaude"))["pending"] == 0)

        before = len(self.ran)
        await self.send(call("good"))
        await eventually(lambda: len(self.ran) == before + 1)
        await eventually(nothing_pending)


def sealed(data: bytes, key: str = KEY) -> dict[bytes, bytes]:
    return {ENVELOPE: data, MAC: mac(key.encode(), data)}


def call(text: str = "x", **about: Any) -> Envelope:
    now = round(time.time() * 1000)
    return Envelope(
        kind="call",
        sender="north",
        to="south",
        id=secrets.token_hex(16),
        ts=now,
        body=remote.encode_command(SendInput(id="work", text=text)),
        about={
            "role": "operator",
            "by": "test",
            "key": None,
            "since": now,
            "attempt": 1,
            "expires": now + 10_000,
            **about,
        },
    )


@asynccontextmanager
async def attacked(**options: Any) -> AsyncIterator[South]:
    async with redis_server() as server, server.client() as redis:
        key = await asyncio.to_thread(write_key, server.folder / "key")
        async with running_peer("south", server, key, answer=answer, **options) as peer:
            await eventually(lambda: exists(redis))
            yield South(server, peer, redis)


async def exists(redis: Any) -> bool:
    return bool(await redis.exists(INBOX))


@pytest.fixture
async def south() -> AsyncIterator[South]:
    async with attacked() as south:
        yield south


async def test_d1_d2_unsigned_and_wrongly_signed(south: South) -> None:
    data = call().encode()
    await south.put({ENVELOPE: data})
    await south.put({ENVELOPE: data, MAC: b""})
    await south.put({ENVELOPE: data, MAC: bytes(32)})
    assert await south.dead(3) == ["malformed", "signature", "signature"]
    assert south.ran == []
    assert [result for _, _, result in south.peer.hub.refusals] == ["malformed", "signature", "signature"]
    await south.settled()


async def test_d3_the_fleets_key_is_no_key_of_a_peer_with_its_own() -> None:
    async with redis_server() as server, server.client() as redis:
        key = await asyncio.to_thread(write_key, server.folder / "key")
        own = await asyncio.to_thread(write_key, server.folder / "own", "o" * 40)
        peers = {"north": RedisPeer(key_file=own)}
        async with running_peer("south", server, key, answer=answer, peers=peers) as peer:
            await eventually(lambda: exists(redis))
            south = South(server, peer, redis)
            await south.send(call())
            await south.send(call(), "k" * 40)
            assert await south.dead(2) == ["signature", "signature"]
            assert south.ran == []
            await south.send(call(), "o" * 40)
            await eventually(lambda: len(south.ran) == 1)


async def test_d4_a_replay_runs_once(south: South) -> None:
    fields = await south.send(call())
    await eventually(lambda: len(south.ran) == 1)
    await south.put(fields)
    assert await south.dead() == ["duplicate"]
    assert len(south.ran) == 1


async def test_d4_a_replay_to_the_next_daemon_is_looked_up() -> None:
    async with redis_server() as server, server.client() as redis:
        key = await asyncio.to_thread(write_key, server.folder / "key")
        async with running_peer("south", server, key, answer=answer) as peer:
            await eventually(lambda: exists(redis))
            south = South(server, peer, redis)
            fields = await south.send(call())
            await eventually(lambda: south.peer.hub.uses == [KeyUse.FRESH])
        async with running_peer("south", server, key, answer=answer) as peer:
            await redis.xadd(INBOX, fields)
            await eventually(lambda: peer.hub.uses == [KeyUse.SEEN])


@pytest.mark.parametrize("minutes", [-10, 10])
async def test_d5_another_time(south: South, minutes: int) -> None:
    envelope = call()
    await south.send(replace(envelope, ts=envelope.ts + minutes * 60_000))
    assert await south.dead() == ["clock"]
    assert south.ran == []


async def test_d6_for_somebody_else(south: South) -> None:
    await south.send(replace(call(), to="east"))
    assert await south.dead() == ["recipient"]
    assert south.ran == []


async def test_d7_the_role_is_given_here(south: South) -> None:
    await south.send(call(role="owner"))
    await south.send(call(role="viewer"))
    await eventually(lambda: len(south.peer.hub.calls) == 2)
    principals = [principal for principal, _, _ in south.peer.hub.calls]
    assert [(one.name, one.role) for one in principals] == [("node:north", Role.OPERATOR), ("node:north", Role.VIEWER)]


async def test_d8_another_version(south: South) -> None:
    await south.send(replace(call(), version=99))
    assert await south.dead() == ["version"]
    assert south.ran == []


def header(**changes: Any) -> bytes:
    line, _, body = call().encode().partition(b"\n")
    fields = {name: value for name, value in {**json.loads(line), **changes}.items() if value is not ...}
    return json.dumps(fields).encode() + b"\n" + body


DAMAGED = [
    header(nonce=...),
    header(extra=1),
    header(ts="now"),
    header(v=True),
    header(about=None),
    header(kind="reply"),
    header(id="../x"),
    header(**{"from": "No Name"}),
    b"\xff\xfe\n",
    b"no newline",
    b"{" * 100_000 + b"\n",
    b'{"v":1,"v":1}\n',
    b"",
]


async def test_d9_damaged_envelopes(south: South) -> None:
    for data in DAMAGED:
        await south.put(sealed(data))
    await south.put(sealed(call().encode() + bytes(2_000_000)))
    await south.put({b"x": b"y"})
    await south.put({ENVELOPE: b"", MAC: b"", b"more": b""})
    reasons = await south.dead(len(DAMAGED) + 3)
    assert set(reasons) == {"malformed", "too_large"}
    assert south.ran == []
    await south.settled()


async def test_d9_bodies_that_are_no_command_are_answered_as_such(south: South) -> None:
    bodies = [
        b"",
        b"\0\0\0\5{",
        remote.join(b"[]"),
        remote.join(b'{"operation":"token.create","fields":{},"blobs":{}}'),
    ]
    for body in bodies:
        envelope = replace(call(), body=body)
        await south.send(envelope)
        _, value = await south.redis.blpop(f"teleclaude:reply:{{north}}:{envelope.id}", timeout=5)
        assert b'"code":"malformed"' in value or b'"code":"invalid"' in value
    assert south.ran == []


async def test_d10_x30_poison_is_put_aside_after_five_and_the_rest_flows(south: South) -> None:
    await south.send(call("poison"))
    await south.send(call("fine"))
    await eventually(lambda: "fine" in texts(south), timeout=15)
    assert await south.dead() == ["poison"]
    assert texts(south).count("poison") == 5
    await south.settled()


def texts(south: South) -> list[str]:
    return [command.text for command in south.ran if isinstance(command, SendInput)]


async def test_d11_a_lower_epoch_than_the_sessions(south: South) -> None:
    old, new = call(epoch=4), call(epoch=5)
    await south.send(old)
    _, value = await south.redis.blpop(f"teleclaude:reply:{{north}}:{old.id}", timeout=5)
    assert b"stale_epoch" in value
    assert texts(south) == []
    await south.send(new)
    await eventually(lambda: texts(south) == ["x"])


async def test_d12_a_string_where_the_inbox_should_be(south: South) -> None:
    await south.redis.set(INBOX, "oops")

    async def says_so() -> bool:
        check = await south.peer.adapter.check()
        return not check.ok and "WRONGTYPE" in check.detail

    await eventually(says_so)
    await south.redis.delete(INBOX)
    await eventually(lambda: exists(south.redis))
    await south.settled()


async def test_d13_bytes_that_change_places(south: South) -> None:
    envelope = call()
    data = envelope.encode()
    swapped = data.replace(b'"from":"north","to":"south"', b'"to":"south","from":"north"')
    assert swapped != data
    await south.put({ENVELOPE: swapped, MAC: mac(KEY.encode(), data)})
    assert await south.dead() == ["signature"]
    assert south.ran == []


async def test_what_comes_after_its_deadline_is_not_begun(south: South) -> None:
    envelope = call(expires=round(time.time() * 1000) - 1000)
    await south.send(envelope)
    _, value = await south.redis.blpop(f"teleclaude:reply:{{north}}:{envelope.id}", timeout=5)
    assert b'"code":"timeout"' in value
    assert south.ran == []


async def test_the_quarantine_is_bounded_and_keeps_no_more_than_a_beginning(south: South) -> None:
    await south.send(replace(call("s" * 100_000), to="east"))
    await south.dead()
    [[_, fields]] = await south.redis.xrange(DEAD)
    assert len(fields[b"head"]) == 1024
    assert fields[b"sender"] == b"north"


async def test_a_forged_reply_is_waited_past(south: South) -> None:
    """Somebody who may write to Redis, but has no key, answers first."""
    async with running_peer("north", south.server, south.server.folder / "key") as north:
        await north.sees("south")

        def forge(_principal: Principal, command: Command[Any]) -> Any:
            async def first() -> Any:
                [[_, entry]] = await south.redis.xrevrange(INBOX, count=1)
                request = json.loads(entry[ENVELOPE].partition(b"\n")[0])["id"]
                body = remote.encode_reply(InputReply(offset=666))
                lie = replace(call(), kind="reply", sender="south", to="north", body=body, about={"re": request})
                data = lie.encode()
                await south.redis.rpush(f"teleclaude:reply:{{north}}:{request}", mac(b"k" * 40, data) + data)
                return InputReply(offset=7)

            return first()

        south.peer.hub.answer = forge
        reply = await north.fabric.call("south", OWNER, SendInput(id="work", text="x"))
        assert reply.offset == 7


async def test_binary_goes_both_ways_as_it_is(south: South) -> None:
    async with running_peer("north", south.server, south.server.folder / "key") as north:
        await north.sees("south")
        chunk = await north.fabric.call("south", OWNER, ReadOutput(id="work"))
        assert chunk == Chunk(start=0, end=3, stream_end=3, data=b"\xff\x00x")


async def test_a_peer_of_another_version_is_shown_and_not_asked(south: South) -> None:
    data = Envelope("presence", "east", "*", "presence", round(time.time() * 1000), b"{}", version=99).encode()
    await south.redis.set("teleclaude:computer:{east}", pack(sealed(data)), px=60_000)
    await south.redis.zadd("teleclaude:computers", {"east": time.time() * 1000})
    await south.peer.sees("east")
    [east] = [peer for peer in south.peer.fabric.peers() if peer.name == "east"]
    assert "another version" in (east.problem or "")
    with pytest.raises(UnavailableError, match="another version"):
        await south.peer.fabric.call("east", OWNER, SendInput(id="work", text="x"))


async def test_a_forged_presence_is_nobody(south: South) -> None:
    data = Envelope("presence", "east", "*", "presence", round(time.time() * 1000), b"{}").encode()
    await south.redis.set("teleclaude:computer:{east}", pack(sealed(data, "k" * 40)), px=60_000)
    await south.redis.zadd("teleclaude:computers", {"east": time.time() * 1000, "Not A Name": 1, "../x": 2})
    await eventually(lambda: [peer.is_online for peer in south.peer.fabric.peers()] == [False])


async def test_secrets_are_in_no_log_and_not_in_redis(south: South, capsys: pytest.CaptureFixture[str]) -> None:
    await south.send(call())
    await south.put({ENVELOPE: b"junk", MAC: b"junk"})
    await south.dead()
    out = capsys.readouterr()
    assert KEY not in out.out + out.err
    async for key in south.redis.scan_iter():
        assert KEY.encode() not in (await south.redis.dump(key) or b"")
