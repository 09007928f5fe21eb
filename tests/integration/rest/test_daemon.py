"""The surface in front of the real core: recorded output, live terminals and pictures."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

from tests.integration.rest.served import Message, Stream
from tests.support.daemon import Client, DaemonProcess, daemon_process
from tests.support.wait import eventually

COUNT = ["bash", "-c", "for i in $(seq 1 20000); do echo line $i; done; exit 7"]
LINES = b"".join(b"line %d\r\n" % number for number in range(1, 20_001))


async def follow(client: Client, path: str, **headers: str) -> list[Message]:
    """All events of a stream until it ends."""
    async with client.http.get(client.url(path), headers=headers) as response:
        assert response.status == 200, await response.text()
        stream = Stream(response)
        found = []
        while (message := await stream.next(timeout=30)) is not None:
            found.append(message)
        return found


def text_of(messages: list[Message]) -> bytes:
    return b"".join(base64.b64decode(message.data["b64"]) for message in messages if message.event == "output")


async def test_followers_get_every_byte_and_then_the_exit() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.new(COUNT, name="count")
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(follow(client, "/sessions/count/stream?from=0")) for _ in range(3)]
        for messages in (task.result() for task in tasks):
            assert text_of(messages) == LINES
            assert messages[-1].event == "exit"
            assert messages[-1].data["code"] == 7
        resumed = await follow(client, "/sessions/count/stream", **{"Last-Event-ID": str(len(LINES) - 5)})
        assert text_of(resumed) == LINES[-5:]
        assert resumed[-1].event == "exit"


async def test_a_terminal_is_typed_into_and_watched() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await _type_and_watch(daemon, client)


async def _type_and_watch(daemon: DaemonProcess, client: Client) -> None:
    made = await client.new(["bash", "--norc"], name="shell", cols=100, rows=30)
    await client.wait("shell", text="bash-")
    async with client.http.ws_connect(client.url("/sessions/shell/tty?from=0")) as socket:
        hello = await socket.receive_json(timeout=10)
        assert hello == {"type": "hello", "offset": 0, "cols": 100, "rows": 30}
        await socket.send_bytes(b"echo $((6*7)); stty size\r")
        seen = b""
        while b"42\r\n" not in seen or b"30 100" not in seen:
            seen += await socket.receive_bytes(timeout=10)
        await socket.send_json({"type": "resize", "cols": 90, "rows": 20})

        async def resized() -> bool:
            return bool((await client.get("/sessions/shell"))["cols"] == 90)

        await eventually(resized)
        assert await _window(daemon, made) == "90x20"
        await socket.send_bytes(b"exit 5\r")
        last: Any = None
        async for message in socket:
            if isinstance(message.data, str):
                last = message.json()
        assert (last["type"], last["code"]) == ("exit", 5)
        assert socket.close_code == 1000


async def _window(daemon: DaemonProcess, made: Any) -> str:
    target = made["attach"]["argv"][-1]
    return await asyncio.to_thread(
        daemon.tmux, "display-message", "-p", "-t", target, "#{window_width}x#{window_height}"
    )


async def test_screens_in_each_form_and_the_whole_of_the_events() -> None:
    async with daemon_process() as daemon, Client(daemon.socket) as client:
        await client.new(["bash", "-c", "printf '\\033[31mred\\033[0m'; exec cat"], name="red")
        await client.wait("red", text="red")
        for form, start in (("text", b"red"), ("ansi", b"\x1b[31mred"), ("png", b"\x89PNG\r\n\x1a\n")):
            async with client.http.get(client.url(f"/sessions/red/screen?format={form}")) as response:
                assert response.status == 200, await response.text()
                assert (await response.read()).startswith(start)
        await client.delete("/sessions/red")
        async with client.http.get(client.url("/events?after=0")) as response:
            stream = Stream(response)
            types: list[str] = []
            while "session.exit" not in types:
                message = await stream.next()
                assert message is not None
                assert message.id == len(types) + 1
                types.append(message.data["type"])
        assert types[0] == "session.created"
