"""The file drop of a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.contract.api import Api


class TestFiles:
    async def test_put_list_and_get(self, api: Api) -> None:
        await api.new("cat", "build")
        put = await api.ask("PUT", "/sessions/build/files/notes.txt", data=b"some \x00 bytes")
        assert put.status == 201
        assert Path(put.json["path"]).read_bytes() == b"some \x00 bytes"
        (listed,) = (await api.get("/sessions/build/files"))["files"]
        assert (listed["name"], listed["bytes"], listed["path"]) == ("notes.txt", 12, put.json["path"])
        assert (await api.read("/sessions/build/files/notes.txt")).body == b"some \x00 bytes"

    async def test_what_is_not_there(self, api: Api) -> None:
        await api.new("cat", "build")
        assert await api.refused("GET", "/sessions/build/files/none") == (404, "not_found")

    @pytest.mark.parametrize("name", ["..", "%2E%2E", "a%2Fb", "..%2F..%2Fetc%2Fpasswd", "a%5Cb", "%00"])
    async def test_names_stay_inside(self, api: Api, name: str) -> None:
        await api.new("cat", "build")
        reply = await api.ask("PUT", f"/sessions/build/files/{name}", data=b"x")
        assert reply.status in (400, 404, 405, 422)
        assert (await api.get("/sessions/build/files"))["files"] == []
