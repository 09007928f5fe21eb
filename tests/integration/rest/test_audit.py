"""The audit log and the rate limits, as seen from outside."""

from __future__ import annotations

import asyncio
import hashlib
import sqlite3
from collections import Counter
from typing import Any

import aiohttp
import pytest

from tests.support.daemon import Client
from tests.support.outside import Outside, outside_daemon


async def entries(client: Client) -> list[dict[str, Any]]:
    return list((await client.get("/audit?limit=1000"))["entries"])


async def test_changes_and_refusals_are_on_record_and_stay_there() -> None:
    async with outside_daemon() as outside, Client(outside.daemon.socket) as client:
        viewer = await outside.new_token("eye", role="viewer")
        await client.new("cat", name="kept")
        await client.text("kept", "secret words")
        await client.get("/sessions")
        assert await outside.code("POST", "/v1/sessions/kept/input", token=viewer, json={"text": "no"}) == (
            403,
            "forbidden",
        )
        assert (await outside.code("GET", "/v1/sessions", token="wrong"))[0] == 401
        assert (await outside.code("GET", "/v1/audit", token=viewer))[0] == 403
        found = await entries(client)
        assert [(entry["principal"], entry["operation"], entry["subject"], entry["result"]) for entry in found] == [
            ("local", "token.create", "eye", "ok"),
            ("local", "session.create", "kept", "ok"),
            ("local", "session.input", "kept", "ok"),
            ("token:eye", "session.input", "kept", "forbidden"),
            ("nobody", "authenticate", None, "unauthenticated"),
            ("token:eye", "audit.read", None, "forbidden"),
        ]
        assert "secret words" not in str(found)
        body = b'{"id":"kept","text":"secret words","submit":true,"client_id":null,"seq":null}'
        assert found[2]["digest"] == hashlib.sha256(body).hexdigest()
        assert (await client.get(f"/audit?after={found[-1]['seq']}"))["entries"] == []
        await client.delete("/sessions/kept?purge=true")
        _tamper(outside)


def _tamper(outside: Outside) -> None:
    connection = sqlite3.connect(outside.daemon.state / "teleclaude.db")
    try:
        for statement in ("UPDATE audit SET principal = 'x'", "DELETE FROM audit"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(statement)
    finally:
        connection.close()


async def test_strangers_cannot_fill_the_log() -> None:
    async with outside_daemon() as outside, Client(outside.daemon.socket) as client:
        for _ in range(5):
            codes = await asyncio.gather(*(outside.code("GET", "/v1/sessions", token="wrong") for _ in range(40)))
            assert set(codes) == {(401, "unauthenticated")}
        assert 0 < len(await entries(client)) < 150
        assert (await outside.ask("GET", "/v1/sessions"))[0] == 200


async def test_too_many_calls_are_told_when_to_come_back() -> None:
    async with (
        outside_daemon() as outside,
        Client(outside.daemon.socket) as client,
        aiohttp.ClientSession() as http,
    ):
        token = await outside.new_token("eager")
        headers = outside.bearer(token)
        seen: Counter[int] = Counter()

        async def hammer() -> None:
            for _ in range(60):
                async with http.get(f"{outside.base}/v1/sessions", headers=headers) as response:
                    seen[response.status] += 1
                    if response.status == 429:
                        assert int(response.headers["Retry-After"]) >= 1
                        assert (await response.json(content_type=None))["code"] == "limit"

        async with asyncio.TaskGroup() as group:
            for _ in range(20):
                group.create_task(hammer())
        assert seen[429] > 0
        assert set(seen) == {200, 429}
        assert (await client.get("/sessions"))["sessions"] == []
        # What was refused so often fills neither the log nor the disk.
        assert [entry["result"] for entry in await entries(client)] == ["ok", "limit"]
