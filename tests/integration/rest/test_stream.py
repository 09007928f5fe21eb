from __future__ import annotations

import asyncio
import base64
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from teleclaude.api import OutputHandedOff, OutputItem, OutputState, OutputText
from teleclaude.errors import UnavailableError
from teleclaude.model import Gap
from teleclaude_rest import frames
from teleclaude_rest.surface import Timing
from tests.integration.rest.served import Message, Served, Stream, follow, serve, wire
from tests.support.wait import eventually


def output(message: Message | None) -> bytes:
    """The bytes of an output event, whose offsets must agree with them."""
    assert message is not None
    assert message.event == "output"
    data = base64.b64decode(message.data["b64"])
    assert message.data["to"] - message.data["from"] == len(data)
    assert message.id == message.data["to"]
    return data


async def read(stream: Stream, size: int) -> bytes:
    """Output until ``size`` bytes are there, each event following the one before."""
    found = bytearray()
    after: int | None = None
    while len(found) < size:
        message = await stream.next()
        found += output(message)
        assert message is not None
        assert after in (None, message.data["from"])
        after = message.data["to"]
    return bytes(found)


async def test_output_comes_as_it_is_written_and_ends_with_the_exit(served: Served) -> None:
    id_ = await served.new()
    written = served.hub.streams[id_]
    await written.append(b"before")
    async with follow(served, "/sessions/build/stream") as stream:
        await eventually(lambda: served.hub.followers == 1)
        await written.append(b"one\n")
        assert output(await stream.next()) == b"one\n"
        await written.append(b"two")
        await written.finish(code=3, signal=None)
        assert output(await stream.next()) == b"two"
        last = await stream.next()
        assert last is not None
        assert (last.event, last.id, last.data) == ("exit", None, {"code": 3, "signal": None})
        assert await stream.next() is None
    await eventually(lambda: served.hub.followers == 0)


async def test_from_says_where_to_begin(served: Served) -> None:
    id_ = await served.new()
    await served.hub.streams[id_].append(b"0123456789")
    for query, expected in (
        ("from=0", b"0123456789"),
        ("from=7", b"789"),
        ("from=-2", b"89"),
        ("from=-99", b"0123456789"),
    ):
        async with follow(served, f"/sessions/build/stream?{query}") as stream:
            assert output(await stream.next()) == expected


async def test_a_client_that_comes_back_goes_on_where_it_was(served: Served) -> None:
    id_ = await served.new()
    await served.hub.streams[id_].append(b"0123456789")
    async with follow(served, "/sessions/build/stream?from=0", Last_Event_ID="4") as stream:
        assert output(await stream.next()) == b"456789"


async def test_a_bad_place_is_refused_before_the_stream_begins(served: Served) -> None:
    id_ = await served.new()
    served.hub.streams[id_].start = 50
    for bad in ("x", "-1", "1.0", ""):
        status, problem = await served.json("GET", "/sessions/build/stream", headers={"Last-Event-ID": bad})
        assert (status, problem["code"]) == (422, "invalid")
    status, problem = await served.json("GET", "/sessions/build/stream?from=3")
    assert (status, problem["code"], problem["start"]) == (410, "gap", 50)
    assert (await served.json("GET", "/sessions/nobody/stream"))[0] == 404


async def test_every_kind_of_item_has_its_event(served: Served) -> None:
    await served.new()
    served.hub.extra_items = [
        Gap(3, 9, 6, "recorder_died"),
        OutputText(9, 15, "grüße"),
        OutputState("exited"),
        OutputHandedOff("other", "S9", 2),
    ]
    async with follow(served, "/sessions/build/stream?format=text") as stream:
        messages = [await stream.next() for _ in range(5)]
    assert [(m.event, m.id, m.data) if m else None for m in messages] == [
        ("gap", 9, {"from": 3, "to": 9, "bytes": 6, "reason": "recorder_died"}),
        ("output", 15, {"from": 9, "to": 15, "text": "grüße"}),
        ("state", None, {"state": "exited"}),
        ("handed_off", None, {"computer": "other", "session_id": "S9", "epoch": 2}),
        None,
    ]


async def test_a_silent_stream_shows_life(runtime: Path) -> None:
    async with serve(runtime, timing=Timing(comment=0.05)) as served:
        id_ = await served.new()
        async with follow(served, "/sessions/build/stream") as stream:
            while stream.comments < 3:
                raw = await stream.response.content.readline()
                stream.comments += raw.startswith(b":")
            await served.hub.streams[id_].append(b"x")
            assert output(await stream.next()) == b"x"


