"""A JSON-RPC client for tests."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.support.outside import Outside


class Rpc:
    """``events`` holds the notifications that passed by while an answer was waited for."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.events: list[dict[str, Any]] = []
        self._ids = itertools.count(1)

    async def send(self, message: object) -> None:
        await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    async def next(self, timeout: float = 10) -> Any:
        """The next message that is no event."""
        while True:
            message = await self.socket.receive(timeout=timeout)
            assert message.type is aiohttp.WSMsgType.TEXT, message
            value = json.loads(message.data)
            if isinstance(value, dict) and value.get("method") == "event":
                self.events.append(value["params"])
            else:
                return value

    async def event(self, timeout: float = 10) -> dict[str, Any]:
        if not self.events:
            value = await self.socket.receive_json(timeout=timeout)
            assert value["method"] == "event", value
            self.events.append(value["params"])
        return self.events.pop(0)

    async def ask(self, method: str, **params: Any) -> Any:
        """The answer, whatever it is."""
        id_ = next(self._ids)
        await self.send({"jsonrpc": "2.0", "id": id_, "method": method, "params": params})
        answer = await self.next()
        assert answer["id"] == id_, answer
        return answer

    async def call(self, method: str, **params: Any) -> Any:
        answer = await self.ask(method, **params)
        assert "result" in answer, answer
        return answer["result"]

    async def refused(self, method: str, **params: Any) -> tuple[int, str]:
        """Number and code of a refusal."""
        return refusal(await self.ask(method, **params))

    async def closed(self, timeout: float = 10) -> int | None:
        """The code that the server closes with, once it does."""
        while True:
            message = await self.socket.receive(timeout=timeout)
            if message.type is not aiohttp.WSMsgType.TEXT:
                assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED), message
                return self.socket.close_code


def refusal(answer: Any) -> tuple[int, str]:
    return answer["error"]["code"], answer["error"]["data"]["code"]


@asynccontextmanager
async def rpc(outside: Outside, token: str | None = None) -> AsyncIterator[Rpc]:
    """A conversation over TCP; ``token`` "" shows none."""
    headers = {} if token == "" else outside.bearer(token)
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{outside.base}/v1/rpc", headers=headers, max_msg_size=0) as socket,
    ):
        yield Rpc(socket)