async def test_many_followers_get_every_byte(served: Served) -> None:
    id_ = await served.new()
    data = bytes(range(256)) * 2000

    async def one() -> bytes:
        async with follow(served, "/sessions/build/stream?from=0") as stream:
            return await read(stream, len(data))

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(one()) for _ in range(20)]
        for start in range(0, len(data), 10_000):
            await served.hub.streams[id_].append(data[start : start + 10_000])
    assert all(reader.result() == data for reader in readers)


async def test_a_hundred_followers_cost_one_encoding(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    id_, build = await served.new(), frames.output_frame
    built: list[OutputItem] = []

    def counted(item: OutputItem) -> bytes:
        built.append(item)
        return build(item)

    monkeypatch.setattr(frames, "output_frame", counted)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(follow(served, "/sessions/build/stream")) for _ in range(98)]
        for number in range(5):
            await served.hub.streams[id_].append(b"%d" % number)
            assert {output(await stream.next()) for stream in streams} == {b"%d" % number}
    assert len(built) == 5


async def test_a_stalled_follower_holds_up_nobody_and_is_cut_in_the_end(runtime: Path) -> None:
    async with serve(runtime, timing=Timing(stall=1)) as served:
        id_ = await served.new()
        async with wire(served.adapter.path) as stalled:
            await stalled.send(b"GET /v1/sessions/build/stream?from=0 HTTP/1.1\r\nHost: d\r\n\r\n")
            await eventually(lambda: served.hub.followers == 1)
            data = b"x" * (4 << 20)
            async with follow(served, "/sessions/build/stream?from=0") as stream:
                await served.hub.streams[id_].append(data)
                assert await read(stream, len(data)) == data
            await eventually(lambda: served.hub.followers == 0)
            assert (await served.json("GET", "/health"))[0] == 200


async def test_a_client_that_leaves_is_forgotten(served: Served) -> None:
    await served.new()
    async with follow(served, "/sessions/build/stream"):
        await eventually(lambda: served.hub.followers == 1)
    await eventually(lambda: served.hub.followers == 0)


async def test_a_stop_ends_the_stream_in_order(runtime: Path) -> None:
    async with serve(runtime) as served:
        await served.new()
        async with follow(served, "/sessions/build/stream") as stream:
            await eventually(lambda: served.hub.followers == 1)
            async with asyncio.TaskGroup() as group:
                group.create_task(served.adapter.__aexit__(None, None, None))
                assert await stream.next() is None
            assert stream.comments == 1


async def test_a_failure_under_way_is_told(served: Served) -> None:
    await served.new()
    for error, code in ((UnavailableError("the disk went away"), "unavailable"), (RuntimeError("secret"), "internal")):
        served.hub.follow_failure = error
        async with follow(served, "/sessions/build/stream") as stream:
            message = await stream.next()
            assert message is not None
            assert (message.event, message.data["code"]) == ("error", code)
            assert "secret" not in str(message.data)
            assert await stream.next() is None


async def test_events_are_numbered_and_resumed(served: Served) -> None:
    for number in range(3):
        await served.hub.happen("session.state", f"S{number}", state="running")
    async with follow(served, "/events?after=1") as stream:
        first = await stream.next()
        assert first is not None
        assert (first.event, first.id) == ("session.state", 2)
        assert first.data == {
            "seq": 2,
            "at": "2026-01-31T09:30:00.000Z",
            "type": "session.state",
            "session_id": "S1",
            "execution_id": None,
            "data": {"state": "running"},
        }
    async with follow(served, "/events?after=0", Last_Event_ID="2") as stream:
        assert (message := await stream.next()) is not None
        assert message.id == 3
    await eventually(lambda: served.hub.followers == 0)


async def test_events_begin_now_unless_asked_otherwise(runtime: Path) -> None:
    async with serve(runtime, timing=Timing(comment=0.05)) as served:
        await served.hub.happen("session.created")
        async with follow(served, "/events") as stream:
            await eventually(lambda: served.hub.followers == 1)
            while stream.comments < 3:
                stream.comments += (await stream.response.content.readline()).startswith(b":")
            for _ in range(100):
                await served.hub.happen("session.state")
            assert [message.id for _ in range(100) if (message := await stream.next())] == list(range(2, 102))
        assert (await served.json("GET", "/events?after=-1"))[0] == 422
        assert (await served.json("GET", "/events?sessions=a"))[0] == 422
